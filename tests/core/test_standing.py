"""Expressions on streams: results at aligned steps, a function of the log."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from itertools import count
from math import isfinite
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies

from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.view import ViewSpec
from pushsvc.core.expression.evaluate import LOOKBACK, Evaluator
from pushsvc.core.expression.reading import ExpressionError
from pushsvc.core.expression.stored import gather
from pushsvc.core.expression.vector import Element
from pushsvc.core.hub import Hub
from pushsvc.core.model.cursor import parse_cursor
from pushsvc.core.model.series import Batch, Rows, identify
from pushsvc.core.query.scope import EVERYTHING, Scope, scope_of
from pushsvc.core.query.selector import SelectorError, parse
from pushsvc.core.resources.limits import Limits, Pacing, Retention
from pushsvc.core.standing.asked import Expression, read_asked
from pushsvc.core.standing.past import Job
from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.errors import Malformed, Overloaded
from tests.core.world import Client, FakeCarrier

BEGUN = 1_000_000_000_000
"""When the log begins, Unix ms: a whole second."""


class Log:
    """Entries in their order, and hubs that take them in."""

    def __init__(self, **limits: Any) -> None:
        self.limits = Limits(**limits)
        self.entries: list[Entry] = []
        self.stamp = BEGUN
        self._seq = 1
        self._nonces = count(1)
        self.hubs: list[Hub] = []

    def hub(self, retention: Retention | None = None) -> Hub:
        """Another hub, which takes in what there is, and then what comes."""
        sessions = count()
        hub = Hub(
            "e",
            limits=self.limits,
            retention=retention or Retention(),
            pacing=Pacing(),
            make_session=lambda: f"s{next(sessions)}",
        )
        for entry in self.entries:
            take(hub, entry)
        self.hubs.append(hub)
        return hub

    def hub_after(self, other: Hub) -> Hub:
        """One that goes on from a snapshot of another."""
        steps = other.snapshot()
        while True:
            try:
                next(steps)
            except StopIteration as end:
                body = end.value
                break
        later, self.entries = self.entries, []
        hub = self.hub()
        hub.restore(body)
        self.entries = later
        return hub

    def publish(self, *samples: tuple[str, float | None], after: int = 0, time: int = 0) -> Entry:
        """Append samples `after` so many ms, of so many ms after the log's beginning."""
        self.stamp += after
        at = time + BEGUN if time else self.stamp
        rows = []
        for text, value in samples:
            name, _, job = text.partition("/")
            identity = identify(name, {"job": job}, self.limits)
            rows.append(Rows(identity, [at], [value], given=True))
        return self._append(Batch(rows))

    def publish_labelled(
        self, *samples: tuple[str, dict[str, str], float | None], after: int
    ) -> Entry:
        """Append samples of now, `after` so many ms."""
        self.stamp += after
        return self._append(
            Batch(
                [
                    Rows(identify(name, labels, self.limits), [self.stamp], [value], given=True)
                    for name, labels, value in samples
                ]
            )
        )

    def pass_time(self, after: int) -> Entry:
        self.stamp += after
        return self._append(Batch([]))

    def _append(self, batch: Batch) -> Entry:
        entry = Entry(self._seq, self.stamp, Draft(next(self._nonces).to_bytes(16), batch))
        self._seq += entry.draft.width
        self.entries.append(entry)
        for hub in self.hubs:
            take(hub, entry)
        return entry


def take(hub: Hub, entry: Entry) -> None:
    for _ in hub.take(entry):
        pass
    for _ in hub.tick(entry.stamp / 1000, entry.stamp):
        pass


def prepare(hub: Hub, spec: ViewSpec, start: Start) -> None:
    """As `Pipeline.prepare`, at once."""
    time_ms = round(hub.stamp * 1000)
    for standing in hub.hold(spec, hub.stamp):
        wanted = hub.standings.wanted(standing, start.since, start.window, time_ms)
        if wanted < standing.reached:
            if (job := made(hub.standings.past_of(standing, wanted))) is not None:
                hub.standings.learn(standing, job, job.work())
            standing.reached = min(standing.reached, wanted)


def made(making: Generator[None, None, Job | None]) -> Job | None:
    """What is made piece by piece, at once."""
    while True:
        try:
            next(making)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


