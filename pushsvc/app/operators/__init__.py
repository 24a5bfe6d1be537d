"""The routes for operators of the service."""
