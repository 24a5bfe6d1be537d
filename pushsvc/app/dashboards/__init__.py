"""The routes of dashboards."""
