"""The routes of who runs the service."""
