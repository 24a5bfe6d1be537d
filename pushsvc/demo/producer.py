"""A producer like any other: reads metrics and publishes them over HTTP."""

from __future__ import annotations

import time
from collections import deque

import trio

from pushsvc.client import Busy, Publisher, Refused, Unreachable, open_publisher
from pushsvc.demo.host import HostMetrics, Sample
from pushsvc.log import get_logger

_log = get_logger("pushsvc.demo")

_KEPT = 120
"""Batches kept while the service can't be reached; beyond that the oldest are dropped."""


async def run_producer(
    url: str,
    hz: float,
    token: str | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Publish this machine's metrics `hz` times a second until cancelled.

    While the service is away, batches are kept, up to a limit beyond which the oldest are dropped,
    and sent when it is back; that it is away is logged once. `started` is called when the service
    has answered the first batch.
    """
    host = HostMetrics()
    waiting: deque[list[Sample]] = deque(maxlen=_KEPT)
    reachable = True
    started = False
    async with open_publisher(url, token=token) as publisher:
        due = trio.current_time()
        while True:
            samples = await trio.to_thread.run_sync(host.read)
            now_ms = time.time_ns() // 1_000_000
            for sample in samples:
                sample["time"] = now_ms
            if len(waiting) == _KEPT:
                _log.warning("dropped the oldest batch", kept=_KEPT)
            waiting.append(samples)
            try:
                await _send(publisher, waiting)
            except (Unreachable, Busy) as error:
                if reachable:
                    _log.warning("can't publish; will go on trying", reason=str(error))
                reachable = False
            else:
                if not reachable:
                    _log.info("publishing again")
                reachable = True
                if not started:
                    started = True
                    task_status.started()
            due = _next_due(due, 1 / hz, trio.current_time())
            await trio.sleep_until(due)


def _next_due(due: float, period: float, now: float) -> float:
    """When to measure next (seconds); missed ticks are skipped.

    Two measurements less than half a period apart would show a rate that isn't real.
    """
    while due < now + period / 2:
        due += period
    return due


async def _send(publisher: Publisher, waiting: deque[list[Sample]]) -> None:
    while waiting:
        try:
            await publisher.publish(waiting[0], patience=0)
        except Refused as refused:
            _log.error("a batch was refused", reason=str(refused))
        waiting.popleft()
