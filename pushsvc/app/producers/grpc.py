"""OTLP over gRPC: `MetricsService/Export`, and the health service that clients and proxies ask.

A unary call is a POST over HTTP/2 whose answer ends with trailers. Quart has no trailers, so that
these calls are answered before it, by the functions of the other routes. They come on any port of
the service, in the clear or over TLS.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import trio

from pushsvc.app.http.connection import BodyTimeout
from pushsvc.app.http.context import Context
from pushsvc.app.http.guard import settle
from pushsvc.app.http.plain import tickets_of
from pushsvc.app.http.problems import jittered
from pushsvc.app.producers.otlp import take_in
from pushsvc.app.producers.producer import note_request
from pushsvc.auth.access import AccessDecision, AccessRequest, Need
from pushsvc.auth.principal import NO_ONE, account
from pushsvc.errors import Problem, Unknown
from pushsvc.ingest import grpc
from pushsvc.ingest.grpc import Code, OneMessage
from pushsvc.ingest.inflate import Inflater
from pushsvc.ingest.producers import Sender
from pushsvc.listen.address import plain
from pushsvc.listen.connection import connection_of
from pushsvc.log import get_logger

_log = get_logger("pushsvc.app")

_App = Callable[[Any, Any, Any], Awaitable[None]]
_TRAILERS: Final = "http.response.trailers"
_MEDIA_TYPES: Final = ("application/grpc", "application/grpc+proto")
EXPORT: Final = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
CHECK: Final = "/grpc.health.v1.Health/Check"
_SERVICES: Final = (b"", b"opentelemetry.proto.collector.metrics.v1.MetricsService")
"""Whose health is known: of the whole server, and of what there is."""
_SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"
"""A HealthCheckResponse, which has one field (https://github.com/grpc/grpc/blob/master/doc/
health-checking.md)."""
_MOST_CHECK: Final = 256


class _Unimplemented(Problem):
    """There is no such method, or no such encoding of messages."""

    status = 501
    title = "Not implemented"


class Grpc:
    """Answers calls of gRPC before another ASGI app, which gets everything else."""

    def __init__(self, app: _App, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # Other servers may have no trailers.
        if scope["type"] == "http" and _TRAILERS in (scope.get("extensions") or {}):
            headers = _headers(scope)
            media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
            if media_type in _MEDIA_TYPES and scope["method"] == "POST":
                await _Call(self._context, scope, headers, receive, send).run()
                return
        await self._app(scope, receive, send)


class _Gone(Exception):
    """The client has ended its call."""


class _Call:
    """One call."""

    def __init__(
        self, context: Context, scope: Any, headers: Mapping[str, str], receive: Any, send: Any
    ) -> None:
        self._context = context
        self._scope = scope
        self._headers = headers
        self._receive = receive
        self._send = send
        client = scope.get("client")
        peer = plain(client[0]) if client else ""
        query = scope["query_string"]
        self._request = AccessRequest(
            "POST", headers, tickets_of(query), peer, scope["scheme"], False, query
        )
        self._sender = Sender(account(NO_ONE, peer), headers.get("user-agent", ""), peer)

    async def run(self) -> None:
        """Answer it."""
        timeout = grpc.seconds_of(self._headers.get("grpc-timeout", ""))
        with trio.move_on_after(math.inf if timeout is None else timeout) as within:
            try:
                answer, end = await self._answer(), grpc.trailers(Code.OK)
            except _Gone:
                return
            except Problem as problem:
                answer, end = b"", self._refusal(problem)
            except Exception:  # noqa: BLE001
                # A crash is logged with its traceback, and ends only this call.
                _log.exception("call failed", method=self._scope["path"])
                text = "something went wrong here; it has been logged"
                answer, end = b"", grpc.trailers(Code.INTERNAL, text)
        if within.cancelled_caught:
            text = "it took longer than the client said it may"
            answer, end = b"", grpc.trailers(Code.DEADLINE_EXCEEDED, text)
        fields = [
            (b"content-type", b"application/grpc"),
            (b"grpc-accept-encoding", ",".join(grpc.ENCODINGS).encode()),
        ]
        start = {"type": "http.response.start", "status": 200, "headers": fields, "trailers": True}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": answer})
        await self._send({"type": "http.response.trailers", "headers": end})

    async def _answer(self) -> bytes:
        """The message of a call that went well, as it is sent. Raises Problem."""
        path = self._scope["path"]
        if path == EXPORT:
            return await self._export()
        if path == CHECK:
            return await self._check()
        raise _Unimplemented("method", f"there is no {path[:200]}; there are {EXPORT} and {CHECK}")

    def _refusal(self, problem: Problem) -> list[tuple[bytes, bytes]]:
        if self._scope["path"] == EXPORT:
            note_request(self._context, "otlp", self._sender, problem)
        code = grpc.code_of(problem)
        after = problem.extra.get("retry_after")
        if after is None and code in (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED):
            after = 1.0
        return grpc.trailers(code, problem.detail, None if after is None else jittered(after))

    # -- exporting ---------------------------------------------------------------------------------

    async def _export(self) -> bytes:
        context, began = self._context, trio.current_time()
        decision = await self._admit(Need.WRITE)
        context.pipeline.quotas.refuse(decision.account, began)
        body = await self._message(context.limits.body_bytes)
        answer = await take_in(
            context, context.otlp.protobuf, body, decision.principal, self._sender
        )
        context.pipeline.observed.ingest.of("otlp").add(trio.current_time() - began)
        return grpc.message(answer.SerializeToString())

    async def _admit(self, need: Need) -> AccessDecision:
        decision = await self._context.access.admit(self._request, need)
        address = decision.client.address
        self._sender = Sender(decision.account, self._sender.agent, address)
        if (connection := connection_of(self._scope)) is not None:
            settle(self._context, decision, connection.slot)
        return decision

    # -- health ------------------------------------------------------------------------------------

    async def _check(self) -> bytes:
        await self._admit(Need.PROBE)
        body = await self._message(_MOST_CHECK)
        # A HealthCheckRequest, with a name in its first field, or nothing.
        name = body[2:] if body[:1] == b"\x0a" and body[1:2] == bytes((len(body) - 2,)) else body
        if name not in _SERVICES:
            raise Unknown("service", f"there is no {name.decode(errors='replace')[:200]}")
        serving = not self._context.draining.is_set()
        return grpc.message(_SERVING if serving else _NOT_SERVING)

    # -- the request's message ---------------------------------------------------------------------

    async def _message(self, most: int) -> bytes:
        """The request's message, decoded; at most so many bytes, decoded and encoded."""
        coding = self._headers.get("grpc-encoding", "identity").strip().lower()
        if coding not in grpc.ENCODINGS:
            known = ", ".join(grpc.ENCODINGS)
            text = f"messages come as one of {known}, not as {coding[:60]!r}"
            raise _Unimplemented("grpc_encoding", text)
        whole, patience = OneMessage(most), self._context.pacing.body_timeout
        more = True
        while more:
            with trio.move_on_after(patience) as waiting:
                event = await self._receive()
            if waiting.cancelled_caught:
                raise BodyTimeout.after(patience)
            if event["type"] != "http.request":
                raise _Gone
            whole.feed(event.get("body", b""))
            more = event.get("more_body", False)
        sent, compressed = whole.finish()
        if not compressed:
            return sent
        inflater, decoded = Inflater(coding, most), bytearray()
        for piece in inflater.feed(sent):
            decoded += piece
            await trio.lowlevel.checkpoint()
        inflater.finish()
        return bytes(decoded)


def _headers(scope: Any) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw, text in scope["headers"]:
        name, value = raw.decode("latin-1").lower(), text.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
