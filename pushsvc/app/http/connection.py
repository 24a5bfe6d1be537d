"""Request bodies with back-pressure on the sender.

Quart receives a body as fast as it comes and keeps it until it is read. An upload that is applied
as it arrives must not fill the memory while the hub is behind, so here the next part of a body is
received only when the part before has been read.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import trio
from hypercorn.typing import ASGIReceiveCallable
from quart.wrappers import Request
from quart_trio.asgi import TrioASGIHTTPConnection
from quart_trio.wrappers.request import TrioBody, TrioRequest

from pushsvc.errors import Problem, TooLarge
from pushsvc.ingest.inflate import Inflater, inflate_whole, is_whole

JSON_TYPES = (
    "application/json",
    "text/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "",
)
"""Media types under which JSON is sent: by clients that name it, by a browser's `fetch` with a
string, and by `curl -d`."""


class BodyTimeout(Problem):
    """The client went silent in the middle of a body (RFC 9110 section 15.5.9)."""

    status = 408
    title = "Request timeout"

    @classmethod
    def after(cls, seconds: float) -> BodyTimeout:
        return cls(
            "body_timeout", f"no byte of the body came for {seconds:g} s (stream.body_timeout)"
        )


class BoundedBody(TrioBody):
    """A body that holds about `_HIGH` unread bytes at most while it is iterated."""

    _HIGH = 256 * 1024

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        super().__init__(expected_content_length, max_content_length)
        self._room = trio.Event()

    async def wait_room(self) -> None:
        """Wait until few enough bytes are unread."""
        while len(self._data) > self._HIGH:
            self._room = trio.Event()
            await self._room.wait()

    async def __anext__(self) -> bytes:
        data = await super().__anext__()
        self._room.set()
        return data


async def read_parts(request: Request, timeout: float) -> AsyncGenerator[bytes]:
    """The parts of the body as they come. Raises BodyTimeout after `timeout` seconds without a
    byte."""
    body = aiter(request.body)
    while True:
        try:
            with trio.fail_after(timeout):
                part = await anext(body)
        except StopAsyncIteration:
            return
        except trio.TooSlowError:
            raise BodyTimeout.after(timeout) from None
        yield part


async def read_body(request: Request, *, most: int, timeout: float) -> bytes:
    """The whole body. Raises TooLarge beyond `most` bytes, BodyTimeout after `timeout` seconds
    without one."""
    declared = request.content_length
    body = bytearray()
    if declared is None or declared <= most:
        async with aclosing(read_parts(request, timeout)) as parts:
            async for part in parts:
                body += part
                if len(body) > most:
                    break
            else:
                return bytes(body)
    raise TooLarge(
        "body", f"the body is larger than {most} bytes (limits.body_bytes)", limit="body_bytes"
    )


async def read_inflated_parts(
    request: Request, timeout: float, *, most: int, endless: bool = False
) -> AsyncGenerator[bytes]:
    """The body as it comes, decoded from its Content-Encoding in pieces that are each small.

    Checkpoints between the pieces, even where a few bytes decode to very many. Raises what
    `read_parts` and Inflater raise.
    """
    inflater = Inflater(request.headers.get("Content-Encoding", ""), most, endless=endless)
    async with aclosing(read_parts(request, timeout)) as parts:
        async for part in parts:
            for piece in inflater.feed(part):
                yield piece
                await trio.lowlevel.checkpoint()
    inflater.finish()


async def read_inflated(request: Request, *, most: int, timeout: float) -> bytes:
    """The whole body, decoded; `most` bounds both its encoded and its decoded size."""
    if not request.headers.get("Content-Encoding"):
        return await read_body(request, most=most, timeout=timeout)
    if is_whole(coding := request.headers["Content-Encoding"]):
        sent = await read_body(request, most=most, timeout=timeout)
        return await trio.to_thread.run_sync(inflate_whole, coding, sent, most)
    body = bytearray()
    async with aclosing(read_inflated_parts(request, timeout, most=most)) as parts:
        async for part in parts:
            body += part
    return bytes(body)


class BoundedRequest(TrioRequest):
    body_class = BoundedBody


class BoundedHTTPConnection(TrioASGIHTTPConnection):
    async def handle_messages(  # type: ignore[override]
        self, nursery: trio.Nursery, request: Request, receive: ASGIReceiveCallable
    ) -> None:
        body = request.body
        assert isinstance(body, BoundedBody)
        while True:
            message = await receive()
            if message["type"] == "http.request":
                body.append(message.get("body", b""))
                if not message.get("more_body", False):
                    body.set_complete()
                await body.wait_room()
            elif message["type"] == "http.disconnect":
                break
        nursery.cancel_scope.cancel()
