"""Prometheus' query API (https://prometheus.io/docs/prometheus/latest/querying/api/): for Grafana's
data source of that name, `promtool query` and other clients of Prometheus.

Answers and errors have Prometheus' form: `{"status": "error", "errorType": …, "error": …}`.
"""

from pushsvc.app.dashboards.prometheus.routes import install

__all__ = ["install"]
