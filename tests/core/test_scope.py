"""What a token may see bounds what it is shown, whatever is asked for and however it is written.

The judge is plain Python over the labels that were published, and knows nothing of selectors.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pushsvc.core.model.series import Batch, Identity, Rows, identify, quote
from pushsvc.core.query.scope import EVERYTHING, NOTHING, Scope, scope_of
from pushsvc.core.query.selector import Selector, SelectorError, parse
from pushsvc.core.resources.limits import Limits, Pacing, Retention
from tests.core.world import Client, World

LIMITS = Limits()
Labels = Mapping[str, str]

NEIGHBOURS = (
    # Look alike, fold alike, are equal when normalised, or mean something to some parser.
    *(
        "acme",
        "Acme",
        "ACME",
        "acme ",
        " acme",
        "\u0430cme",
        "acm\u0435",
        "\uff41\uff43\uff4d\uff45",
    ),
    *("acme\u200b", "acme\u0301", "acm\u00e9", "acme\n", "acme\x00", "acme\u202e", "ac\u00adme"),
    *('acme"', 'acme"} or {a="b', "acme\\", "acme|beta", "beta", ".*", ".+", "a.me", "^acme$", ""),
    *("acme,", "acme}", "acm", "acmee", "\u017f", "ss", "\u00df", "\u212a", "k", "\U0001f511"),
)

GRANTS: Mapping[str, Callable[[str, Labels], bool]] = {
    '{tenant="acme"}': lambda _, labels: labels.get("tenant") == "acme",
    '{tenant=~"acme|beta"}': lambda _, labels: labels.get("tenant") in ("acme", "beta"),
    '{tenant=~"acm."}': lambda _, labels: (
        len(labels.get("tenant", "")) == 4 and labels["tenant"].startswith("acm")
    ),
    '{tenant!="acme",tenant!=""}': lambda _, labels: labels.get("tenant", "") not in ("acme", ""),
    'up{tenant="acme"}': lambda name, labels: name == "up" and labels.get("tenant") == "acme",
    '{tenant="acme",team=""}': lambda _, labels: (
        labels.get("tenant") == "acme" and not labels.get("team")
    ),
}

names = st.sampled_from(("up", "Up", "up_", "acme"))
values = st.one_of(st.sampled_from(NEIGHBOURS), st.text(max_size=6))
labels = st.dictionaries(
    st.sampled_from(("tenant", "Tenant", "tenant_", "team", "_tenant")),
    values.filter(lambda text: text.isascii() or _encodes(text)),
    max_size=3,
)
series = st.lists(st.tuples(names, labels), min_size=1, max_size=12)

_matchers = st.builds(
    lambda label, op, value: f"{label}{op}{quote(value)}",
    st.sampled_from(
        ("tenant", "Tenant", "team", "__name__", "tenant_", '"tenant"', "'tenant'", '"__name__"')
    ),
    st.sampled_from(("=", "!=", "=~", "!~")),
    st.one_of(
        values,
        st.sampled_from((".*", ".+", "(?i)acme", "(?s).*", "[^x]*", "acme|.*", "|.+", "\\w*", "")),
    ),
)
_selectors = st.builds(
    lambda name, matchers, tail: f"{name}{{{','.join(matchers)}}}{tail}",
    st.sampled_from(("", "up", "acme", "Up")),
    st.lists(_matchers, max_size=4),
    st.sampled_from(("", " ", ' or up{tenant="beta"}', "[5m]", " #", ",")),
)
written = st.one_of(_selectors, st.text(max_size=30))


def _encodes(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def understood(text: str) -> Selector | None:
    try:
        return parse(text, LIMITS)
    except SelectorError:
        return None


class Tenants:
    """A world in which many publish, and each value is published once."""

    def __init__(self, samples: int = 10_000, ttl: float = 1e9) -> None:
        self.world = World(
            retention=Retention(samples=samples, seconds=1e9, series_ttl=ttl),
            pacing=Pacing(max_hz=1000, default_hz=1000),
        )
        self.owner: dict[int, tuple[str, Labels]] = {}
        self._values = itertools.count()

    def publish(self, *published: tuple[str, Labels]) -> None:
        rows = {}
        for name, labels in published:
            identity = identify(name, labels, LIMITS)
            value = next(self._values)
            self.owner[value] = name, labels
            rows[identity.text] = Rows(identity, [self.world.time_ms], [value], None)
        batch = Batch(list(rows.values()))
        self.world.hub.check(batch)
        self.world.hub.apply(self.world.hub.seq + 1, batch, self.world.now)


def described(client: Client) -> list[tuple[str, Labels]]:
    """The series that documents have told of."""
    return [
        (one["name"], one["labels"])
        for document in client.documents
        for one in document.get("series", [])
    ]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(GRANTS)), series, st.lists(written, min_size=1, max_size=3))
@example('{tenant="acme"}', [("up", {"tenant": "\u0430cme"})], ['{tenant=~"(?i).*"}'])
@example('{tenant="acme"}', [("up", {"tenant": "beta"})], ['{tenant="acme"} or {tenant="beta"}'])
def test_no_selector_shows_what_is_not_granted(
    grant: str, published: list[tuple[str, Labels]], asked: list[str]
) -> None:
    may_see = GRANTS[grant]
    allowed = scope_of([parse(grant, LIMITS)])
    selectors = [one for text in asked if (one := understood(text)) is not None]
    # What everybody asks for is asked for as well: all there is.
    selectors.append(parse('{__name__=~".+"}', LIMITS))
    tenants = Tenants()
    world = tenants.world
    tenants.publish(*published[:4])
    for selected in ([one] for one in selectors):
        spec = world.hub.grant(selected, None, "all", None).within(allowed)
        live = world.subscribe(spec)
        client = Client()
        client.pull(live)
        tenants.publish(*published)
        world.tick(1.0)
        client.pull(live)
        replayed = world.subscribe(spec, since=f"{world.hub.epoch}.0")
        client.pull(replayed)
        seen = [tenants.owner[point[2]] for point in client.points]
        assert all(may_see(name, labels) for name, labels in seen)
        assert all(may_see(name, labels) for name, labels in described(client))
        # The catalog's way, by its index, and the stream's, by identity, are the same.
        listed = world.hub.catalog.select(selected, allowed)
        assert all(may_see(one.identity.name, dict(one.identity.labels)) for one in listed)
        assert {one.identity.text for one in listed} == {
            one.identity.text
            for one in world.hub.catalog.select([selectors[-1]])
            if spec.matches(one.identity)
        }
        for subscriber in (live, replayed):
            world.hub.unsubscribe(subscriber, now=world.now)
    everything = world.hub.catalog.select([selectors[-1]], allowed)
    held = {identify(name, labels, LIMITS).text for name, labels in published}
    granted = {
        identify(name, labels, LIMITS).text for name, labels in published if may_see(name, labels)
    }
    assert {one.identity.text for one in everything} == granted
    assert {one.identity.text for one in world.hub.catalog.select([selectors[-1]])} == held


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(("acme", "beta")), min_size=1, max_size=30),
    st.integers(1, 4),  # samples that a series keeps
)
def test_counts_of_what_is_lost_are_of_what_is_granted(order: list[str], keep: int) -> None:
    tenants = Tenants(samples=keep)
    for tenant in order:
        tenants.publish(("up", {"tenant": tenant}))
    allowed = scope_of([parse('{tenant="acme"}', LIMITS)])
    client = Client()
    spec = tenants.world.spec(merge="all").within(allowed)
    client.pull(tenants.world.subscribe(spec, since=f"{tenants.world.hub.epoch}.0"))
    lost = sum(count or 0 for count in client.gaps.values())
    assert len(client.points) + lost == order.count("acme")


def test_a_series_that_ends_is_told_to_its_own_tenant_only() -> None:
    tenants = Tenants(ttl=3_600.0)
    world = tenants.world
    tenants.publish(("up", {"tenant": "acme"}), ("up", {"tenant": "beta"}))
    clients = {}
    for tenant in ("acme", "beta"):
        allowed = scope_of([parse(f'{{tenant="{tenant}"}}', LIMITS)])
        clients[tenant] = world.subscribe(world.spec().within(allowed)), Client()
        clients[tenant][1].pull(clients[tenant][0])
    up = identify("up", {"tenant": "acme"}, LIMITS)
    world.hub.apply(world.hub.seq + 1, Batch([Rows(up, [world.time_ms], [None])]), world.now)
    world.tick(1.0)
    world.now += 3_599.0
    tenants.publish(("up", {"tenant": "beta"}))
    world.sweep(3.0)
    world.tick(1.0)
    told = {}
    for tenant, (subscriber, client) in clients.items():
        client.pull(subscriber)
        told[tenant] = [d["type"] for d in client.documents if d["type"] == "gone" or "ended" in d]
    assert told == {"acme": ["points", "gone"], "beta": []}


def test_who_may_see_different_things_shares_no_view() -> None:
    world = World()
    scopes = [scope_of([parse(f'{{tenant="{tenant}"}}', LIMITS)]) for tenant in ("a", "b", "a")]
    views = [world.subscribe(world.spec("up").within(one)).view for one in (*scopes, EVERYTHING)]
    assert views[0] is views[2]
    assert len({id(view) for view in views}) == 3


@pytest.mark.parametrize(
    ("scope", "admits"),
    [
        (EVERYTHING, True),
        (NOTHING, False),
        (scope_of([]), False),
        (scope_of([parse('{__name__=~".+"}', LIMITS), parse("down", LIMITS)]), True),
        (scope_of([parse("down", LIMITS)]), False),
        (scope_of([parse("down", LIMITS), parse("up", LIMITS)]), True),
    ],
)
def test_what_a_scope_admits(scope: Scope, admits: bool) -> None:
    up: Identity = identify("up", {"a": "b"}, LIMITS)
    assert scope.admits(up) is admits
    assert scope.empty is (scope.selectors == ())