class Dashboard:
    """A client that keeps what it was given."""

    def __init__(
        self,
        hub: Hub,
        *select: str,
        allowed: Scope = EVERYTHING,
        since: str | None = None,
        window: float | None = None,
        step: float | None = None,
        describe: Any = "all",
        prepared: bool = False,
    ) -> None:
        spec = hub.grant([read_asked(text) for text in select], None, None, step=step)
        self.hub = hub
        self.client = Client(since)
        self.series: dict[int, dict[str, Any]] = {}
        now = hub.stamp
        spec = spec.within(allowed)
        start = Start(None if since is None else parse_cursor(since), window)
        if prepared:
            prepare(hub, spec, start)
        self.subscriber: Subscriber = hub.subscribe(
            spec,
            start,
            FakeCarrier(),
            now=now,
            time_ms=round(now * 1000),
            describe=describe,
        )

    def pull(self) -> list[dict[str, Any]]:
        """Take what there is."""
        before = len(self.client.documents)
        self.client.pull(self.subscriber)
        for document in self.client.documents[before:]:
            for series in document.get("series", ()):
                self.series[series["ref"]] = series
        return self.client.documents[before:]

    def results(self) -> dict[str, list[tuple[float, Any]]]:
        """Seconds since the beginning and values, None for an ending, by labels."""
        self.pull()
        found: dict[str, list[tuple[float, Any]]] = {}
        for document in self.client.documents:
            for ref, time, value in document.get("points", ()):
                found.setdefault(self._labels(ref), []).append(((time - BEGUN) / 1000, value))
            for ref, time in document.get("ended", ()):
                found.setdefault(self._labels(ref), []).append(((time - BEGUN) / 1000, None))
        return {labels: sorted(points) for labels, points in found.items()}

    def _labels(self, ref: int) -> str:
        return ",".join(f"{name}={value}" for name, value in self.series[ref]["labels"].items())


def test_results_come_at_whole_steps() -> None:
    log = Log()
    hub = log.hub()
    log.publish(("x/a", 1.0), ("x/b", 2.0), after=100)
    dashboard = Dashboard(hub, "sum(x)")
    log.publish(("x/a", 3.0), after=200)
    assert dashboard.results() == {}
    log.pass_time(700)  # to the second, whose step sees what was before
    assert dashboard.results() == {"": [(1.0, 5.0)]}
    log.publish(("x/a", 4.0), after=1_500)
    assert dashboard.results() == {"": [(1.0, 5.0), (2.0, 5.0)]}
    log.pass_time(500)
    assert dashboard.results()[""][-1] == (3.0, 6.0)


def test_what_a_result_is_called() -> None:
    log = Log()
    hub = log.hub()
    log.publish(("x/a", 1.0), ("x/b", 2.0), after=100)
    dashboard = Dashboard(hub, "topk (1,x)", "sum by(job) (x)", "x")
    log.pass_time(1_000)
    dashboard.pull()
    described = {
        (one["name"], tuple(one["labels"].items())): one for one in dashboard.series.values()
    }
    assert set(described) == {
        ("topk(1, x)", (("__name__", "x"), ("job", "b"))),
        ("sum by (job) (x)", (("job", "a"),)),
        ("sum by (job) (x)", (("job", "b"),)),
        ("x", (("job", "a"),)),
        ("x", (("job", "b"),)),
    }
    assert all(("expression" in one) is (one["name"] != "x") for one in described.values())
    hello = dashboard.client.documents[0]
    assert hello["granted"]["select"] == ["x", "sum by (job) (x)", "topk(1, x)"]


def test_a_result_that_is_missing_has_ended_and_may_return() -> None:
    log = Log()
    hub = log.hub()
    log.publish(("x/a", 1.0), after=100)
    dashboard = Dashboard(hub, "x > 2")
    for value in (3.0, 1.0, 1.0, 4.0):
        log.publish(("x/a", value), after=1_000)
    log.pass_time(1_000)
    assert dashboard.results() == {"__name__=x,job=a": [(2.0, 3.0), (3.0, None), (5.0, 4.0)]}


MANY = "x + on (job) y"
"""Has no result where two series of y have the same job."""


def failing(documents: list[dict[str, Any]]) -> list[dict[str, str]]:
    """What was told to fail, one after the other."""
    return [said.get("failing", {}) for said in documents if said["type"] in ("hello", "failing")]


def fail(log: Log, after: int = 1_000) -> None:
    """From the next step on `MANY` has no result."""
    log.publish_labelled(("y", {"job": "a", "le": "1"}, 1.0), ("y", {"job": "a"}, 1.0), after=after)


def test_a_failure_is_told_when_it_begins_and_when_it_is_over() -> None:
    log = Log()
    hub = log.hub()
    log.publish(("x/a", 1.0), ("y/a", 1.0), after=100)
    dashboard = Dashboard(hub, MANY, "sum(x)")
    log.pass_time(1_000)
    assert failing(dashboard.pull()) == [{}]
    fail(log)
    log.pass_time(1_000)
    log.pass_time(1_000)  # once, however long it lasts
    told = dashboard.pull()
    (reasons,) = failing(told)
    assert set(reasons) == {MANY}
    assert "many-to-many" in reasons[MANY]
    late = Dashboard(hub, MANY)
    assert failing(late.pull()) == [reasons]
    log.publish_labelled(("y", {"job": "a", "le": "1"}, None), after=1_000)
    log.pass_time(1_000)
    assert failing(dashboard.pull()) == failing(late.pull()) == [{}]
    assert dashboard.results()["job=a"] == [(1.0, 2.0), (2.0, 2.0), (3.0, None), (6.0, 2.0)]


def test_a_failure_from_the_first_step_on_is_told() -> None:
    log = Log()
    hub = log.hub()
    log.publish(("x/a", 1.0), after=100)
    fail(log, after=100)
    dashboard = Dashboard(hub, MANY)
    assert failing(dashboard.pull()) == [{}]
    log.pass_time(1_000)
    (reasons,) = failing(dashboard.pull())
    assert set(reasons) == {MANY}
    prepared = told(hub, "sum(x)", MANY, window=60.0)
    assert failing(prepared.pull()) == [reasons]


