"""Saved dashboards: their format, and where they are stored."""
