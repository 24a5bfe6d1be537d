"""The composition root: builds everything, and starts and stops it in the right order.

To stop, in this order: refuse new streams, tell subscribers to go, accept no new connections,
answer open requests, cut connections, flush StatsD, drain the ingest channel, close the journal.
"""

from pushsvc.service.parts import open_library
from pushsvc.service.running import Running, run_service, run_until_closed

__all__ = ["Running", "open_library", "run_service", "run_until_closed"]
