"""The routes of producers."""
