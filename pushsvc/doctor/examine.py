"""The examination: all probes side by side, then the judgements."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import httpx
import msgspec
import trio

from pushsvc.doctor import probes
from pushsvc.doctor.diagnosis import diagnose
from pushsvc.doctor.findings import Report
from pushsvc.doctor.measured import Busy, Drip, Echo, Measured, Quiet
from pushsvc.doctor.way import FAILURES, Way, said

_STREAMS: Final = (
    ("SSE", "text/event-stream"),
    ("NDJSON", "application/jsonl"),
    ("long poll", "application/json"),
)
_SHARES: Final = (0.25, 0.5, 1.0)
"""The quiet times that are tried, as shares of the longest. If a connection is dropped silently,
the limit lies between two of them; if it is cut, the time is measured exactly."""
_LONGER: Final = 5.0
"""Seconds beyond the time that a long poll waits."""
_PIECE: Final = 256 * 1024
"""Six of these pieces are more than a megabyte, which is a usual limit of proxies."""
_OTHERS: Final = 5
"""Further answers, to see whether they come from one service."""


class Unexaminable(Exception):
    """No examination is possible at that URL; the message says why."""


async def examine(
    way: Way, idle: float | None, progress: Callable[[str], None] = lambda _: None
) -> Report:
    """Examine a path. It takes about `idle` seconds; None means a little longer than a long poll
    waits. `progress` is called with what is being done.

    Raises Unexaminable.
    """
    began = trio.current_time()
    progress("asking how requests arrive")
    before = time.time()
    answer = await _first(way)
    after = time.time()
    echo = msgspec.json.decode(answer.content, type=Echo)
    if idle is None:
        idle = echo.poll_wait + _LONGER
    told = await probes.clock(way)
    if told is not None:
        before, after, time_ms = told
        echo = msgspec.structs.replace(echo, time_ms=time_ms)
    through: dict[str, str] = {}
    sockets: list[Quiet] = []
    answers: list[Quiet] = []
    busy: dict[str, Busy] = {}
    dripped: list[Drip] = []

    async def quiet_socket(seconds: float) -> None:
        sockets.append(await probes.quiet_socket(way, seconds))

    async def quiet_answer(seconds: float) -> None:
        answers.append(await probes.quiet_answer(way, seconds))

    async def tell() -> None:
        while True:
            left = max(0.0, idle - (trio.current_time() - watched))
            progress(f"watching quiet and busy connections, {left:.0f} s to go")
            await trio.sleep(1)

    progress("trying the transports")
    through["WebSocket"] = await probes.stream_socket(way)
    for kind, media_type in _STREAMS:
        through[kind] = await probes.stream_answer(way, media_type)
    progress("looking for what buffers")
    dripped.append(await probes.drip(way, 8, 0.25))
    progress("trying an upload")
    upload = await probes.upload(way, 6, _PIECE, 0.2)
    epochs = (echo.epoch, *await probes.epochs(way, _OTHERS))
    # If the service refuses the page's origin, that says nothing about WebSockets on this path.
    sockets_pass = not through["WebSocket"] or bool(echo.origin_refused)
    every = min(1.0, idle / 8)
    watched = trio.current_time()
    async with trio.open_nursery() as telling:
        telling.start_soon(tell)
        async with trio.open_nursery() as nursery:

            async def busy_answer() -> None:
                busy["HTTP stream"] = await probes.busy_answer(way, idle, every)

            async def busy_socket() -> None:
                busy["WebSocket"] = await probes.busy_socket(way, idle, every)

            nursery.start_soon(busy_answer)
            if sockets_pass:
                nursery.start_soon(busy_socket)
            for share in _SHARES:
                nursery.start_soon(quiet_answer, share * idle)
                if sockets_pass:
                    nursery.start_soon(quiet_socket, share * idle)
        telling.cancel_scope.cancel()

    return diagnose(
        Measured(
            url=way.url,
            idle=idle,
            seconds=trio.current_time() - began,
            before=before,
            after=after,
            echo=echo,
            headers={name.lower(): value for name, value in answer.headers.items()},
            front=answer.http_version,
            through=through,
            drip=dripped[0],
            quiet={"WebSocket": sockets, "HTTP stream": answers},
            busy=busy,
            epochs=epochs,
            upload=upload,
        )
    )


async def _first(way: Way) -> httpx.Response:
    try:
        answer = await probes.echo(way)
    except FAILURES as error:
        raise Unexaminable(f"{way.url}: {said(error)}") from None
    try:
        told = msgspec.json.decode(answer.content, type=dict[str, object])
    except msgspec.DecodeError:
        told = {}
    if answer.status_code in (401, 403):
        if way.token is None:
            raise Unexaminable(f"{way.url}: status {answer.status_code}; it asks for a --token")
        why = told.get("detail") or f"status {answer.status_code}"
        raise Unexaminable(f"{way.url}: the token isn't good for this: {why}")
    if answer.status_code != 200 or not isinstance(told.get("time_ms"), int):
        why = told.get("detail") or f"status {answer.status_code}"
        raise Unexaminable(f"{way.url}: no pushsvc with a doctor there ({why})")
    return answer
