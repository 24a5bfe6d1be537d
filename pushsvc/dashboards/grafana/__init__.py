"""Converts dashboards that were made with Grafana into dashboards of this service.

Parts without a counterpart are left out and reported: nothing is dropped silently.
"""

from pushsvc.dashboards.grafana.convert import MOST_IMPORTED_BYTES, Imported, take_in
from pushsvc.dashboards.grafana.remarks import LeftOut

__all__ = ["MOST_IMPORTED_BYTES", "Imported", "LeftOut", "take_in"]
