"""The composition root: builds everything, and is the order in which it starts and stops.

Stopping reads from the inside out: no new streams, goodbye to subscribers, no new connections, open
requests answered, connections cut, StatsD flushed, the ingest channel drained, the journal closed.
"""

from pushsvc.service.parts import open_library
from pushsvc.service.running import Running, run_service, run_until_closed

__all__ = ["Running", "open_library", "run_service", "run_until_closed"]
