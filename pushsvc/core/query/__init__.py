"""Asking for series."""
