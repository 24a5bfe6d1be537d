"""A subscription that keeps its cursor, and so survives any cut."""

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
"""Servers that are told apart."""

AWAY = "the service can't reach its log: nothing newer can come until it can"
"""What there is to say where `Statistics.away_since` is set."""
SEVERAL = (
    "several servers that don't share a journal answer at this address: each has the samples of "
    "its own producers only"
)
"""What there is to say where `Statistics.several` is set."""

Phase = Literal["connecting", "live", "waiting", "closed"]


class Statistics(msgspec.Struct):
    """How a stream is doing."""

    phase: Phase = "connecting"
    connects: int = 0
    """Connections that got as far as a `hello`."""
    retry_in: float | None = None
    """Seconds until the next attempt, while waiting."""
    reason: str = ""
    """Why the last connection ended."""
    samples: int = 0
    cursor: str | None = None
    granted: dict[str, Any] = msgspec.field(default_factory=dict)
    several: bool = False
    """Whether several servers answer at this address that don't share a journal: each has the
    samples of its own producers only."""
    away_since: float | None = None
    """Since when the service can't reach its log, so that nothing newer can come (Unix seconds, by
    the clock of this machine); None while it can."""
    failing: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Why expressions have no results now, by the name that those would have."""


class _Cut(Exception):
    """The connection is over; come back after `delay` seconds, or with back-off if not said."""

    def __init__(self, reason: str, delay: float | None = None) -> None:
        super().__init__(reason)
        self.delay = delay


class Stream:
    """An open subscription, made by `connect`. Iterate over it; only one task may.

    It reads only as fast as it is iterated over: a caller that is slow is slow towards the
    server, which merges or counts what it can't wait for.
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
        # What belongs to one connection.
        self._heartbeat = 15.0
        self._goaway: float | None = None
        self._error: Document | None = None
        self._epochs: list[str] = []  # the newest last
        self._strayed = 0  # how often of late a connection led to another epoch

    @property
    def series(self) -> Mapping[int, Series]:
        """The series of this connection, by ref."""
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
        """Change what is watched: now if connected, and for every connection from here on."""
        changes: dict[str, Any] = {"select": _several(select), "window": window, "max_hz": max_hz}
        changes |= {"points": points, "merge": merge, "heartbeat": heartbeat, "step": step}
        changes = {name: value for name, value in changes.items() if value is not None}
        self._parameters.update(changes)
        if self._socket is not None:
            message = msgspec.json.encode({"type": "watch", **changes}).decode()
            with contextlib.suppress(ConnectionClosed):  # the next connection asks for it
                await self._socket.send_message(message)

    async def renew(self, token: str) -> None:
        """Go on with a new token of the same subject: now if connected, and from here on."""
        self._token = token
        if self._socket is not None:
            message = msgspec.json.encode({"type": "auth", "token": token}).decode()
            with contextlib.suppress(ConnectionClosed):  # the next connection presents it
                await self._socket.send_message(message)

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Event:
        """The next event, connecting and reconnecting as it takes.

        Raises Refused when the server won't have this stream, and Unreachable or Busy when the
        first attempts have failed, as many as were allowed.
        """
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
        """Wait as the error asks, or raise it when it was one too many."""
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
            # Where each connection leads to another server, the next one is no better.
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
        """Take note of whose connection this is. A server that is restarted begins an epoch, and
        the one before never comes back: one that does is another server's."""
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

    `select` is a PromQL selector or expression or several, none for every series; `step` how far
    apart results of expressions are, in whole seconds; `since` a cursor to go on from;
    `points` how many of each series are enough for the window, whose samples are merged to about as
    many;
    `heartbeat` the seconds of quiet that the way there bears. It reconnects for ever, with full
    jitter; with `retries`, it gives up if so many more attempts fail before it was ever connected.
    `token` is an API key or JSON Web Token, or what gives the current one for each connection;
    `Stream.renew` sends a new one on this. `tls` says whose certificates are trusted, those that
    are usually trusted here if None. Nothing happens until the stream is iterated over.
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
            failure = error  # raised outside of the nursery, which would wrap it in a group
        finally:
            stream.statistics.phase = "closed"
            with trio.CancelScope(shield=True):
                await stream.aclose()
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
