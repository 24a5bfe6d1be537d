"""The process above the workers: it holds the sockets, starts the workers, and replaces them.

Each worker has a listening socket of its own on every address (SO_REUSEPORT), so that the kernel
distributes connections among them. The supervisor keeps these sockets open: connections in the
queue of a worker that died are accepted by the one that replaces it, and not refused, as they would
be if a worker opened its own. Unix sockets, and those that a service manager passed, are shared:
any worker may accept.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import trio

from pushsvc.auth.mode import make_access_control
from pushsvc.config import Settings
from pushsvc.journal.opening import make_room
from pushsvc.journal.sqlite.claim import Claim, Noted
from pushsvc.listen.inherited import Inherited
from pushsvc.listen.listeners import (
    Listener,
    close_all,
    open_all,
    refuse_taken,
    resolve_hosts,
    twins,
)
from pushsvc.listen.statsd import bind_statsd, refuse_two
from pushsvc.log import get_logger
from pushsvc.workers.assignment import VARIABLE, Assignment
from pushsvc.workers.orders import lines

_log = get_logger("pushsvc.workers")

_SILENT: Final = 30.0
"""Seconds without a sign of life after which a worker counts as hanging and is killed."""
_STEADY: Final = 10.0
"""Seconds of running after which a worker that ends is replaced at once."""
_PAUSES: Final = (0.1, 30.0)
"""Seconds, from and to, before a worker that ended sooner is replaced; doubled each time."""
_GRACE: Final = 10.0
"""Seconds that workers may take to end beyond what the settings give their clients."""


class WorkerFailed(Exception):
    """The first worker of an index ended before it served; it has logged why."""

    def __init__(self, status: int) -> None:
        super().__init__(f"a worker ended with status {status}")
        self.status = status


def count_of(settings: Settings) -> int:
    """How many workers are wanted."""
    wanted = settings.server.workers
    return wanted if isinstance(wanted, int) else len(os.sched_getaffinity(0))


async def supervise(
    settings: Settings,
    command: Sequence[str],
    *,
    drain: trio.Event,
    reload: trio.MemoryReceiveChannel[None],
    inherited: Inherited,
    task_status: trio.TaskStatus[tuple[str, ...]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Have `command` serve in several processes until `drain` is set; return when all have ended.

    `started` gets the URLs, once each worker serves. Items of `reload` are passed on. Raises what
    `run_service` does, and WorkerFailed where the first worker of an index can't serve.
    """
    where = settings.server
    await resolve_hosts(where.hosts, where.port)
    make_access_control(settings, [listener.host for listener in inherited.listeners])
    async with contextlib.AsyncExitStack() as held:
        opened = await _open(settings, held)
        listeners = [*inherited.listeners, *opened]
        held.callback(close_all, listeners)
        count = count_of(settings)
        each = twins(listeners, count)
        for some in each[1:]:
            held.callback(close_all, some)
        statsd = await _statsd_socket(settings, inherited)
        if statsd is not None:
            held.callback(statsd.close)
        folder = Path(tempfile.mkdtemp(prefix="pushsvc-"))
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        keeping = settings.journal
        plan = _Plan(
            command,
            each,
            statsd,
            str(folder),
            "" if keeping.path or keeping.url else str(folder / "log"),
            secrets.token_urlsafe(32),
        )
        seconds = where.drain_delay + where.drain_timeout + where.shutdown_timeout + _GRACE
        async with _slots(plan) as slots:
            places = tuple(
                one.place("https" if where.certfile else "http", where.prefix) for one in listeners
            )
            _log.info("serving", workers=count)
            task_status.started(tuple(dict.fromkeys(places)))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_pass_on, reload, slots)
                await drain.wait()
                nursery.cancel_scope.cancel()
            # New connections are to be refused once the workers accept no more.
            for some in each:
                close_all(one for one in some if not one.is_unix)
            async with trio.open_nursery() as ending:
                for slot in slots:
                    ending.start_soon(slot.end, seconds)
    _log.info("stopped")


async def _open(settings: Settings, held: contextlib.AsyncExitStack) -> list[Listener]:
    where, path = settings.server, settings.journal.path
    if path:
        # Workers share the file, but another service must not use it too.
        make_room(Path(path).parent)
        claim = Claim(Path(f"{path}-workers"), shared=False)
        held.callback(claim.release)
        claim.note(Noted("0", 0), durable=False)
    await refuse_taken(where.hosts, where.port)
    await refuse_taken(where.hosts, where.grpc_port)
    return await open_all(where, reuse_port=True)


async def _statsd_socket(settings: Settings, inherited: Inherited) -> socket.socket | None:
    refuse_two(settings.ingest, inherited.statsd)
    address = settings.ingest.statsd_address
    if inherited.statsd is not None or address is None:
        return inherited.statsd
    return await bind_statsd(*address)


async def _pass_on(reload: trio.MemoryReceiveChannel[None], slots: Sequence[_Slot]) -> None:
    async for _ in reload:
        for slot in slots:
            await slot.say(b"reload\n")


class _Plan(msgspec.Struct, frozen=True):
    """What all workers have in common."""

    command: Sequence[str]
    listeners: Sequence[Sequence[Listener]]
    """For each worker."""
    statsd: socket.socket | None
    folder: str
    log: str
    secret: str


