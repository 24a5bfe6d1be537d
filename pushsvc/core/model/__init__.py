"""The data model, and the text forms of series, durations and cursors."""