def test_who_comes_back_is_told_what_fails_by_then() -> None:
    log = Log()
    hub = log.hub()
    log.publish(("x/a", 1.0), ("y/a", 1.0), after=100)
    dashboard, poll = Dashboard(hub, MANY), Dashboard(hub, MANY, describe="used")
    log.pass_time(1_000)
    dashboard.pull(), poll.pull()
    for one in (dashboard, poll):
        hub.unsubscribe(one.subscriber, now=hub.stamp)
    fail(log)
    log.pass_time(1_000)
    again = Dashboard(hub, MANY, since=dashboard.client.cursor)
    assert [set(one) for one in failing(again.pull())] == [{MANY}]
    polling = Dashboard(hub, MANY, since=poll.client.cursor, describe="used")
    # Of a poll the `hello` is of this test alone.
    assert [set(one) for one in failing(polling.pull())][1:] == [{MANY}]


def test_what_is_no_finite_number_is_no_value() -> None:
    log = Log()
    hub = log.hub()
    log.publish(("x/a", 1.0), after=100)
    dashboard = Dashboard(hub, "1 / x")
    for value in (0.0, 0.0, 4.0):
        log.publish(("x/a", value), after=1_000)
    log.pass_time(1_000)
    assert dashboard.results() == {"job=a": [(1.0, 1.0), (2.0, None), (4.0, 0.25)]}


def test_who_comes_back_goes_on_without_loss_or_doubles() -> None:
    log = Log()
    hub = log.hub()
    log.publish(("x/a", 1.0), after=100)
    dashboard = Dashboard(hub, "x * 2")
    other = Dashboard(hub, "x * 2")
    log.publish(("x/a", 2.0), after=1_000)
    before = dashboard.results()
    hub.unsubscribe(dashboard.subscriber, now=hub.stamp)
    log.publish(("x/a", 3.0), after=1_000)
    log.publish(("x/a", 4.0), after=1_000)
    again = Dashboard(hub, "x * 2", since=dashboard.client.cursor)
    after = again.results()
    assert not again.client.gaps
    assert before["job=a"] + after["job=a"] == other.results()["job=a"]
    assert list(again.series) == list(dashboard.series)


def test_a_cursor_of_before_is_told_a_gap() -> None:
    log = Log()
    hub = log.hub()
    log.publish(("x/a", 1.0), after=100)
    since = str(hub.cursor)
    log.publish(("x/a", 1.0), after=5_000)
    dashboard = Dashboard(hub, "x * 2", since=since)
    log.publish(("x/a", 3.0), after=1_000)
    assert dashboard.results() == {"job=a": [(6.0, 2.0)]}
    assert dashboard.client.gaps == {since: None}


def test_equal_seqs_mean_equal_results_wherever_one_begins() -> None:
    log = Log()
    first = log.hub()
    log.publish(("x/a", 1.0), ("x/b", 1.0), after=100)
    early = Dashboard(first, "sum by (job) (x)")
    for value in range(5):
        log.publish(("x/a", float(value)), after=700)
    second = log.hub()
    late = Dashboard(second, "sum by(job)(x)")
    for value in range(5):
        log.publish(("x/b", float(value)), after=700)
    before, after = early.results(), late.results()
    assert after["job=a"]
    for labels, points in after.items():
        assert before[labels][-len(points) :] == points
    assert set(late.series) <= set(early.series)


def test_scopes_are_laid_over_what_an_expression_reads() -> None:
    log = Log()
    hub = log.hub()
    log.publish(("x/a", 1.0), ("x/b", 2.0), after=100)
    everything = Dashboard(hub, "sum(x)")
    own = Dashboard(hub, "sum(x)", allowed=scope_of([parse('{job="b"}')]))
    nothing = Dashboard(hub, "sum(x)", allowed=scope_of([parse('{job="c"}')]))
    log.publish(("x/c", 4.0), after=1_000)
    log.pass_time(1_000)
    assert everything.results() == {"": [(1.0, 3.0), (2.0, 7.0)]}
    assert own.results() == {"": [(1.0, 2.0), (2.0, 2.0)]}
    assert nothing.results() == {"": [(2.0, 4.0)]}


def test_one_expression_is_worked_out_once_for_all_who_ask() -> None:
    log = Log(expressions=1)
    hub = log.hub()
    log.publish(("x/a", 1.0), after=100)
    first, second = Dashboard(hub, "sum(x)"), Dashboard(hub, "sum( x )")
    log.pass_time(3_000)
    assert hub.counts["expression_steps"] == 3
    assert first.results() == second.results()
    with pytest.raises(Overloaded, match=r"limits\.expressions"):
        Dashboard(hub, "sum(x)", "avg(x)")
    with pytest.raises(Overloaded, match=r"limits\.expressions"):
        Dashboard(hub, "sum(x)", step=2.0)
    for dashboard in (first, second):
        hub.unsubscribe(dashboard.subscriber, now=hub.stamp)
    hub.close_idle(hub.stamp + 61.0)
    assert hub.standings.next_step == float("inf")


