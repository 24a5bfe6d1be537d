"""A hub with fake carriers, and clients that do what the protocol asks of them."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.replay import Describe
from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.view import ViewSpec
from pushsvc.core.hub import Hub
from pushsvc.core.model.cursor import parse_cursor
from pushsvc.core.model.series import Batch, Rows, Value, identify
from pushsvc.core.query.selector import parse
from pushsvc.core.resources.limits import Limits, Pacing, Retention
from pushsvc.core.storage.holdings import Applied

EPOCH = "e1"


class FakeCarrier:
    """Takes note of what the hub asks of it."""

    def __init__(self) -> None:
        self.woken = 0
        self.ending: Ending | None = None
        self.aborted = False

    def wake(self) -> None:
        self.woken += 1

    def end(self, ending: Ending) -> None:
        self.ending = ending

    def stalled_since(self) -> float | None:
        return None

    def abort(self) -> None:
        self.aborted = True


class World:
    """A hub, its clock, and what was published."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        retention: Retention | None = None,
        pacing: Pacing | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.pacing = pacing or Pacing()
        sessions = itertools.count()
        self.hub = Hub(
            EPOCH,
            limits=self.limits,
            retention=retention or Retention(),
            pacing=self.pacing,
            make_session=lambda: f"s{next(sessions)}",
        )
        self.now = 1000.0
        self.published: dict[str, list[Value]] = {}

    @property
    def time_ms(self) -> int:
        return round(self.now * 1000)

    def publish(
        self, samples: dict[str, list[Value]], kind: Any = None, *, time_ms: int | None = None
    ) -> Applied:
        """Apply one batch: values by series name, of now if no time is said."""
        time = self.time_ms if time_ms is None else time_ms
        rows = [
            Rows(identify(name, {}, self.limits), [time] * len(values), values, kind)
            for name, values in samples.items()
        ]
        batch = Batch(rows)
        self.hub.check(batch)
        for name, values in samples.items():
            self.published.setdefault(name, []).extend(values)
        return self.hub.apply(self.hub.seq + 1, batch, self.now)

    def sweep(self, seconds: float = 0.0) -> bool:
        """Let time pass and sweep; tells whether the hub is behind."""
        self.now += seconds
        behind = self.hub.sweep(self.hub.seq + 1, self.now)
        self.hub.close_idle(self.now)
        return behind

    def tick(self, seconds: float = 0.0) -> int:
        """Let time pass and tick what is due; tells how many views had frames."""
        self.now += seconds
        count = 0
        for view in self.hub.tick(self.now, self.time_ms):
            count += 1
            for subscriber in view.subscribers.values():
                subscriber.carrier.wake()
        return count

    def spec(
        self,
        *selectors: str,
        max_hz: float | None = None,
        merge: str | None = None,
        heartbeat: float | None = None,
    ) -> ViewSpec:
        parsed = [parse(text, self.limits) for text in selectors or ['{__name__=~".+"}']]
        return self.hub.grant(parsed, max_hz, merge, heartbeat)

    def watch(
        self,
        subscriber: Subscriber,
        *selectors: str,
        window: float | None = None,
        points: int | None = None,
        **asked: Any,
    ) -> None:
        """Change what a subscriber watches."""
        self.hub.watch(
            subscriber.session,
            self.spec(*selectors, **asked),
            window,
            points,
            now=self.now,
            time_ms=self.time_ms,
        )

    def end(self, name: str) -> Applied:
        """Publish an ending."""
        rows = Rows(identify(name, {}, self.limits), [self.time_ms], [None])
        return self.hub.apply(self.hub.seq + 1, Batch([rows]), self.now)

    def subscribe(
        self,
        spec: ViewSpec | None = None,
        *,
        since: str | None = None,
        window: float | None = None,
        points: int | None = None,
        describe: Describe = "all",
        greet: bool = True,
    ) -> Subscriber:
        return self.hub.subscribe(
            spec or self.spec(),
            Start(None if since is None else parse_cursor(since), window, points),
            FakeCarrier(),
            now=self.now,
            time_ms=self.time_ms,
            describe=describe,
            greet=greet,
        )


class Client:
    """What a dashboard knows after the documents it was given."""

    def __init__(self, cursor: str | None = None) -> None:
        self.cursor = cursor
        self.names: dict[int, str] = {}
        self.values: dict[str, list[Value]] = {}
        self.points: list[list[Any]] = []
        self.gaps: dict[str, int | None] = {}
        self.gone: list[str] = []
        self.ended: list[str] = []
        self.documents: list[dict[str, Any]] = []

    def take(self, document: bytes) -> dict[str, Any]:
        decoded: dict[str, Any] = msgspec.json.decode(document)
        self.documents.append(decoded)
        if decoded["type"] == "points":
            for series in decoded.get("series", []):
                self.names[series["ref"]] = series["name"]
            self.ended += [self.names[ref] for ref, _ in decoded.get("ended", [])]
            for point in decoded["points"]:
                self.points.append(point)
                self.values.setdefault(self.names[point[0]], []).append(point[2])
        elif decoded["type"] == "gap":
            # A gap with the id of one before is that same gap, told again.
            self.gaps[decoded["id"]] = decoded["lost"]
        elif decoded["type"] == "gone":
            self.gone += [self.names[ref] for ref in decoded["refs"] if ref in self.names]
        if "id" in decoded:
            self.cursor = decoded["id"]
        return decoded

    def pull(self, subscriber: Subscriber, most: int | None = None) -> int:
        """Take frames until there is none, or `most` of them; tells how many."""
        count = 0
        while most is None or count < most:
            frame = subscriber.pull()
            if frame is None:
                break
            self.take(frame.json)
            count += 1
        return count
