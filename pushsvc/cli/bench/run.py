"""One run of `pushsvc bench`: who watches, what is published, and when it came."""

from __future__ import annotations

import secrets
import signal
import ssl
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec
import trio

from pushsvc.cli.bench.summary import Summary, Times
from pushsvc.cli.bench.viewer import Ended, connect, documents, wire_of
from pushsvc.client import ClientError, open_publisher

NAME: Final = "pushsvc_bench"
_AT_ONCE: Final = 50
"""Connections that are being opened at the same time."""
_PATIENCE: Final = 30.0
"""Seconds that a connection may take, and that the last update may."""
_READ_ALIKE: Final = 64
"""Documents whose meaning is remembered: all who watch are given the same ones."""
_REASONS: Final = 10


class Unmeasurable(Exception):
    """Nothing could be measured; the message says why."""


class Plan(msgspec.Struct, frozen=True):
    url: str
    transport: str
    connections: int
    series: int
    rate: float
    duration: float
    token: str | None


class _Points(msgspec.Struct):
    type: str
    points: list[list[float]] = []


_decode = msgspec.json.Decoder(_Points).decode


class Bench:
    """A run, and what it has found so far."""

    def __init__(self, plan: Plan, tls: ssl.SSLContext, progress: Callable[[str], None]) -> None:
        self._plan = plan
        self._tls = tls
        self._progress = progress
        self._url = urlsplit(plan.url)
        self._run = secrets.token_hex(4)
        self._numbers: dict[bytes, int] = {}  # by document, the newest update in it
        self._sent: list[float] = []  # when each update was sent, by its number
        self._taken: list[bool] = []  # whether it was, by its number
        self._last: dict[int, int] = {}  # by connection, the newest update that it has
        self._connected = 0
        self._failed: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._gone: set[int] = set()
        self._missing = 0
        self._bytes = 0
        self._handshakes, self._answers, self._receipts = Times(), Times(), Times()
        self._moved = trio.Event()
        self._seconds = 0.0
        self._cpu = 0.0
        self._interrupted = False

    def summary(self) -> Summary:
        plan = self._plan
        return Summary(
            url=plan.url,
            transport=plan.transport,
            connections=plan.connections,
            connected=self._connected,
            failed=dict(self._failed.most_common(_REASONS)),
            series=plan.series,
            updates=max(0, sum(self._taken) - 1),  # the first was there before
            seconds=round(self._seconds, 3),
            refused=dict(self._refused.most_common(_REASONS)),
            missing=self._missing,
            received_bytes=self._bytes,
            handshake=self._handshakes.spread(),
            publish=self._answers.spread(),
            receipt=self._receipts.spread(),
            own_cpu=self._cpu / self._seconds if self._seconds else 0.0,
            interrupted=self._interrupted,
        )

    async def run(self) -> None:
        """Measure, until all is done or SIGINT comes. Raises Unmeasurable."""
        plan = self._plan
        try:
            async with open_publisher(plan.url, token=plan.token, tls=self._tls) as publisher:
                await publisher.publish(self._samples(0))
                self._sent.append(time.perf_counter())
                self._taken.append(True)
                try:
                    async with trio.open_nursery() as nursery:
                        await nursery.start(self._interrupt, nursery.cancel_scope)
                        async with trio.open_nursery() as watching:
                            await self._connect_all(watching)
                            if self._connected:
                                await self._publish_all(publisher)
                            watching.cancel_scope.cancel()
                        nursery.cancel_scope.cancel()
                finally:
                    self._progress("")
                    with trio.move_on_after(_PATIENCE / 10) as scope:
                        scope.shield = True
                        await publisher.publish(self._samples(None))
        except ClientError as error:
            raise Unmeasurable(f"{plan.url} can't be published to: {error}") from None
        if self._failed and not self._connected and not self._interrupted:
            [(reason, _)] = self._failed.most_common(1)
            raise Unmeasurable(f"{plan.url} can't be watched: {reason}")

    async def _interrupt(
        self,
        scope: trio.CancelScope,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for _ in signals:
                self._interrupted = True
                scope.cancel()

    def _samples(self, number: int | None) -> list[dict[str, Any]]:
        """An update: its number is the value of each series. None ends them."""
        return [
            {"name": NAME, "labels": {"run": self._run, "series": str(n)}, "value": number}
            for n in range(self._plan.series)
        ]

    # -- watching ----------------------------------------------------------------------------------

    async def _connect_all(self, nursery: trio.Nursery) -> None:
        opening = trio.CapacityLimiter(_AT_ONCE)
        for number in range(self._plan.connections):
            await opening.acquire_on_behalf_of(number)
            nursery.start_soon(self._watch, number, opening)
            if number % _AT_ONCE == 0:
                self._progress(f"connecting: {self._connected:,} of {self._plan.connections:,}")
        while opening.borrowed_tokens:
            await self._next_move()

    async def _watch(self, number: int, opening: trio.CapacityLimiter) -> None:
        stream: trio.abc.Stream | None = None
        wire = wire_of(self._plan.transport, self._url, self._target(), self._plan.token)
        waiting = True
        try:
            began = time.perf_counter()
            with trio.move_on_after(_PATIENCE) as patience:
                stream = await connect(self._url, self._tls)
                async for document, size in documents(stream, wire):
                    self._bytes += size
                    update = self._number_in(document)
                    if waiting and update is not None:
                        waiting = False
                        patience.deadline = float("inf")
                        self._handshakes.add(time.perf_counter() - began)
                        self._connected += 1
                        self._last[number] = update
                        opening.release_on_behalf_of(number)
                        self._move()
                    elif update is not None:
                        self._receive(number, update)
            self._fail(number, f"nothing came for {_PATIENCE:.0f} s")
        except Ended as error:
            self._fail(number, str(error))
        except (OSError, trio.BrokenResourceError) as error:
            self._fail(number, str(error) or "the connection broke")
        finally:
            if waiting:
                opening.release_on_behalf_of(number)
                self._move()
            if stream is not None:
                await trio.aclose_forcefully(stream)

    def _target(self) -> str:
        select = quote(f'{NAME}{{run="{self._run}"}}')
        return f"{self._url.path.rstrip('/')}/v1/stream?select={select}&max_hz=20"

    def _number_in(self, document: bytes) -> int | None:
        """The newest update that a document has points of; None if it has none."""
        known = self._numbers.get(document)
        if known is None:
            points = _decode(document)
            known = -1
            if points.type == "points":
                known = round(max((point[2] for point in points.points), default=-1.0))
            if len(self._numbers) >= _READ_ALIKE:
                self._numbers.clear()
            self._numbers[document] = known
        return None if known < 0 else known

    def _receive(self, number: int, update: int) -> None:
        now = time.perf_counter()
        for each in range(self._last[number] + 1, update + 1):
            if self._taken[each]:
                self._receipts.add(now - self._sent[each])
        if update > self._last[number]:
            self._last[number] = update
            self._move()

    def _fail(self, number: int, reason: str) -> None:
        self._failed[reason] += 1
        self._gone.add(number)
        self._last.pop(number, None)
        self._move()

    def _move(self) -> None:
        self._moved.set()

    async def _next_move(self) -> None:
        """Wait until something has come, or a connection is over."""
        self._moved = trio.Event()
        await self._moved.wait()

    # -- publishing --------------------------------------------------------------------------------

    async def _publish_all(self, publisher: Any) -> None:
        plan = self._plan
        newest = 0
        began, cpu = time.perf_counter(), time.process_time()
        try:
            start = trio.current_time()
            for number in range(1, max(1, round(plan.duration * plan.rate)) + 1):
                await trio.sleep_until(start + (number - 1) / plan.rate)
                self._progress(f"update {number:,}: {len(self._last):,} dashboards watch")
                sent = time.perf_counter()
                self._sent.append(sent)
                self._taken.append(True)  # a dashboard may have it before it is answered
                try:
                    await publisher.publish(self._samples(number))
                except ClientError as error:
                    self._taken[number] = False
                    self._refused[str(error)] += 1
                    continue
                newest = number
                self._answers.add(time.perf_counter() - sent)
            with trio.move_on_after(_PATIENCE):
                while any(last < newest for last in self._last.values()):
                    await self._next_move()
        finally:
            if not self._interrupted:
                self._missing = sum(sum(self._taken[last + 1 :]) for last in self._last.values())
            self._seconds = time.perf_counter() - began
            self._cpu = time.process_time() - cpu
