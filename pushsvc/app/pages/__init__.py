"""Pages for browsers, and logging in."""
