"""`POST /v1/stream/SESSION`: for one-way streams, what a WebSocket's client would send on its
socket.

The stream may be at another worker on this machine, which is then asked to do it. Other pods aren't
asked: a client whose session is unknown reconnects, which is as quick.
"""

from __future__ import annotations

from typing import Any

import msgspec
import trio
from quart import Response, request
from quart_trio import QuartTrio

import pushsvc.errors
from pushsvc.app.http.connection import read_body
from pushsvc.app.http.context import Context
from pushsvc.app.http.described import TOO_SLOW, Parameter, described, json
from pushsvc.app.http.guard import principal_of_request
from pushsvc.core.delivery.documents import Granted
from pushsvc.core.delivery.start import Start
from pushsvc.errors import Malformed, Problem, Unknown
from pushsvc.pipeline import now_ms
from pushsvc.transport.inbound import Auth, Watch, decode_message, wanted_by
from pushsvc.workers.peers import PeerGone


class Watched(msgspec.Struct, frozen=True):
    """What a stream shows from now on."""

    granted: Granted


def install(app: QuartTrio, context: Context) -> None:
    limits, pacing = context.limits, context.pacing
    if context.peers is not None:

        async def answer(body: bytes) -> bytes:
            return await _answer(context, body)

        context.peers.answer("say", answer)

    @app.post("/v1/stream/<session>")
    @described(
        "Say to a stream what its transport can't carry",
        "The session is the one of the stream's hello.",
        parameters=(Parameter("session", str, "From hello.", "path"),),
        body=json(Watch | Auth, ""),
        answers={
            200: json(Watched, "Granted."),
            400: "Not a message that is known.",
            404: "No stream of the process that was asked has this session. Where services share a "
            "log, another may have it, and the stream goes on as it was: reconnect is true, and "
            "says to open one for what is wanted now, with the newest cursor.",
            408: TOO_SLOW,
            413: "Larger than limits.message_bytes.",
            422: "Beyond a limit.",
            503: "No room for another view.",
        },
    )
    async def companion(session: str) -> Response:
        """Apply a message that a one-way stream's client can't send on the stream itself."""
        body = await read_body(request, most=limits.message_bytes, timeout=pacing.body_timeout)
        message = _Message(session, principal_of_request().id, body)
        granted = await _say_elsewhere(context, message) or await _say(context, message)
        return Response(msgspec.json.encode(Watched(granted)), content_type="application/json")


class _Message(msgspec.Struct, frozen=True):
    """A request in the form in which it goes to another worker."""

    session: str
    who: str
    """The identity of the sender."""
    body: bytes


class _Refusal(msgspec.Struct, frozen=True):
    """A Problem in the form in which it comes from another worker."""

    kind: str
    code: str
    detail: str
    extra: dict[str, Any]


class _Answer(msgspec.Struct, frozen=True):
    granted: Granted | None = None
    refusal: _Refusal | None = None


async def _say(context: Context, message: _Message) -> Granted:
    """Apply a message to a stream of this process, and return what was granted. Raises Problem."""
    hub, session = context.hub, message.session
    subscriber = hub.subscribers.get(session)
    if subscriber is None:
        raise Unknown(
            "session",
            "no stream of this process has this session: it has ended, or another process has "
            "it. Open a stream for what is wanted now, with the newest cursor",
            reconnect=True,
        )
    context.leases.refuse_others(subscriber, message.who)
    if not message.body:
        raise Malformed("message", "the body is empty: it takes a message such as a watch")
    said = decode_message(message.body)
    spec = subscriber.view.spec
    if isinstance(said, Auth):
        context.leases.renew(subscriber, said.token)
    else:
        spec, window = wanted_by(hub, spec, said, context.limits)
        await context.pipeline.prepare(spec, Start(None, window))
        now = trio.current_time()
        hub.watch(session, spec, window, said.points, now=now, time_ms=now_ms())
    context.pipeline.wake_ticker()
    return Granted(spec.max_hz, spec.merge, spec.select)


async def _say_elsewhere(context: Context, message: _Message) -> Granted | None:
    """Have the worker apply it that has the stream; None if no worker has. Raises Problem."""
    peers = context.peers
    holder = None if peers is None else peers.holder(message.session)
    if peers is None or holder is None:
        return None
    try:
        said = await peers.ask(holder, "say", msgspec.msgpack.encode(message))
    except PeerGone:
        return None  # the worker is gone, and its streams too
    answer = msgspec.msgpack.decode(said, type=_Answer)
    if answer.refusal is not None:
        refusal = answer.refusal
        kind: type[Problem] = getattr(pushsvc.errors, refusal.kind)
        raise kind(refusal.code, refusal.detail, **refusal.extra)
    return answer.granted


async def _answer(context: Context, body: bytes) -> bytes:
    """Apply it for another worker."""
    try:
        answer = _Answer(await _say(context, msgspec.msgpack.decode(body, type=_Message)))
    except Problem as problem:
        kind = next(
            one.__name__ for one in type(problem).__mro__ if one.__module__ == Problem.__module__
        )
        answer = _Answer(None, _Refusal(kind, problem.code, problem.detail, problem.extra))
    return msgspec.msgpack.encode(answer)
