"""Measurements. A failure of the path is a result here; only `echo` raises it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import httpx
import msgspec
import trio

from pushsvc.doctor.measured import Busy, Drip, Echo, Quiet, Upload
from pushsvc.doctor.way import FAILURES, Way, said

_CLOCK_TRIES = 4


async def drip(way: Way, lines: int, interval: float, accept_encoding: str = "gzip") -> Drip:
    """Get an answer of `lines` lines, `interval` seconds apart, and note when they arrive."""
    began, asked = trio.current_time(), time.time()
    arrived: list[float] = []
    sent: list[int] = []
    encoding = failure = ""
    whole = False
    try:
        with trio.fail_after(way.timeout + lines * interval):
            async with (
                way.http() as http,
                http.stream(
                    "GET",
                    f"/v1/doctor/drip?lines={lines}&interval={round(interval * 1000)}ms",
                    headers={"Accept-Encoding": accept_encoding},
                ) as answer,
            ):
                encoding = answer.headers.get("Content-Encoding", "")
                if answer.status_code != 200:
                    failure = f"status {answer.status_code}"
                else:
                    async for line in answer.aiter_lines():
                        if line:
                            sent.append(msgspec.json.decode(line)["time_ms"])
                            arrived.append(trio.current_time() - began)
                    whole = len(arrived) == lines
                    failure = "" if whole else f"it ended after {len(arrived)} of {lines} lines"
    except* FAILURES as group:
        failure = said(group)
    except* (msgspec.DecodeError, KeyError):
        failure = "what arrived is not what was sent"
    except* trio.TooSlowError:
        failure = "it came to a halt"
    return Drip(tuple(arrived), tuple(sent), encoding, whole, failure, asked)


async def upload(way: Way, pieces: int, size: int, interval: float) -> Upload:
    """Send a body of `pieces` pieces of `size` bytes, `interval` seconds apart."""
    total, took = pieces * size, (pieces - 1) * interval

    async def body() -> AsyncIterator[bytes]:
        for number in range(pieces):
            if number:
                await trio.sleep(interval)
            yield b" " * size

    failure = f"no answer within {way.timeout:g} s of its end"
    try:
        with trio.move_on_after(way.timeout + took):
            async with way.http() as http:
                answer = await http.post("/v1/doctor/upload", content=body())
            if answer.status_code != 200:
                return Upload(total, took, 0.0, answer.status_code)
            told = msgspec.json.decode(answer.content, type=dict[str, int])
            spread = (told["last_ms"] - told["first_ms"]) / 1000
            return Upload(total, took, spread, 200)
    except* FAILURES as group:
        failure = said(group)
    except* (msgspec.DecodeError, KeyError):
        failure = "the answer is none of this service"
    return Upload(total, took, 0.0, 0, failure)


async def epochs(way: Way, count: int) -> tuple[str, ...]:
    """The epochs of `count` answers, each over a connection of its own; failures are left out."""
    told = []
    for _ in range(count):
        try:
            answer = await echo(way)
            told.append(msgspec.json.decode(answer.content, type=Echo).epoch)
        except (*FAILURES, msgspec.DecodeError):
            continue
    return tuple(told)


async def quiet_answer(way: Way, seconds: float) -> Quiet:
    """Get an answer that is quiet for `seconds` between its first and its last line."""
    began = trio.current_time()
    measured = await drip(way, 2, seconds, "identity")
    lived = trio.current_time() - began
    if measured.whole:
        return Quiet(seconds, seconds, "alive")
    if not measured.arrived and lived < seconds * 0.9 and "status" in measured.failure:
        # A gateway's own 502 or 504 is a cut; it is seen where headers had been held back.
        cut = measured.failure in ("status 502", "status 504") and lived > 1
        return Quiet(seconds, lived, "cut" if cut else "failed", measured.failure)
    end = "silent" if lived >= seconds else "cut"
    return Quiet(seconds, lived, "silent" if end == "silent" else "cut", measured.failure)


async def quiet_socket(way: Way, seconds: float) -> Quiet:
    """Keep a WebSocket quiet for `seconds`, then send a message and wait for its echo."""
    opened: float | None = None
    failure = ""
    try:
        async with way.socket("/v1/doctor/echo") as socket:
            opened = trio.current_time()
            with trio.move_on_after(seconds):
                await socket.get_message()
            with trio.move_on_after(way.timeout):
                await socket.send_message("still there?")
                await socket.get_message()
                return Quiet(seconds, seconds, "alive")
            return Quiet(seconds, trio.current_time() - opened, "silent", "no echo")
    except* FAILURES as group:
        failure = said(group)
    if opened is None:
        return Quiet(seconds, 0.0, "failed", failure)
    return Quiet(seconds, trio.current_time() - opened, "cut", failure)


async def busy_socket(way: Way, seconds: float, every: float = 1.0) -> Busy:
    """How long a WebSocket that is never quiet lived, and what ended it early."""
    opened: float | None = None
    failure = ""
    try:
        async with way.socket("/v1/doctor/echo") as socket:
            opened = trio.current_time()
            while True:
                left = opened + seconds - trio.current_time()
                with trio.move_on_after(way.timeout) as waiting:
                    await socket.send_message("busy")
                    await socket.get_message()
                if waiting.cancelled_caught:
                    return Busy(trio.current_time() - opened, "no echo any more")
                if left <= 0:
                    break
                await trio.sleep(min(every, left))
    except* FAILURES as group:
        failure = said(group)
    return Busy(0.0 if opened is None else trio.current_time() - opened, failure)


async def busy_answer(way: Way, seconds: float, every: float = 1.0) -> Busy:
    """How long an answer that is never quiet lived, and what ended it early."""
    began = trio.current_time()
    measured = await drip(way, round(seconds / every) + 1, every, "identity")
    return Busy(trio.current_time() - began, measured.failure)


async def stream_socket(way: Way) -> str:
    """Why a WebSocket carries no stream; empty if it does."""
    failure = f"it opened, and no first message came within {way.timeout:g} s"
    try:
        async with way.socket("/v1/stream", as_page=True) as socket:
            with trio.move_on_after(way.timeout):
                document = msgspec.json.decode(await socket.get_message())
                kind = document.get("type")
                failure = "" if kind == "hello" else f"the service says {document}"[:200]
    except* FAILURES as group:
        failure = said(group)
    except* (msgspec.DecodeError, AttributeError):
        failure = "what arrived is no message of this service"
    return failure


async def clock(way: Way) -> tuple[float, float, int] | None:
    """Unix seconds before and after a request, and the service's own milliseconds in between; of
    several requests on one connection, those of the fastest. None without an answer."""
    best: tuple[float, float, int] | None = None
    try:
        with trio.move_on_after(way.timeout):
            async with way.http() as http:
                for _ in range(_CLOCK_TRIES):
                    before = time.time()
                    answer = await http.get("/v1/doctor/echo")
                    after = time.time()
                    told = msgspec.json.decode(answer.content, type=Echo).time_ms
                    if best is None or after - before < best[1] - best[0]:
                        best = before, after, told
    except* (*FAILURES, msgspec.DecodeError):
        pass
    return best


async def stream_answer(way: Way, media_type: str) -> str:
    """Why HTTP carries no stream of this media type; empty if it does."""
    failure = f"no first byte within {way.timeout:g} s"
    # A client that also accepts problems gets errors as a status.
    headers = {"Accept": f"{media_type}, application/problem+json"}
    try:
        with trio.move_on_after(way.timeout) as reading:
            async with (
                way.http() as http,
                http.stream("GET", "/v1/stream?wait=250ms", headers=headers) as answer,
            ):
                kind = answer.headers.get("Content-Type", "").partition(";")[0]
                if answer.status_code != 200:
                    return f"status {answer.status_code}"
                if kind != media_type:
                    return f"it came as {kind or 'nothing'}, not {media_type}"
                failure = f"headers came, and no first byte within {way.timeout:g} s"
                async for _ in answer.aiter_bytes():
                    failure = ""
                    # Not left by a return: httpx's generators end cleanly only from within.
                    reading.cancel()
    except* FAILURES as group:
        failure = said(group)
    return failure


async def echo(way: Way) -> httpx.Response:
    """How a request arrives at the service. Raises one of FAILURES."""
    async with way.http() as http:
        with trio.move_on_after(way.timeout):
            return await http.get("/v1/doctor/echo", params={"origin": way.origin})
    raise httpx.ReadTimeout(f"no answer within {way.timeout:g} s")
