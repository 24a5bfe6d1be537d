"""What a browser is shown, and who is logged in."""
