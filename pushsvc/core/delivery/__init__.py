"""What dashboards are given."""
