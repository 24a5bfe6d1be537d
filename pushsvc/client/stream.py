"""A subscription that keeps its cursor, and so continues after any disconnect."""

from __future__ import annotations

import contextlib
import random
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from pushsvc.client.dial import (
    Token,
    Transport,
    authorization,
    backoff,
    close_action,
    dial,
    handshake,
    require_trio,
)
from pushsvc.client.errors import Busy, Refused, Unreachable
from pushsvc.client.events import Document, Event, Reading, Series, decode

_CONNECT_TIMEOUT = 10.0
_SILENT_HEARTBEATS = 2.5
_EPOCHS = 8
"""The number of servers that are told apart."""

AWAY = "the service can't reach its log: nothing newer can come until it can"
"""The message for a user when `Statistics.away_since` is set."""
SEVERAL = (
    "several servers that don't share a journal answer at this address: each has the samples of "
    "its own producers only"
)
"""The message for a user when `Statistics.several` is set."""

Phase = Literal["connecting", "live", "waiting", "closed"]


class Statistics(msgspec.Struct):
    """The state of a stream."""

    phase: Phase = "connecting"
    connects: int = 0
    """Connections on which a `hello` came."""
    retry_in: float | None = None
    """Seconds until the next attempt, while waiting."""
    reason: str = ""
    """Why the last connection ended."""
    samples: int = 0
    cursor: str | None = None
    granted: dict[str, Any] = msgspec.field(default_factory=dict)
    several: bool = False
    """Whether several servers that don't share a journal answer at this address: each then has only
    the samples of its own producers."""
    away_since: float | None = None
    """Since when the service can't reach its log, so that there are no newer samples (Unix seconds,
    by this machine's clock); None while it can."""
    failing: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Why expressions have no results now, by the name that the results would have."""


class _Cut(Exception):
    """The connection has ended; reconnect after `delay` seconds, or with back-off if it is None."""

    def __init__(self, reason: str, delay: float | None = None) -> None:
        super().__init__(reason)
        self.delay = delay


class Stream:
    """An open subscription, made by `connect`. Iterate over it, in one task only.

    It reads only as fast as it is iterated over. If the caller is slow, the server merges samples,
    or reports a gap with their number.
    """

    def __init__(
        self,
        url: str,
        parameters: dict[str, Any],
        retries: int | None,
        token: Token,
        tls: ssl.SSLContext | None,
        nursery: trio.Nursery,
    ) -> None:
        self.statistics = Statistics(cursor=parameters.get("since"))
        self._url = url
        self._parameters = parameters
        self._retries = retries
        self._token = token
        self._tls = tls
        self._nursery = nursery  # of `connect`, for the tasks of trio-websocket
        self._transport: Transport | None = None
        self._socket: WebSocketConnection | None = None
        self._attempt = 0
        self._events: deque[Event] = deque()
        self._reading = Reading()
        # The state of one connection.
        self._heartbeat = 15.0
        self._goaway: float | None = None
        self._error: Document | None = None
        self._epochs: list[str] = []  # newest last
        self._strayed = 0  # how often recently a connection led to another epoch

    @property
    def series(self) -> Mapping[int, Series]:
        """The series described on this connection, by ref."""
        return self._reading.series

    async def watch(
        self,
        select: str | Sequence[str],
        *,
        window: str | None = None,
        points: int | None = None,
        max_hz: float | None = None,
        merge: str | None = None,
        heartbeat: float | None = None,
        step: str | float | None = None,
    ) -> None:
        """Change what is watched, for the open connection and all later ones. Parameters are those
        of `connect`; what is None stays as it was."""
        changes: dict[str, Any] = {"select": _several(select), "window": window, "max_hz": max_hz}
        changes |= {"points": points, "merge": merge, "heartbeat": heartbeat, "step": step}
        changes = {name: value for name, value in changes.items() if value is not None}
        self._parameters.update(changes)
        if self._socket is not None:
            message = msgspec.json.encode({"type": "watch", **changes}).decode()
            with contextlib.suppress(ConnectionClosed):  # the next connection asks for it
                await self._socket.send_message(message)

    async def renew(self, token: str) -> None:
        """Use a new token of the same subject, for the open connection and all later ones."""
        self._token = token
        if self._socket is not None:
            message = msgspec.json.encode({"type": "auth", "token": token}).decode()
            with contextlib.suppress(ConnectionClosed):  # the next connection presents it
                await self._socket.send_message(message)

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Event:
        """The next event; connects and reconnects as needed. Always checkpoints.

        Raises Refused when the server refuses this stream, and Unreachable or Busy when as many
        first attempts as are allowed have failed.
        """
        if self._events:
            await trio.lowlevel.checkpoint()
        while not self._events:
            try:
                socket = self._socket or await self._open()
                self._take(await self._receive(socket))
            except (_Cut, Unreachable, Busy) as error:
                await self.aclose()
                await self._wait(error)
        return self._events.popleft()

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        socket, self._socket = self._socket, None
        transport, self._transport = self._transport, None
        if socket is not None:
            with trio.move_on_after(0.5):
                await socket.aclose()
        if transport is not None:
            # trio-websocket leaves it open when the server closed first.
            await trio.aclose_forcefully(transport)

    async def _open(self) -> WebSocketConnection:
        self.statistics.phase = "connecting"
        self._reading.begin()
        self._goaway = self._error = None
        parameters = dict(self._parameters)
        if self.statistics.cursor is not None:
            parameters["since"] = self.statistics.cursor
        target = urlsplit(self._url)
        resource = f"{target.path.rstrip('/')}/v1/stream?{urlencode(parameters, doseq=True)}"
        with trio.move_on_after(_CONNECT_TIMEOUT):
            self._transport = await dial(self._url, self._tls)
            self._socket = await self._nursery.start(
                handshake,
                self._transport,
                self._url,
                target.netloc,
                resource,
                authorization(self._token),
            )
            self.statistics.connects += 1
            return self._socket
        raise Unreachable(f"{self._url}: no answer within {_CONNECT_TIMEOUT:g} s")

    async def _receive(self, socket: WebSocketConnection) -> Document:
        with trio.move_on_after(self._heartbeat * _SILENT_HEARTBEATS):
            try:
                return decode(await socket.get_message())
            except ConnectionClosed as closed:
                raise self._ended(closed) from None
            except msgspec.DecodeError as error:
                raise _Cut(f"what came is not a document: {error}") from None
        raise _Cut("the server fell silent")

    def _ended(self, closed: ConnectionClosed) -> Exception:
        code = 1006 if closed.reason is None else closed.reason.code
        action = close_action(code)
        if action == "refused":
            if self._error is not None:
                return Refused(self._error.message, self._error.code)
            return Refused(f"the server closed the stream with code {code}", str(code))
        if self._goaway is not None:
            return _Cut("the server is going away", self._goaway)
        return _Cut(f"closed with code {code}", 0.0 if action == "at_once" else None)

    async def _wait(self, error: Exception) -> None:
        """Wait as long as the error says, or raise it when there were too many."""
        self._attempt += 1
        never_live = not self.statistics.connects
        if self._retries is not None and never_live and self._attempt > self._retries:
            if isinstance(error, _Cut):
                raise Unreachable(f"{self._url}: {error}") from None
            raise error
        delay = backoff(self._attempt)
        if isinstance(error, Busy):
            delay = max(delay, error.retry_after * random.uniform(1.0, 1.5))
        elif isinstance(error, _Cut) and error.delay is not None:
            delay = error.delay
        self.statistics.phase, self.statistics.retry_in = "waiting", delay
        self.statistics.reason = str(error)
        await trio.sleep(delay)

    def _take(self, document: Document) -> None:
        statistics = self.statistics
        if document.type == "hello":
            statistics.phase, statistics.retry_in = "live", None
            statistics.granted = document.granted
            self._heartbeat = document.heartbeat
            self._meet(document.epoch)
            # If each connection leads to another server, reconnecting sooner doesn't help.
            self._attempt = max(0, self._strayed - 1)
        elif document.type == "points":
            statistics.samples += len(document.points)
        elif document.type == "goaway":
            self._goaway = (document.retry or 0) / 1000
        elif document.type == "error":
            self._error = document
        self._events.extend(self._reading.take(document))
        statistics.away_since = self._reading.away_since
        statistics.failing = self._reading.failing
        if document.id is not None:
            statistics.cursor = document.id

    def _meet(self, epoch: str) -> None:
        """Note which server this connection is to. A server that is restarted begins a new epoch
        and never uses its former one again: an epoch that comes back is another server's."""
        if self._epochs and epoch != self._epochs[-1]:
            self._strayed += 1
            self.statistics.several = epoch in self._epochs
        else:
            self._strayed = 0
            self.statistics.several = False
        self._epochs = [*(one for one in self._epochs if one != epoch), epoch][-_EPOCHS:]


