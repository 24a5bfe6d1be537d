"""Ending on Ctrl-C and SIGTERM, and failing with one error rather than a group of one."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

_Result = TypeVar("_Result")


def run_command(function: Callable[[], Awaitable[_Result]]) -> _Result:
    """`trio.run`, with Ctrl-C as exit status 130 and errors out of their groups."""
    try:
        return trio.run(function)
    except BaseException as error:
        leaf = error
        while isinstance(leaf, BaseExceptionGroup):
            leaf = leaf.exceptions[0]
        if isinstance(leaf, KeyboardInterrupt):
            raise SystemExit(130) from None
        if leaf is error:
            raise
        raise leaf from None


async def drain_on_signal(
    drain: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Set `drain` on the first SIGINT or SIGTERM; the second ends the process at once."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            if drain.is_set():
                raise SystemExit(1)
            drain.set()
