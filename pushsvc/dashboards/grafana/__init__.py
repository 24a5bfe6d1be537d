"""Dashboards that were made with Grafana, as dashboards of ours.

What has no counterpart is left out and said: nothing disappears in silence.
"""

from pushsvc.dashboards.grafana.convert import MOST_IMPORTED_BYTES, Imported, take_in
from pushsvc.dashboards.grafana.remarks import LeftOut

__all__ = ["MOST_IMPORTED_BYTES", "Imported", "LeftOut", "take_in"]
