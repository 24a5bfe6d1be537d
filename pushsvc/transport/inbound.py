"""What a dashboard may say: the messages of a WebSocket, and the body of a companion request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Protocol, get_args

import msgspec
import trio
from msgspec import Meta

from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.merge import Merge
from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.view import ViewSpec
from pushsvc.core.hub import Hub
from pushsvc.core.model.duration import parse_duration
from pushsvc.core.query.selector import EVERY_SERIES, parse
from pushsvc.core.resources.limits import Limits
from pushsvc.core.resources.rate_limiter import RateLimiter
from pushsvc.core.standing.asked import Asked, read_asked
from pushsvc.errors import Malformed, Problem, TooMany
from pushsvc.pipeline import now_ms


class Watch(msgspec.Struct, tag_field="type", tag="watch", forbid_unknown_fields=True):
    """Change what a stream shows; fields that are left out stay as they were. The stream answers
    with a new hello and describes all that is watched again."""

    select: list[str] | None = None
    window: Annotated[
        str | float | None,
        Meta(description="How much of the past is wanted of series not watched before."),
    ] = None
    # Values are checked later, with better messages than a decoder has.
    points: Annotated[
        int | None,
        Meta(
            description="Points of each of them that are enough for it.",
            extra_json_schema={"minimum": 4},
        ),
    ] = None
    max_hz: Annotated[float | None, Meta(extra_json_schema={"exclusiveMinimum": 0})] = None
    merge: Annotated[str | None, Meta(extra_json_schema={"enum": [*get_args(Merge), None]})] = None
    heartbeat: str | float | None = None
    step: Annotated[
        str | float | None,
        Meta(description="From one result of an expression to the next: whole seconds."),
    ] = None


class Auth(msgspec.Struct, tag_field="type", tag="auth", forbid_unknown_fields=True):
    """Extend a stream until this token expires, which must be of the same subject."""

    token: str


_decode: Callable[[bytes | str], Watch | Auth] = msgspec.json.Decoder(Watch | Auth).decode


def decode_message(data: bytes | str) -> Watch | Auth:
    """Read one message. Raises Malformed, whose code is `message`."""
    try:
        return _decode(data)
    except RecursionError:
        raise Malformed("message", "the message is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Malformed("message", f"not a message this stream knows: {error}") from None


def check_points(points: int | None, window: object) -> None:
    """Raise Malformed for a number of points that makes no picture of a window."""
    if points is not None and (points < 4 or window is None):
        raise Malformed("points", "points takes a window, and is a whole number, 4 or more")


def wanted_by(
    hub: Hub, current: ViewSpec, watch: Watch, limits: Limits
) -> tuple[ViewSpec, float | None]:
    """What is granted when a client that watched something else asks for this, and how many seconds
    of history of the series that are new to it. Raises Malformed and Rejected."""
    asked: Sequence[Asked] = (
        (*current.selectors, *current.expressions)
        if watch.select is None
        else [read_asked(text, limits) for text in watch.select]
    )
    window = None if watch.window is None else parse_duration(str(watch.window), "window")
    check_points(watch.points, window)
    spec = hub.grant(
        asked or (parse(EVERY_SERIES, limits),),
        current.max_hz if watch.max_hz is None else watch.max_hz,
        current.merge if watch.merge is None else watch.merge,
        current.heartbeat
        if watch.heartbeat is None
        else parse_duration(str(watch.heartbeat), "heartbeat"),
        (current.step / 1000 or None)
        if watch.step is None
        else parse_duration(str(watch.step), "step"),
    ).within(current.allowed)
    return spec, window


def apply_watch(
    hub: Hub,
    session: str,
    current: ViewSpec,
    watch: Watch,
    limits: Limits,
    *,
    now: float,
    time_ms: int,
) -> ViewSpec:
    """Move a live stream to what a `watch` asks for, and return what was granted. New expressions
    begin with the results that are known.

    Raises Malformed, Rejected, Unknown and Overloaded; the stream is then unchanged.
    """
    spec, window = wanted_by(hub, current, watch, limits)
    hub.watch(session, spec, window, watch.points, now=now, time_ms=time_ms)
    return spec


class Prepare(Protocol):
    """Has the history of expressions computed before they are watched."""

    def __call__(
        self, spec: ViewSpec, start: Start, tell: Callable[[Problem | None], None], /
    ) -> bool:
        """Whether it is known already; else `tell` is called when it is, or with the problem that
        prevents it."""


class _PendingWatch(msgspec.Struct):
    """A `watch` that waits for the history of its expressions."""

    spec: ViewSpec
    window: float | None
    points: int | None


class Conversation:
    """What a WebSocket's client may send, and how much of it; the same for both ways of carrying a
    WebSocket."""

    __slots__ = ("_hub", "_limiter", "_limits", "_pending", "_prepare", "_renew", "_wake_ticker")

    def __init__(
        self,
        hub: Hub,
        limits: Limits,
        wake_ticker: Callable[[], None],
        renew: Callable[[Subscriber, str], None],
        prepare: Prepare,
        now: float,
    ) -> None:
        self._hub = hub
        self._limits = limits
        self._wake_ticker = wake_ticker
        self._renew = renew
        self._prepare = prepare
        self._pending: _PendingWatch | None = None
        rate = limits.messages_per_second
        self._limiter = RateLimiter(rate, max(1.0, rate * 10), now)

    @property
    def message_bytes(self) -> int:
        return self._limits.message_bytes

    def answer(self, subscriber: Subscriber, message: str | bytes | None) -> None:
        """Do what a message asks for. Raises Problem, with which the stream is then to be ended."""
        now = trio.current_time()
        if not self._limiter.take(now):
            raise TooMany(
                "messages",
                f"more than {self._limiter.per_second:g} messages a second "
                "(limits.messages_per_second)",
                limit="messages_per_second",
            )
        if not isinstance(message, str):
            raise Malformed("binary", "binary messages mean nothing here: send JSON as text")
        said = decode_message(message)
        if isinstance(said, Auth):
            self._renew(subscriber, said.token)
            return
        self._change(subscriber, said)

    def _change(self, subscriber: Subscriber, watch: Watch) -> None:
        """Do what a `watch` asks for, at once or when the history of its expressions is known. A
        `watch` that comes meanwhile replaces it, and keeps of it what it doesn't change itself."""
        before = self._pending
        current = subscriber.view.spec if before is None else before.spec
        spec, window = wanted_by(self._hub, current, watch, self._limits)
        points = watch.points
        if window is None and before is not None:
            window, points = before.window, before.points
        pending = self._pending = _PendingWatch(spec, window, points)

        def give(problem: Problem | None) -> None:
            if self._pending is not pending:
                return  # another one came meanwhile
            self._pending = None
            if problem is None and subscriber.session in self._hub.subscribers:
                try:
                    self._give(subscriber, pending)
                except Problem as refused:
                    problem = refused
            if problem is not None:
                subscriber.carrier.end(
                    Ending(problem.code, problem.close_code, message=problem.detail)
                )

        if self._prepare(spec, Start(None, window), give):
            self._pending = None
            self._give(subscriber, pending)

    def _give(self, subscriber: Subscriber, pending: _PendingWatch) -> None:
        self._hub.watch(
            subscriber.session,
            pending.spec,
            pending.window,
            pending.points,
            now=trio.current_time(),
            time_ms=now_ms(),
        )
        self._wake_ticker()
