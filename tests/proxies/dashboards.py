"""Many dashboards in one process, as cheap as they can be: bytes are searched, not parsed."""

from __future__ import annotations

import contextlib
import random
import re

import trio

_ID = re.compile(rb'"id":"([^"]+)"')
_RETRY = re.compile(rb'"type":"goaway","retry":(\d+)')
_VALUE = re.compile(rb"\[\d+,\d+,(\d+)")
_GAP = re.compile(rb'"type":"gap","id":"([^"]+)"')
_HANDSHAKE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
HEADS = {
    "websocket": _HANDSHAKE,
    "sse": "Accept: text/event-stream\r\n",
    "ndjson": "Accept: application/x-ndjson\r\n",
}
_PING = b"\x89\x00"
_PONG = b"\x8a\x80mask"
_PATIENCE = 5.0


class Dashboard:
    """Follows the series `n`, whose values count up, and comes back when it is told to."""

    def __init__(self, port: int, transport: str) -> None:
        self.transport = transport
        self.values: set[int] = set()
        self.gaps: set[bytes] = set()
        self.attempts: list[float] = []
        """When it asked for a stream."""
        self.live = trio.Event()
        self.told = 0
        """How often it was asked to go."""
        self.cut = 0
        """How often a stream ended without that."""
        self.refused = 0
        """How often it was to come back later, or found nobody."""
        self._port = port
        self._cursor = b""

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            self.attempts.append(trio.current_time())
            wait = None
            with contextlib.suppress(OSError, trio.BrokenResourceError, trio.TooSlowError):
                wait = await self._follow()
            if wait is None:
                wait = random.uniform(0.5, 2.0)
            await trio.sleep(wait)

    async def _follow(self) -> float | None:
        """One stream; the seconds it was asked to wait, if it was."""
        since = f"&since={self._cursor.decode()}" if self._cursor else ""
        request = f"GET /v1/stream?select=n{since} HTTP/1.1\r\nHost: test\r\n"
        async with await trio.open_tcp_stream("127.0.0.1", self._port) as stream:
            await stream.send_all(f"{request}{HEADS[self.transport]}\r\n".encode())
            with trio.fail_after(_PATIENCE):
                head = await stream.receive_some()
            if head.split(b" ", 2)[1] not in (b"101", b"200"):
                self.refused += 1
                return None
            data = bytes(head)
            self.live.set()
            while True:
                self._take(data)
                told = _RETRY.search(data)
                if told is not None:
                    self.told += 1
                    self.live = trio.Event()
                    return int(told[1]) / 1000
                if self.transport == "websocket" and _PING in data:
                    await stream.send_all(_PONG)
                more = bytes(await stream.receive_some())
                if not more:
                    self.cut += 1
                    self.live = trio.Event()
                    return None
                # What was cut in two by the network is found in the next turn.
                data = data[data.rfind(b"{", 0, -1) :][-4096:].replace(_PING, b"") + more

    def _take(self, data: bytes) -> None:
        found = _ID.findall(data)
        if found:
            self._cursor = found[-1]
        self.gaps.update(_GAP.findall(data))
        self.values.update(int(value) for value in _VALUE.findall(data))
