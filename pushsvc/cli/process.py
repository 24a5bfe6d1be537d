"""The process around a command: signals, exit status, garbage collector and file limit."""

from __future__ import annotations

import contextlib
import gc
import resource
import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from pushsvc.log import get_logger

_log = get_logger("pushsvc.cli")
_Result = TypeVar("_Result")


def run_command(function: Callable[[], Awaitable[_Result]]) -> _Result:
    """`trio.run`, with exit status 130 for Ctrl-C, and errors taken out of their groups.

    A shell without job control starts background commands with SIGINT ignored, and Python leaves it
    so: then SIGINT would not end a command. So its handler is set in any case.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
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


async def start_unless(
    drain: trio.Event,
    nursery: trio.Nursery,
    serve: Callable[..., Awaitable[object]],
) -> tuple[str, ...] | None:
    """Start to serve, which may take long if there is a log to be read; returns the URLs, or None
    if `drain` was set before it had started, and starting was given up."""
    places: tuple[str, ...] | None = None

    async def give_up() -> None:
        await drain.wait()
        starting.cancel_scope.cancel()

    async with trio.open_nursery() as starting:
        starting.start_soon(give_up)
        places = await nursery.start(serve)
        starting.cancel_scope.cancel()
    if places is None:
        _log.info("stopped", reason="before it served")
    return places


async def reload_on_signal(
    reload: trio.MemorySendChannel[None],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Pass each SIGHUP on."""
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            await reload.send(None)


def prepare_to_serve() -> None:
    """Set the process up for many connections and much short-lived data."""
    with contextlib.suppress(OSError, ValueError):
        # Each dashboard is an open file; the usual soft limit of 1,024 is for programs that use
        # select.
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # A decoded batch is thousands of small short-lived lists, and none of them is cyclic: at the
    # default threshold of 700, looking for cycles was 30 % of the cost of decoding.
    gc.collect()
    gc.freeze()
    gc.set_threshold(25_000, 20, 20)
