"""Limits, and whose share something counts against."""
