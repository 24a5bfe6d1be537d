"""What a series is called, and how that, a duration and a cursor are written."""
