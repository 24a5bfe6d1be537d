"""Dashboards that are kept: what one is, and the files they are in."""
