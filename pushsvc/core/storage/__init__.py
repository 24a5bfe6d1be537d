"""What is kept: series and their past, taken from the entries of a log."""