def deep(levels: int, inner: str = '{__name__=~".+"}') -> str:
    """Subqueries within subqueries."""
    for _ in range(levels):
        inner = f"max_over_time({inner}[1m:1s])"
    return inner


def test_what_is_too_much_for_a_second_is_refused_and_what_is_cheap_goes_on() -> None:
    log = Log(expression_samples_per_second=700)
    hub = log.hub()
    log.publish(*((f"x/{n}", 1.0) for n in range(20)), after=100)
    hostile, crossed = Dashboard(hub, deep(10)), Dashboard(hub, "x * on (job) group_left () x")
    cheap = Dashboard(hub, "sum(x)")
    log.pass_time(900)
    begun = hub.counts["expression_samples"]
    for _ in range(60):
        log.publish(("x/0", 1.0), after=1_000)
    # In the first second none of them is known to be cheap.
    assert [value for _, value in cheap.results()[""]] == [20.0] * 60
    assert len(crossed.results()["job=0"]) == 60
    assert hostile.results() == {}
    failures = {one.expression.text: one.failure for one in hub.standings}
    assert list(failures.values())[1:] == [None, None]
    failure = next(iter(failures.values()))
    assert failure is not None
    assert "more than 700 samples a second" in failure
    assert "(limits.expression_samples_per_second)" in failure
    # It is tried ever more rarely: seven times in a minute.
    assert hub.counts["expression_steps_refused"] == 63
    costs = sum([one.cost for one in hub.standings][1:])
    assert hub.counts["expression_samples"] - begun < 60 * costs + 10 * 800


def test_those_that_are_too_much_together_leave_who_was_there() -> None:
    log = Log(expression_samples_per_second=300)
    hub = log.hub()
    log.publish(*((f"x/{n}", 1.0) for n in range(10)), after=100)
    first = Dashboard(hub, "count(x)")
    log.pass_time(1_000)
    more = []
    for n in range(20):
        with contextlib.suppress(Overloaded):  # once others take all
            more.append(Dashboard(hub, f"sum by (job) (x) + {n}"))
        log.pass_time(1_000)
    for _ in range(90):
        before = hub.counts["expression_samples"]
        log.pass_time(1_000)
        # Each that is refused has gone a little too far.
        assert hub.counts["expression_samples"] - before < 300 + 20 * 50
    assert [value for _, value in first.results()[""]] == [10.0] * 111
    served = [each for each in more if len(each.results().get("job=0", ())) > 60]
    assert len(served) >= 3
    assert len(more) < 20 or len(served) < 20


def test_a_silence_is_made_up_for_second_by_second() -> None:
    log = Log(expression_samples_per_second=300)
    hub = log.hub()
    log.publish(*((f"x/{n}", 1.0) for n in range(20)), after=100)
    dashboard = Dashboard(hub, "sum(x)")
    log.pass_time(100_900)
    assert [value for _, value in dashboard.results()[""]] == [20.0] * 101


def test_steps_and_their_beginning_have_bounds() -> None:
    log = Log(expression_steps_per_second=1.6, expression_samples_per_second=1_000)
    hub = log.hub()
    log.publish(*((f"x/{n}", 1.0) for n in range(30)), after=100)
    Dashboard(hub, "sum(x)")
    with pytest.raises(Overloaded, match=r"limits\.expression_steps_per_second"):
        Dashboard(hub, "avg(x)")
    Dashboard(hub, "avg(x)", step=2.0)
    assert hub.counts["expressions_refused"] == 1
    # Series are gone through for each that is new, and not for any number of them at once.
    Dashboard(hub, "max(x)", step=100.0)
    Dashboard(hub, "min(x)", step=100.0)
    with pytest.raises(Overloaded, match=r"limits\.expression_samples_per_second"):
        Dashboard(hub, "count(x)", step=100.0)
    log.pass_time(1_000)
    Dashboard(hub, "count(x)", step=100.0)


def test_a_past_that_is_too_much_is_left_out() -> None:
    log = Log(expression_samples=2_000)
    hub = log.hub()
    for _ in range(30):
        log.publish(*((f"x/{n}", 1.0) for n in range(5)), after=1_000)
    whole = Dashboard(hub, "sum(x)", window=20.0, prepared=True)
    part = Dashboard(hub, deep(3), window=20.0, prepared=True)
    log.pass_time(1_000)
    assert len(whole.results()[""]) == 22
    assert part.results() == {}
    Dashboard(hub, "avg(x)")


def test_a_step_of_its_own() -> None:
    log = Log()
    hub = log.hub()
    log.publish(("x/a", 1.0), after=100)
    dashboard = Dashboard(hub, "sum(x)", step=5.0)
    for _ in range(11):
        log.pass_time(1_000)
    assert dashboard.results() == {"": [(5.0, 1.0), (10.0, 1.0)]}
    for step in (0.5, 1.5, 4000.0):
        with pytest.raises(Malformed, match="whole seconds"):
            hub.grant([read_asked("sum(x)")], None, None, step=step)


