"""The StatsD socket: datagrams are gathered and submitted to the pipeline once an interval.

When datagrams come faster than they are read, the kernel drops those for which its socket buffer
has no room, and reports how many (SO_RXQ_OVFL, Linux). When the hub is behind, submitting waits
while the socket is still read: the interval gets longer, and nothing is lost.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from collections import Counter
from typing import Any

import trio

from pushsvc.config import ConfigError, Ingest
from pushsvc.core.model.series import Batch
from pushsvc.core.resources.account import Account
from pushsvc.core.resources.limits import Limits
from pushsvc.core.storage.holdings import Refused
from pushsvc.errors import Overloaded
from pushsvc.ingest.producers import Producers, Sender
from pushsvc.ingest.refusals import Ledger, Refusals
from pushsvc.ingest.statsd.aggregate import Aggregator
from pushsvc.listen.address import peer_of
from pushsvc.log import get_logger
from pushsvc.pipeline import Pipeline, now_ms

_log = get_logger("pushsvc.statsd")

_DATAGRAM = 16 * 1024
"""Bytes; a larger datagram is dropped whole. Clients send 512 to 8,932."""
_BUFFER = 4 * 1024 * 1024
"""Bytes of socket buffer asked of the kernel, for bursts; it gives net.core.rmem_max at most."""
_AT_ONCE = 32 * 1024
"""Bytes read before other tasks run."""
_SO_RXQ_OVFL = 40
_ANCILLARY = socket.CMSG_SPACE(4)
_SENDERS = 1_000
"""Addresses told apart from one flush to the next. Anybody can write any as that of a datagram."""
_OTHERS = "(other addresses)"
_TOGETHER = "(all addresses together)"


def refuse_two(ingest: Ingest, passed: socket.socket | None) -> None:
    """Raise ConfigError where a socket was passed, and the settings name another one."""
    if passed is not None and ingest.statsd:
        raise ConfigError(
            "a socket for datagrams was passed as LISTEN_FDS says, and ingest.statsd names "
            "another: leave one of them out"
        )


async def bind_statsd(host: str, port: int) -> socket.socket:
    """A UDP socket for `StatsdListener`; port 0 is any that is free. Raises OSError."""
    try:
        found = await trio.socket.getaddrinfo(
            host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )
        return _bind(*found[0])
    except OSError as error:
        # The message names the address, since StatsD's isn't the one of the other listeners.
        raise OSError(error.errno, error.strerror, f"{host} UDP port {port}") from error


def _bind(family: int, kind: int, protocol: int, _: str, address: Any) -> socket.socket:
    bound = socket.socket(family, kind, protocol)
    try:
        prepare_statsd(bound).bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


def prepare_statsd(sock: socket.socket) -> socket.socket:
    """Prepare a datagram socket, which may have been passed, for `StatsdListener`: with room for
    bursts, and a count of dropped datagrams."""
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    if sys.platform == "linux":
        sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
    return sock


class StatsdListener:
    """Reads one socket for datagrams, UDP's or a Unix one, which it owns."""

    def __init__(
        self,
        bound: socket.socket,
        aggregator: Aggregator,
        pipeline: Pipeline,
        counts: Counter[str],
        interval: float,
        refused: Ledger,
        producers: Producers,
    ) -> None:
        self._socket = bound
        self._aggregator = aggregator
        self._pipeline = pipeline
        self._counts = counts
        self._interval = interval
        self._refused = refused
        self._producers = producers
        self._heard: dict[str, _Heard] = {}
        self._overflow = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read and flush until cancelled; what was gathered by then is flushed once more."""
        with contextlib.closing(self._socket):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read)
                task_status.started()
                try:
                    await self._flush_regularly()
                finally:
                    self._drain()
                    with trio.CancelScope(shield=True, deadline=trio.current_time() + 1.0):
                        await self._flush()

    async def _read(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            self._drain()

    def _drain(self) -> None:
        """Read what is there, up to a bound."""
        now, wall = trio.current_time(), now_ms()
        taken = 0
        while taken < _AT_ONCE:
            try:
                data, ancillary, flags, source = self._socket.recvmsg(_DATAGRAM, _ANCILLARY)
            except BlockingIOError:
                return
            except OSError as error:
                # An error about one sender, such as a closed port, doesn't concern the others.
                _log.debug("receive failed", error=str(error))
                return
            taken += len(data) + 1
            self._counts["statsd_datagrams"] += 1
            for level, kind, value in ancillary:
                if level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL:
                    self._count_overflow(struct.unpack("=I", value[:4])[0])
            if flags & socket.MSG_TRUNC:
                self._counts["statsd_datagrams_too_long"] += 1
            else:
                heard = self._of(source)
                heard.datagrams += 1
                self._aggregator.refused = heard.refused
                heard.values += self._aggregator.take(data, now, wall)

    def _of(self, source: Any) -> _Heard:
        """What came from the address of a datagram since the last flush."""
        host = peer_of(source) or "unix"
        heard = self._heard.get(host)
        if heard is None:
            if len(self._heard) >= _SENDERS:
                host = _OTHERS
            heard = self._heard.setdefault(host, _Heard())
        return heard

    def _count_overflow(self, so_far: int) -> None:
        self._counts["statsd_datagrams_dropped"] += (so_far - self._overflow) % 2**32
        self._overflow = so_far

    async def _flush_regularly(self) -> None:
        due = trio.current_time()
        while True:
            # From one due time to the next, unless submitting took longer than that.
            due = max(due + self._interval, trio.current_time())
            await trio.sleep_until(due)
            await self._flush()
            self._tell()

    async def _flush(self) -> None:
        for batch in self._aggregator.flush(trio.current_time(), now_ms()):
            await self._submit(batch)

    async def _submit(self, batch: Batch) -> None:
        refused: list[Refused] = []
        while True:
            try:
                await self._pipeline.submit(batch, refused=refused)
            except Overloaded as error:
                await trio.sleep(error.retry_after)
            else:
                break
        # Totals are of all senders together.
        together = Refusals()
        for one in refused:
            together.add(one.problem.code, one.problem.detail, len(one.rows.times))
            self._counts["statsd_samples_refused"] += len(one.rows.times)
        self._note_refused(_TOGETHER, together)

    def _tell(self) -> None:
        heard, self._heard = self._heard, {}
        for host, one in heard.items():
            self._producers.sent("statsd", _sender(host), one.values, now_ms(), one.datagrams)
            self._note_refused(host, one.refused)

    def _note_refused(self, host: str, refused: Refusals) -> None:
        if refused.count:
            self._refused.note("statsd", host, refused, trio.current_time())
            self._producers.refused("statsd", _sender(host), refused, now_ms())


class _Heard:
    """What came from one address since the last flush."""

    __slots__ = ("datagrams", "refused", "values")

    def __init__(self) -> None:
        self.datagrams = 0
        self.values = 0
        self.refused = Refusals()


def _sender(host: str) -> Sender:
    return Sender(Account(host), address=host)


async def open_statsd(
    ingest: Ingest,
    limits: Limits,
    ttl: float,
    pipeline: Pipeline,
    refused: Ledger,
    producers: Producers,
    passed: socket.socket | None,
) -> StatsdListener | None:
    """A listener for StatsD, if one is configured or a socket for it was `passed`. Raises OSError
    where its address can't be bound."""
    if passed is not None:
        bound = prepare_statsd(passed)
    elif (address := ingest.statsd_address) is not None:
        bound = await bind_statsd(*address)
    else:
        return None
    where = bound.getsockname()
    if isinstance(where, tuple):
        _log.info("statsd", host=where[0], port=where[1], interval=ingest.statsd_interval)
    else:
        _log.info("statsd", path=where, interval=ingest.statsd_interval)
    counts = pipeline.hub.counts
    aggregator = Aggregator(limits, ttl=ttl, now_ms=now_ms(), counts=counts)
    return StatsdListener(
        *(bound, aggregator, pipeline, counts, ingest.statsd_interval, refused, producers)
    )
