"""Recorded expressions: named ones that are always worked out, and appear as series."""