def test_a_result_that_stays_away_is_gone() -> None:
    log = Log()
    hub = log.hub(Retention(seconds=20.0, series_ttl=20.0))
    log.publish(("x/a", 3.0), after=100)
    dashboard = Dashboard(hub, "x > 2")
    log.publish(("x/a", 3.0), after=1_000)
    for _ in range(30):
        log.publish(("x/a", 1.0), after=1_000)
    dashboard.pull()
    assert dashboard.client.gone == ["x > 2"]
    log.publish(("x/a", 3.0), after=1_000)
    log.pass_time(1_000)
    dashboard.pull()
    assert dashboard.client.points[-1][2] == 3.0


def test_of_a_long_silence_the_last_steps_are_told() -> None:
    log = Log()
    hub = log.hub()
    log.publish(("x/a", 3.0), after=100)
    dashboard = Dashboard(hub, "vector(1)")
    log.pass_time(86_400_000)
    points = dashboard.results()[""]
    assert len(points) == 600
    assert points[-1] == (86_400.0, 1.0)


def test_an_expression_may_be_there_before_the_log_begins() -> None:
    log = Log()
    hub = log.hub()
    dashboard = Dashboard(hub, "sum(x)")
    log.publish(("x/a", 3.0), after=100)
    log.pass_time(1_000)
    assert dashboard.results() == {"": [(1.0, 3.0)]}


def test_changing_what_is_watched() -> None:
    log = Log()
    hub = log.hub()
    log.publish(("x/a", 3.0), after=100)
    dashboard = Dashboard(hub, "sum(x)")
    log.pass_time(1_000)
    dashboard.pull()
    now = hub.stamp
    spec = hub.grant([read_asked("sum(x)"), read_asked("count(x)")], None, None)
    hub.watch(dashboard.subscriber.session, spec, None, now=now, time_ms=round(now * 1000))
    log.pass_time(1_000)
    dashboard.pull()
    assert [point[1:] for point in dashboard.client.points] == [
        [BEGUN + 1_000, 3.0],
        [BEGUN + 2_000, 3.0],
        [BEGUN + 2_000, 1.0],
    ]
    assert not dashboard.client.gaps


