"""Recorded expressions: named ones that are always evaluated, and appear as series."""
