"""The Trio tasks that drive the hub, which is itself synchronous."""

from __future__ import annotations

from pushsvc.pipeline.clock import now_ms
from pushsvc.pipeline.pipeline import Pipeline
from pushsvc.pipeline.submissions import Outcome

__all__ = ["Outcome", "Pipeline", "now_ms"]
