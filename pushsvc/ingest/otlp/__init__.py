"""OpenTelemetry metrics."""