def test_what_is_one_expression() -> None:
    for text, canonical in (
        ("sum( x )", "sum(x)"),
        ("sum  by(job)\n(x)", "sum by (job) (x)"),
        ('x{a="p  q"} * 2', 'x{a="p  q"} * 2'),
        ("x offset 5m", "x offset 5m"),
        ("sum by (job) (" + " + ".join(["rate(x[1m])"] * 20) + ")", None),
    ):
        asked = read_asked(text)
        assert isinstance(asked, Expression)
        assert "\n" not in asked.text
        assert canonical is None or asked.text == canonical
        again = read_asked(asked.text)
        assert again.text == asked.text
    assert not isinstance(read_asked('x{a="b"}'), Expression)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("x{", SelectorError, "selector"),
        ('{a=~".*"}', SelectorError, "empty"),
        ("sum(x", ExpressionError, "expression"),
        ("x[5m]", Malformed, "range of samples"),
        ('"text"', Malformed, "a text"),
        ("x @ 100", Malformed, "stands still"),
        ("x @ start()", Malformed, "stands still"),
    ],
)
def test_what_is_refused(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_asked(text)


def test_documents_are_json(  # a result is never NaN on the wire
) -> None:
    log = Log()
    hub = log.hub()
    dashboard = Dashboard(hub, "vector(0) / 0")
    log.publish(("x/a", 3.0), after=100)
    log.pass_time(1_000)
    for frame in iter(dashboard.subscriber.pull, None):
        assert b"null" not in frame.json
        msgspec.json.decode(frame.json)


# -- the past --------------------------------------------------------------------------------------


def told(hub: Hub, *select: str, **more: Any) -> Dashboard:
    return Dashboard(hub, *select, prepared=True, **more)


def test_a_stream_begins_with_the_newest_step_or_with_a_window() -> None:
    log = Log()
    hub = log.hub()
    for value in range(20):
        log.publish(("x/a", float(value)), after=500)
    newest = told(hub, "sum(x)")
    assert newest.results() == {"": [(10.0, 18.0)]}
    window = told(hub, "sum(x)", window=4.0)
    assert window.results() == {
        "": [(6.0, 10.0), (7.0, 12.0), (8.0, 14.0), (9.0, 16.0), (10.0, 18.0)]
    }
    log.pass_time(1_000)
    assert newest.results()[""][1:] == window.results()[""][5:] == [(11.0, 19.0)]
    assert not newest.client.gaps


def test_a_cursor_of_another_process_goes_on_exactly() -> None:
    log = Log()
    first = log.hub()
    log.publish(("x/a", 0.0), after=100)
    log.publish(("x/a", 0.0), after=1_000)
    dashboard = told(first, "rate(x[3s])")
    for value in range(10):
        log.publish(("x/a", float(value)), after=400)
    dashboard.pull()
    cursor = dashboard.client.cursor
    for value in range(10):
        log.publish(("x/a", float(value)), after=400, time=4_000 + 400 * value)
    second = log.hub()
    again = told(second, "rate(x[3s])", since=cursor)
    for value in range(10):
        log.publish(("x/a", float(value)), after=400)
    before = set(dashboard.results()["job=a"])
    resumed = again.results()["job=a"]
    assert not again.client.gaps
    assert len(before) > len(resumed) > 5
    assert sorted(before)[-len(resumed) :] == resumed
    assert set(again.series) == set(dashboard.series)


def test_what_ended_where_one_comes_from_ends_elsewhere() -> None:
    log = Log()
    hub, other = log.hub(), log.hub()
    log.publish(("x/a", 1.0), ("x/b", 2.0), after=100)
    dashboard = Dashboard(hub, "topk(1, x)")
    log.pass_time(1_000)
    assert dashboard.results() == {"__name__=x,job=b": [(1.0, 2.0)]}
    moved = told(other, "topk(1, x)", since=dashboard.client.cursor)
    log.publish(("x/a", 3.0), after=100)
    log.pass_time(1_000)
    expected = {"__name__=x,job=a": [(2.0, 3.0)], "__name__=x,job=b": [(2.0, None)]}
    assert moved.results() == expected


def test_who_goes_on_from_a_snapshot_takes_the_same_steps() -> None:
    log = Log()
    hub = log.hub()
    log.publish(("x/a", 1.0), after=100)
    log.pass_time(1_000)
    restored = log.hub_after(hub)
    dashboards = [Dashboard(one, "sum(x)") for one in (hub, restored)]
    log.publish(("x/a", 2.0), after=2_000)
    log.pass_time(1_000)
    for dashboard in dashboards:
        assert [time for time, _ in dashboard.results()[""]][-3:] == [2.0, 3.0, 4.0]


def test_nothing_is_worked_out_of_a_log_that_is_being_read() -> None:
    hub = Log().hub()
    spec = hub.grant([read_asked("sum(x)")], None, None)
    hub.begin_anew("f")
    with pytest.raises(Overloaded, match="the log is being read"):
        hub.hold(spec, 0.0)
    assert not hub.standings.holds(spec)


def test_a_past_that_is_not_held_whole_is_not_told() -> None:
    log = Log()
    hub = log.hub(Retention(seconds=20.0, series_ttl=1000.0))
    for value in range(60):
        log.publish(("x/a", float(value)), after=1_000)
        log.pass_time(0)
    dashboard = told(hub, "max_over_time(x[5s])", window=3600.0)
    points = dashboard.results()["job=a"]
    assert 10 <= len(points) <= 17
    assert [value for _, value in points] == [time - 2 for time, _ in points]
    old = told(hub, "max_over_time(x[5s])", since="e.10")
    assert old.client.gaps == {}
    old.pull()
    assert old.client.gaps == {"e.10": None}


def test_what_was_there_only_in_the_past_has_ended() -> None:
    log = Log()
    hub = log.hub()
    for value in (3.0, 3.0, 1.0, 1.0):
        log.publish(("x/a", value), after=1_000)
    live = Dashboard(hub, "x > 2")
    log.publish(("x/a", 1.0), after=1_000)
    live.pull()
    late = told(hub, "x > 2", window=60.0)
    expected = [(2.0, 3.0), (3.0, 3.0), (4.0, None)]
    assert late.results() == {"__name__=x,job=a": expected}
    log.publish(("x/a", 5.0), after=1_000)
    log.pass_time(1_000)
    assert late.results() == {"__name__=x,job=a": [*expected, (7.0, 5.0)]}
    assert live.results() == {"__name__=x,job=a": [(7.0, 5.0)]}


STORIES = strategies.lists(
    strategies.tuples(
        strategies.sampled_from(["a", "b", "c"]),
        strategies.one_of(strategies.none(), strategies.integers(0, 20).map(float)),
        strategies.sampled_from([0, 1, 150, 400, 850, 1_000, 2_500, 7_000]),
        strategies.sampled_from([0, 0, 0, -1, 1, -700, -3_000, 600]),
    ),
    min_size=5,
    max_size=40,
)

EXPRESSIONS = (
    "sum(x)",
    "rate(x[4s])",
    "sum by (job) (increase(x[3s]))",
    "topk(1, x)",
    "x > 5",
    "max_over_time(sum(x)[4s:1s])",
    "x offset 2s - x",
    "absent(x)",
    'count_values("v", x)',
)


@settings(max_examples=60, deadline=None)
@given(
    story=STORIES,
    expression=strategies.sampled_from(EXPRESSIONS),
    cut=strategies.integers(0, 37),
    step=strategies.sampled_from([1, 2]),
    restored=strategies.booleans(),
)
def test_a_step_is_the_same_live_later_elsewhere_and_by_a_query(
    story: list[tuple[str, float | None, int, int]],
    expression: str,
    cut: int,
    step: int,
    restored: bool,
) -> None:
    """Late samples, resets, endings; a process that watched all along, one that comes later and
    reads the same log, one that goes on from a snapshot, and the plain way at each step."""
    log = Log()
    first = log.hub()
    log.pass_time(300)
    live = Dashboard(first, expression, step=float(step))
    seen: list[Point] = []
    cursor = None
    second = log.hub()
    for place, (job, value, after, shift) in enumerate(story):
        log.publish((f"x/{job}", value), after=after, time=log.stamp + after + shift - BEGUN)
        if place == min(cut, len(story) - 3):
            seen, cursor = flat(live), live.client.cursor
            if restored:
                log.hubs.remove(second)
                second = log.hub_after(first)
    log.pass_time(3_000)
    expected = flat(live)

    later = log.hub()
    assert flat(told(later, expression, step=float(step), window=3600.0)) == expected

    for hub in (second, later) if cursor is not None else ():
        resumed = told(hub, expression, step=float(step), since=cursor)
        found = flat(resumed)
        if resumed.client.gaps:
            assert set(found) <= set(expected)
            assert restored
        else:
            assert found == [point for point in expected if point not in seen]

    values: dict[int, dict[str, float]] = {}
    for time, labels, number in expected:
        if number != ENDED:
            values.setdefault(time, {})[labels] = number
    for time in range(BEGUN + step * 1000, log.stamp + 1, step * 1000):
        assert values.get(time, {}) == plainly(log, expression, time)


Point = tuple[int, str, float]
ENDED = -999.5


def flat(dashboard: Dashboard) -> list[Point]:
    """All that it was given: Unix ms, labels and value."""
    return sorted(
        (round(time * 1000) + BEGUN, labels, ENDED if value is None else value)
        for labels, points in dashboard.results().items()
        for time, value in points
    )


def plainly(log: Log, expression: str, time: int) -> dict[str, float]:
    """What the expression is at a step, by a query at a process that has read no further."""
    hub = Hub(
        "e",
        limits=log.limits,
        retention=Retention(),
        pacing=Pacing(),
        make_session=lambda: "",
    )
    for entry in log.entries:
        if entry.stamp < time:
            take(hub, entry)
    asked = read_asked(expression)
    assert isinstance(asked, Expression)
    source = gather(hub.catalog, asked.node, time, time, LOOKBACK, EVERYTHING, log.limits)
    result = Evaluator(source, time, time).at(asked.node, time)
    assert isinstance(result, list)
    return {
        ",".join(f"{name}={value}" for name, value in element.labels): element.value
        for element in result
        if isinstance(element, Element) and isfinite(element.value)
    }


@settings(max_examples=40, deadline=None)
@given(
    story=STORIES,
    expression=strategies.sampled_from(EXPRESSIONS),
    grant=strategies.sampled_from(
        ['{job="a"}', 'x{job=~"a|b"}', '{job!="c",job!=""}', "y", '{job="none"}']
    ),
)
def test_who_may_see_some_is_told_what_would_be_if_there_were_no_others(
    story: list[tuple[str, float | None, int, int]], expression: str, grant: str
) -> None:
    selector = parse(grant)
    everything, granted = Log(), Log()
    hubs = everything.hub(), granted.hub()
    for log in (everything, granted):
        log.pass_time(300)
    scope = scope_of([selector])
    scoped = Dashboard(hubs[0], expression, allowed=scope)
    whole = Dashboard(hubs[0], expression)
    alone = Dashboard(hubs[1], expression)
    for job, value, after, shift in story:
        time = everything.stamp + after + shift - BEGUN
        everything.publish((f"x/{job}", value), after=after, time=time)
        if selector.matches(identify("x", {"job": job}, everything.limits)):
            granted.publish((f"x/{job}", value), after=after, time=time)
        else:
            granted.pass_time(after)
    for log in (everything, granted):
        log.pass_time(2_000)
    assert scoped.results() == alone.results()
    assert scoped.subscriber.view is not whole.subscriber.view
    later = told(hubs[0], expression, allowed=scope, window=3600.0)
    assert later.results() == told(hubs[1], expression, window=3600.0).results()


def test_a_question_about_many_series_begins_piece_by_piece() -> None:
    """What it reads is a minute's worth of 2,000 series, more than a second's steps may handle;
    a step is not. Samples come, and series come and go, between two pieces."""
    log = Log(expression_samples_per_second=40_000)
    hub = log.hub(Retention(series_ttl=100.0))
    log.limits = Limits()
    free = log.hub(Retention(series_ttl=100.0))
    names = [f"x/{n}" for n in range(2_000)]
    log.publish(("x/gone", 1.0), after=100)
    for _ in range(60):
        log.publish(*((name, 60.0) for name in names), after=1_000)
    spec = hub.grant([read_asked("sum(count_over_time(x[1m]))")], None, None)
    beginning = hub.begin(spec, hub.stamp)
    pieces = 0
    for _ in beginning:
        pieces += 1
        if pieces == 3:
            log.publish(("x/new", 1.0), after=10)
        elif pieces == 5:
            log.publish(*((name, 60.0) for name in names), after=50_000)  # which ends `x/gone`
            log.pass_time(1_000)
    assert pieces > 10
    assert not hub.standings.holds(spec)
    dashboard = Dashboard(hub, "sum(count_over_time(x[1m]))")
    hub.standings.abandon(spec)
    (standing,) = hub.standings
    log.pass_time(1_000)
    assert standing.failure is None
    assert len(standing.read) == 2_001
    other = Dashboard(free, "sum(count_over_time(x[1m]))")
    for _ in range(40):
        log.publish(*((name, 60.0) for name in names), after=1_000)
    log.pass_time(1_000)
    at_once = Dashboard(hub, "sum(count_over_time(x[1m])) + 0")
    log.pass_time(1_000)
    found, expected = dashboard.results()[""], other.results()[""]
    assert len(expected) > 10
    assert found[-len(expected) :] == expected
    assert not at_once.results()


def test_a_beginning_that_nobody_waits_for_leaves_nothing() -> None:
    log = Log()
    hub = log.hub()
    log.publish(*((f"x/{n}", 1.0) for n in range(1_000)), after=100)
    spec = hub.grant([read_asked("sum(x)")], None, None)
    beginning = hub.begin(spec, hub.stamp)
    next(beginning)
    hub.standings.abandon(spec)
    assert list(beginning) == []
    # Another log: what was read of the old one is nothing of this one.
    again = hub.begin(spec, hub.stamp)
    next(again)
    hub.begin_anew("f")
    assert list(again) == []
    hub.finish_warming()
    assert Dashboard(hub, "sum(x)").results() == {}
    (standing,) = hub.standings
    assert not standing.read


def test_rows_that_go_while_a_past_is_copied_are_not_missed() -> None:
    """The steps that would have needed them are left out."""
    log = Log()
    hub = log.hub(Retention(samples=100))
    names = [f"x/{n}" for n in range(600)]
    for _ in range(60):
        log.publish(*((name, 1.0) for name in names), after=1_000)
    spec = hub.grant([read_asked("sum(count_over_time(x[2s]))")], None, None)
    (standing,) = hub.hold(spec, hub.stamp)
    wanted = hub.standings.wanted(standing, None, 60.0, log.stamp)
    making = hub.standings.past_of(standing, wanted)
    next(making)
    for n in range(80):
        log.publish(*((name, 1.0) for name in names[-10:]), after=1 + n % 2)
    log.pass_time(1)
    job = made(making)
    assert job is not None
    past = job.work()
    assert past is not None
    (result,) = past.results.values()
    assert 10 < len(result.values) < 50
    assert set(result.values) == {600.0}
    hub.standings.learn(standing, job, past)
    assert standing.known == job.known


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x / 0", "infinite, as 1 / 0 is"),
        ("(x - 1) / 0", "not a number (NaN), as 0 / 0 is"),
        ("x / 0 or label_replace((x - 1) / 0, 'y', 'z', '', '')", "infinite or not a number"),
        ("vector(1) / 0", "infinite"),
        ("max(state)", "states, such as texts"),
    ],
)
def test_it_is_told_why_nothing_can_be_shown(text: str, why: str) -> None:
    log = Log()
    hub = log.hub()
    state = Rows(identify("state", {}, Limits()), [BEGUN], ["busy"], kind="state")
    log.publish(("x/a", 1.0), after=100)
    log._append(Batch([state]))
    log.pass_time(1_000)
    dashboard = Dashboard(hub, text, "sum(x)")
    log.pass_time(1_000)
    (reasons,) = failing(dashboard.pull())[-1:]
    assert set(reasons) == {read_asked(text).text}
    assert why in next(iter(reasons.values()))
    # As long as one result can be shown, nothing is said; nor is it a failure of a look-up.
    assert not any(one.failed for one in hub.standings)
    log.publish(("state2/a", 1.0), ("x/b", 0.0), after=1_000)
    mixed = Dashboard(hub, "1 / (x - 1) + 0 * x")
    log.pass_time(1_000)
    assert failing(mixed.pull()) == [{}]
    assert mixed.results()["job=b"]


