"""The path doctor: what lies between here and a service, told from what it does to connections.

`judge` holds the judgements, without I/O: measurements in, findings out. `probes` takes the
measurements, `examine` runs them side by side, `advice` knows the proxies' settings, and `report`
writes it all down.
"""

from __future__ import annotations

from pushsvc.doctor.examine import Unexaminable, examine
from pushsvc.doctor.findings import Finding, Report

__all__ = ["Finding", "Report", "Unexaminable", "examine"]