def _several(select: str | Sequence[str]) -> list[str]:
    return [select] if isinstance(select, str) else list(select)


@asynccontextmanager
async def connect(
    url: str,
    select: str | Sequence[str] = (),
    *,
    since: str | None = None,
    window: str | None = None,
    points: int | None = None,
    max_hz: float | None = None,
    merge: str | None = None,
    heartbeat: float | None = None,
    step: str | float | None = None,
    retries: int | None = None,
    token: Token = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Stream]:
    """Subscribe to the service at `url` (http, https, ws or wss).

    `select` is a PromQL selector or expression, or several; all series if it is empty. `step` is
    the time between results of expressions, in whole seconds. The stream begins after the cursor
    `since`, or with `window` of history, merged to about `points` samples of each series, or else
    with the newest sample of each. `max_hz` is how often in a second there may be new samples, and
    `merge` what becomes of several samples of a series in between: `all`, the `last`, or the
    `envelope` (last, lowest, highest). `heartbeat` is how many seconds the connection may be
    silent before a proxy on its path would cut it.

    It reconnects for ever, with full jitter; with `retries`, it gives up if so many more attempts
    fail before it was ever connected. `token` is an API key or JSON Web Token, or a function that
    returns the current one, called for each connection; `Stream.renew` sends a new one on an open
    connection. `tls` says which certificates are trusted, those of the system if None. Nothing is
    sent until the stream is iterated over, which also raises its errors. Raises RuntimeError where
    another event loop than Trio's runs.
    """
    require_trio()
    parameters: dict[str, Any] = {"select": _several(select)}
    optional: dict[str, Any] = {"since": since, "window": window, "max_hz": max_hz}
    optional |= {"points": points, "merge": merge, "heartbeat": heartbeat, "step": step}
    parameters.update({name: value for name, value in optional.items() if value is not None})
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        stream = Stream(url, parameters, retries, token, tls, nursery)
        try:
            yield stream
        except Exception as error:  # noqa: BLE001
            failure = error  # raised outside the nursery, which would wrap it in a group
        finally:
            stream.statistics.phase = "closed"
            with trio.CancelScope(shield=True):
                await stream.aclose()
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