def test_results_of_which_nothing_can_be_shown_are_told_of_the_past_too() -> None:
    log = Log()
    hub = log.hub()
    log.publish(("x/a", 1.0), after=100)
    for _ in range(5):
        log.pass_time(1_000)
    dashboard = Dashboard(hub, "x / 0", window=60.0, prepared=True)
    (reasons,) = failing(dashboard.pull())
    assert "infinite" in reasons["x / 0"]


@pytest.mark.parametrize("merge", ["last", "envelope"])
def test_results_alone_are_merged(merge: str) -> None:
    """A slow stream of nothing but an expression: the last of the steps between two frames, with
    what they reached where that is asked for."""
    log = Log()
    hub = log.hub()
    spec = hub.grant([read_asked("sum(x)")], 0.1, merge)
    client = Client(None)
    log.publish(("x/a", 0.0), after=100)
    now = hub.stamp
    subscriber = hub.subscribe(spec, Start(), FakeCarrier(), now=now, time_ms=round(now * 1000))
    values = [5.0, 1.0, 9.0, 3.0, *(float(value) for value in range(10, 46))]
    for value in values:
        log.publish(("x/a", value), after=1_000)
        client.pull(subscriber)
    points = [point for one in client.documents for point in one.get("points", ())]
    merged = [point for point in points if len(point) == 6]
    assert 3 <= len(merged) <= 5
    steps = [0.0, *values]  # the step at the beginning of a second sees what came in the one before
    place = 0
    for point in points:
        count = point[5] if len(point) == 6 else 1
        covered = steps[place : place + count]
        place += count
        assert (point[1] - BEGUN) // 1_000 == place
        reached = [min(covered), max(covered)] if merge == "envelope" else [None, None]
        assert point[2:5] == [covered[-1], *reached][: len(point) - 2]
    assert place > 30