@asynccontextmanager
async def _slots(plan: _Plan) -> AsyncGenerator[Sequence[_Slot]]:
    """Workers that serve, for as long as the block lasts. Raises WorkerFailed."""
    slots = [_Slot(plan, index) for index in range(len(plan.listeners))]
    failure: WorkerFailed | None = None
    async with trio.open_nursery() as nursery:
        try:
            # First one alone, so that an error is logged once.
            await nursery.start(slots[0].run)
            async with trio.open_nursery() as starting:
                for slot in slots[1:]:
                    starting.start_soon(partial(nursery.start, slot.run))
            yield slots
        except* WorkerFailed as failed:
            failure = _leaves(failed)[0]
        finally:
            for slot in slots:
                slot.kill()
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


class _Slot:
    """The workers of one index, one after the other."""

    def __init__(self, plan: _Plan, index: int) -> None:
        self._plan = plan
        self._index = index
        self._process: trio.Process | None = None
        self._stream: trio.SocketStream | None = None
        self._ending = False
        self._ended = trio.Event()
        self._heard = 0.0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run a worker, replaced whenever it ends, until `end` is called. It has started when the
        first of them serves. Raises WorkerFailed where that one ends before."""
        pause, restarts, served = _PAUSES[0], 0, False
        while True:
            begun = trio.current_time()
            ready = trio.Event()
            async with trio.open_nursery() as nursery:
                process, stream = await self._start(restarts)
                nursery.start_soon(self._listen, stream, ready)
                nursery.start_soon(self._watch, process)
                nursery.start_soon(self._tell, ready, task_status if not served else None)
                status = await process.wait()
                nursery.cancel_scope.cancel()
            served = served or ready.is_set()
            await stream.aclose()
            self._process = self._stream = None
            if self._ending:
                self._ended.set()
                return
            if not served:
                raise WorkerFailed(status)
            restarts += 1
            lasted = trio.current_time() - begun
            pause = _PAUSES[0] if lasted >= _STEADY else min(2 * pause, _PAUSES[1])
            _log.error(
                "worker ended",
                worker=self._index,
                pid=process.pid,
                status=_status(status),
                seconds=round(lasted, 1),
                replaced_in=pause,
            )
            await trio.sleep(pause)

    async def _start(self, restarts: int) -> tuple[trio.Process, trio.SocketStream]:
        plan = self._plan
        ours, theirs = socket.socketpair()
        with theirs:
            mine = plan.listeners[self._index]
            statsd = plan.statsd if self._index == 0 else None
            # The others start when the first one serves; until then it answers on their sockets.
            first = self._index == 0 and not restarts
            early = [one.socket for some in plan.listeners[1:] for one in some] if first else []
            assignment = Assignment(
                index=self._index,
                count=len(plan.listeners),
                folder=plan.folder,
                orders=theirs.fileno(),
                listeners=[(one.socket.fileno(), one.name) for one in mine],
                early=[sock.fileno() for sock in early],
                statsd=None if statsd is None else statsd.fileno(),
                log=plan.log,
                secret=plan.secret,
                restarts=restarts,
            )
            passed = [theirs, *(one.socket for one in mine), *early]
            passed += [] if statsd is None else [statsd]
            process = await trio.lowlevel.open_process(
                plan.command,
                pass_fds=[sock.fileno() for sock in passed],
                env={**os.environ, VARIABLE: msgspec.json.encode(assignment).decode()},
                # Signals that a terminal sends to the whole group are passed on by the supervisor.
                start_new_session=True,
            )
        ours.setblocking(False)
        self._process = process
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        if self._ending:
            await self.say(b"drain\n")
        return process, self._stream

    async def _listen(self, stream: trio.SocketStream, ready: trio.Event) -> None:
        self._heard = trio.current_time()
        async for line in lines(stream):
            self._heard = trio.current_time()
            if line == b"ready":
                ready.set()

    async def _watch(self, process: trio.Process) -> None:
        """Kill a worker that gives no sign of life."""
        while True:
            await trio.sleep_until(self._heard + _SILENT)
            silent = trio.current_time() - self._heard
            if silent >= _SILENT:
                _log.error(
                    "worker hangs", worker=self._index, pid=process.pid, silent=round(silent, 1)
                )
                process.kill()
                return

    @staticmethod
    async def _tell(ready: trio.Event, task_status: trio.TaskStatus[None] | None) -> None:
        await ready.wait()
        if task_status is not None:
            task_status.started()

    async def say(self, line: bytes) -> None:
        """Tell the worker something, if there is one."""
        if self._stream is not None:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._stream.send_all(line)

    async def end(self, seconds: float) -> None:
        """Have the worker drain, and kill it where it is still there after so many seconds."""
        self._ending = True
        if self._process is None:
            return  # it had ended, and isn't replaced any more
        await self.say(b"drain\n")
        with trio.move_on_after(seconds):
            await self._ended.wait()
            return
        _log.error("worker did not end", worker=self._index, seconds=seconds)
        self.kill()

    def kill(self) -> None:
        """End the worker at once."""
        self._ending = True
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.kill()


def _leaves(group: BaseExceptionGroup[WorkerFailed]) -> list[WorkerFailed]:
    found: list[WorkerFailed] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _status(status: int) -> str:
    if status >= 0:
        return str(status)
    try:
        return signal.Signals(-status).name
    except ValueError:
        return str(status)
