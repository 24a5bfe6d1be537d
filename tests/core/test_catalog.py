"""The index from labels to series, against a scan of every series."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushsvc.core.model.series import Identity, Kind, Rows, Value, identify, quote
from pushsvc.core.query.selector import Matcher, Selector, parse
from pushsvc.core.resources.limits import Limits
from pushsvc.core.storage.catalog import Catalog, Series

LIMITS = Limits()
NAMES = ("up", "load", "load:5m")
LABELS = ("host", "job")
VALUES = ("", "a", "ab", "b", "web-1", "x.y")
PATTERNS = ("", "a", "a|b", "a|", "a.*", ".*", ".+", "[ab]+", "web-.*", r"x\.y", "b?", "x.y|ab")


def rows(identity: Identity, kind: Kind | None = None, value: Value = 1.0, **said: Any) -> Rows:
    return Rows(identity, [1], [value], kind, **said)


def add(catalog: Catalog, identity: Identity) -> Series:
    return catalog.add(rows(identity), 1, 10)


identities = st.builds(
    lambda name, labels: identify(name, labels, LIMITS),
    st.sampled_from(NAMES),
    st.dictionaries(st.sampled_from(LABELS), st.sampled_from(VALUES)),
)
matchers = st.one_of(
    st.tuples(st.sampled_from(LABELS), st.sampled_from(["=", "!="]), st.sampled_from(VALUES)),
    st.tuples(st.sampled_from(LABELS), st.sampled_from(["=~", "!~"]), st.sampled_from(PATTERNS)),
    st.tuples(st.just("__name__"), st.sampled_from(["=", "!="]), st.sampled_from(NAMES)),
    st.tuples(
        st.just("__name__"),
        st.sampled_from(["=~", "!~"]),
        st.sampled_from(["up|load", "load.*", ".+", "[lu].*", "nope"]),
    ),
)


def written(parts: list[tuple[str, str, str]]) -> Selector | None:
    """The selector of these matchers; None if all of them take the empty value."""
    made = [Matcher(name, op, value) for name, op, value in parts]  # type: ignore[arg-type]
    if all(matcher.matches("") for matcher in made):
        return None
    return parse("{" + ",".join(f"{name}{op}{quote(value)}" for name, op, value in parts) + "}")


selectors = st.lists(matchers, min_size=1, max_size=4).map(written).filter(lambda s: s is not None)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(identities, max_size=25, unique_by=lambda identity: identity.text),
    st.sets(st.integers(0, 24)),
    st.lists(selectors, max_size=3),
)
def test_selects_what_a_scan_finds(
    there: list[Identity], removed: set[int], wanted: list[Selector]
) -> None:
    catalog = Catalog()
    added = [add(catalog, identity) for identity in there]
    for index, series in enumerate(added):
        if index in removed:
            catalog.remove(series)
    kept = [series for index, series in enumerate(added) if index not in removed]
    for selected in ([selector] for selector in wanted):
        assert catalog.select(selected) == [s for s in kept if selected[0].matches(s.identity)]
    expected = [s for s in kept if any(selector.matches(s.identity) for selector in wanted)]
    assert catalog.select(wanted) == expected
    assert list(catalog) == kept
    assert len(catalog) == len(kept)
    for series in kept:
        assert catalog.get(series.identity.text) is series


@settings(max_examples=30)
@given(st.lists(identities, max_size=10, unique_by=lambda identity: identity.text))
def test_nothing_is_left_of_what_was_removed(there: list[Identity]) -> None:
    catalog = Catalog()
    for series in [add(catalog, identity) for identity in there]:
        catalog.remove(series)
    assert len(catalog) == 0
    assert catalog._index == {}


def test_selecting_changes_nothing() -> None:
    catalog = Catalog()
    for host in "abc":
        add(catalog, identify("up", {"host": host}, LIMITS))
    wanted = [parse("up"), parse('{host=~"a|b"}'), parse('up{host!="a"}')]
    first = catalog.select(wanted)
    assert catalog.select(wanted) == first
    assert [s.identity.text for s in catalog.select([parse('{host="a"}')])] == ['up{host="a"}']


def test_a_list_of_values_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog()
    for host in range(1_000):
        add(catalog, identify("up", {"host": f"h{host}"}, LIMITS))
    selector = parse('up{host=~"h7|h500|gone"}')
    asked: list[str] = []
    matches = Matcher.matches

    def counted(matcher: Matcher, value: str) -> bool:
        asked.append(value)
        return matches(matcher, value)

    monkeypatch.setattr(Matcher, "matches", counted)
    found = catalog.select([selector])
    assert [series.identity.text for series in found] == ['up{host="h7"}', 'up{host="h500"}']
    assert set(asked) == {""}


def test_refs_are_never_used_again() -> None:
    catalog = Catalog()
    identity = identify("up", {}, LIMITS)
    first = add(catalog, identity)
    catalog.remove(first)
    assert add(catalog, identity).ref > first.ref


UP = identify("up", {}, LIMITS)


@pytest.mark.parametrize(
    ("first", "then", "says"),
    [
        (rows(UP), rows(UP), None),
        (rows(UP), rows(UP, "counter"), None),  # a guessed gauge may be corrected
        (rows(UP, "counter"), rows(UP), None),
        (rows(UP, "counter"), rows(UP, "counter"), None),
        (rows(UP, "counter"), rows(UP, "gauge"), "up is a counter, the sample says gauge"),
        (rows(UP, "gauge"), rows(UP, "delta"), "up is a gauge, the sample says delta"),
        (rows(UP), rows(UP, value="on"), "up is a gauge, the sample's value is a state"),
        (rows(UP, value="on"), rows(UP), "up is a state, the sample's value is a number"),
        (rows(UP, value="on"), rows(UP, "gauge"), "up is a state, the sample's value is a number"),
        (rows(UP, value=True), rows(UP, "state", value=None), None),
        (rows(UP), rows(UP, value=None), None),
    ],
)
def test_a_series_stays_what_it_was_said_to_be(first: Rows, then: Rows, says: str | None) -> None:
    conflict = Catalog().add(first, 1, 10).conflict(then)
    if says is None:
        assert conflict is None
    else:
        assert conflict is not None
        assert says in conflict


@pytest.mark.parametrize(
    ("value", "time", "start"),
    [
        (1.0, 0, 0),
        (1.0, 20, 1),
        (1.0, 21, 2),
        (1.0, 31, 3),
        ("on", 0, 0),
        ("on", 20, 0),  # what held until then
        ("on", 21, 1),
        ("on", 31, 2),
    ],
)
def test_a_window_begins_with_what_held(value: Value, time: int, start: int) -> None:
    series = Catalog().add(rows(UP, value=value), 1, 3)
    series.append(1, Rows(UP, [10, 20, 30], [value] * 3))
    assert series.window_start(time) == start
    series.append(2, Rows(UP, [40], [value]))
    assert series.window_start(0) == 1  # no longer held


def test_is_described_again_only_when_something_changed() -> None:
    series = Catalog().add(rows(UP, unit="s"), 1, 10)
    assert (series.kind, series.unit, series.help, series.described_seq) == ("gauge", "s", "", 1)
    series.append(2, rows(UP, unit="s"))
    series.append(3, rows(UP, "gauge"))  # as was guessed
    assert series.described_seq == 1
    series.append(4, rows(UP, help="Whether it is up"))
    assert series.described_seq == 4
    series.append(5, rows(UP, unit="", help="Whether it is up"))
    assert (series.unit, series.described_seq) == ("", 5)
    series = Catalog().add(rows(UP), 1, 10)
    series.append(2, rows(UP, "counter"))
    assert (series.kind, series.described_seq) == ("counter", 2)


class TestKinds:
    """When a kind may change."""

    def say(self, series: Series, seq: int, kind: Kind) -> bool:
        """Publish with a kind; tells whether it was taken."""
        sample = rows(UP, kind)
        if series.conflict(sample) is not None:
            series.dispute(float(seq))
            return False
        series.append(seq, sample)
        return True

    def test_a_stray_sample_doesn_t_keep_out_those_that_a_gauge_belongs_to(self) -> None:
        series = Catalog().add(rows(UP), 1, 100)
        for seq in range(2, 20):
            series.append(seq, rows(UP))
        assert self.say(series, 20, "counter")
        assert series.kind == "counter"
        assert self.say(series, 21, "gauge")
        assert (series.kind, series.described_seq) == ("gauge", 21)
        assert not self.say(series, 22, "counter")
        assert self.say(series, 23, "gauge")

    def test_who_says_it_as_often_as_the_others_did_is_believed(self) -> None:
        series = Catalog().add(rows(UP, "counter"), 1, 100)
        for seq in range(2, 4):
            assert self.say(series, seq, "counter")
        refused = series.conflict(rows(UP, "gauge"))
        assert refused is not None
        assert "say so for 3 more seconds" in refused
        assert [self.say(series, seq, "gauge") for seq in range(4, 8)] == [False] * 3 + [True]
        assert (series.kind, series.described_seq) == ("gauge", 7)

    def test_a_long_life_is_not_held_against_who_is_right(self) -> None:
        series = Catalog().add(rows(UP, "counter"), 1, 1_000)
        for seq in range(2, 500):
            assert self.say(series, seq, "counter")
        assert sum(self.say(series, seq, "gauge") for seq in range(500, 509)) == 1

    def test_of_two_that_disagree_the_first_stays(self) -> None:
        series = Catalog().add(rows(UP, "counter"), 1, 1_000)
        for seq in range(2, 100, 2):
            assert not self.say(series, seq, "delta")
            assert self.say(series, seq + 1, "counter")

    def test_numbers_never_become_states(self) -> None:
        series = Catalog().add(rows(UP), 1, 10)
        assert series.conflict(rows(UP, "state")) is not None
