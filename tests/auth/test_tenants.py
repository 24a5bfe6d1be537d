"""No selector, label or trick of Unicode shows a tenant what another one has."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio_websocket import ConnectionClosed

from pushsvc.auth.keys import make_key, table_of
from pushsvc.config import Auth
from pushsvc.core.catalog import Series
from pushsvc.core.limits import Limits, Pacing, Retention
from pushsvc.core.scope import Scope, scope_of
from pushsvc.core.selector import Selector, parse
from pushsvc.core.series import Batch, Identity, Rows, identify
from tests import tokens
from tests.core.world import World
from tests.serving import detach, next_of, serving

LIMITS = Limits()
VALUES = (
    *("acme", "ACME", "acme ", " acme", "acme\u200b", "ac\u0301me", "\u00e1cme", "\u0430cme"),
    *(
        "acme\n",
        "a",
        "",
        'a"b',
        "a\\",
        ".*",
        "acme|other",
        "other",
        "\U0001d41a\U0001d41c",
        "\u212a",
    ),
)
"""What looks alike, what folds or normalises to the same, and what means something to a regex."""
NAMES = ("up", "cpu", "tenant", "up:acme")


class Matcher(msgspec.Struct, frozen=True):
    """A matcher, and what it means, worked out without the selector's own code."""

    label: str
    operator: str
    value: str

    @property
    def text(self) -> str:
        literal = self.operator in ("=", "!=")
        value = self.value if literal else re.escape(self.value)
        return f"{self.label}{self.operator}{msgspec.json.encode(value).decode()}"

    def admits(self, identity: Identity) -> bool:
        labels = {"__name__": identity.name, **dict(identity.labels)}
        found = labels.get(self.label, "")
        if self.operator in ("=", "!="):
            return (found == self.value) is (self.operator == "=")
        # Escaped, a value means itself; as a regex that is asked for by a stranger it may not.
        return (found == self.value) is (self.operator == "=~")


class Asked(msgspec.Struct, frozen=True):
    """A selector of several matchers."""

    matchers: tuple[Matcher, ...]

    @property
    def selector(self) -> Selector:
        return parse("{" + ",".join(matcher.text for matcher in self.matchers) + "}", LIMITS)

    def admits(self, identity: Identity) -> bool:
        return all(matcher.admits(identity) for matcher in self.matchers)


_MATCHER = st.one_of(
    st.builds(Matcher, st.just("tenant"), st.sampled_from(("=", "!=")), st.sampled_from(VALUES)),
    st.builds(
        Matcher,
        st.just("tenant"),
        st.sampled_from(("=~", "!~")),
        st.sampled_from(tuple(value for value in VALUES if value)),
    ),
    st.builds(Matcher, st.just("__name__"), st.sampled_from(("=", "!=")), st.sampled_from(NAMES)),
)
_ASKED = st.lists(_MATCHER, min_size=0, max_size=3).map(
    lambda matchers: Asked((Matcher("__name__", "!=", ""), *matchers))
)
_IDENTITIES = [
    identify(name, {"tenant": value}, LIMITS) for name, value in itertools.product(NAMES, VALUES)
]


def seen(documents: list[dict[str, Any]]) -> set[str]:
    """The identities of all that these documents describe."""
    return {
        identify(series["name"], series["labels"], LIMITS).text
        for document in documents
        for series in document.get("series", ())
    }


def drain(subscriber: Any) -> list[dict[str, Any]]:
    documents = []
    while (frame := subscriber.pull()) is not None:
        documents.append(msgspec.json.decode(frame.json))
    return documents


@settings(max_examples=150, deadline=None)
@given(
    asked=st.lists(_ASKED, min_size=1, max_size=3),
    later=st.lists(_ASKED, min_size=1, max_size=3),
    allowed=st.lists(_ASKED, max_size=2),
    merge=st.sampled_from(("all", "last", "envelope")),
    data=st.data(),
)
def test_only_what_is_both_asked_for_and_allowed_is_shown(
    asked: list[Asked], later: list[Asked], allowed: list[Asked], merge: str, data: st.DataObject
) -> None:
    world = World(retention=Retention(samples=4), pacing=Pacing(ring_frames=2))
    scope = scope_of(one.selector for one in allowed)
    early = set(data.draw(st.lists(st.sampled_from(_IDENTITIES), max_size=12, unique=True)))

    def publish(identities: set[Identity]) -> None:
        rows = [Rows(one, [world.time_ms], [1.0]) for one in sorted(identities, key=str)]
        if rows:
            world.hub.apply(world.hub.seq + 1, Batch(rows), world.now)

    def may(wanted: list[Asked], identity: Identity) -> bool:
        return any(one.admits(identity) for one in wanted) and any(
            one.admits(identity) for one in allowed
        )

    def wish(wanted: list[Asked]) -> Any:
        selectors = [one.selector for one in wanted]
        return world.hub.grant(selectors, None, merge).within(scope)

    publish(early)
    first = world.hub.seq
    subscriber = world.subscribe(wish(asked), window=3600.0)
    documents = drain(subscriber)
    assert seen(documents) == {one.text for one in early if may(asked, one)}
    # What comes live, series that are new among it, and more than the ring holds.
    for _ in range(5):
        publish(set(_IDENTITIES))
        world.tick(1.0)
    documents += drain(subscriber)
    own = {one.text for one in _IDENTITIES if may(asked, one)}
    assert seen(documents) == own
    assert refs(documents) <= {ref for ref, text in by_ref(world).items() if text in own}
    for document in documents:
        if document["type"] == "gap":
            assert document["lost"] is None or document["lost"] <= 5 * len(own)
    # Resumed, changed, and looked up.
    resumed = world.subscribe(wish(asked), since=f"e1.{first}")
    assert seen(drain(resumed)) <= own
    world.hub.watch(subscriber.session, wish(later), 3600.0, now=world.now, time_ms=world.time_ms)
    changed = {one.text for one in _IDENTITIES if may(later, one)}
    assert seen(drain(subscriber)) <= changed
    assert texts(world.hub.catalog.select([one.selector for one in asked], scope)) == own


def refs(documents: list[dict[str, Any]]) -> set[int]:
    return {point[0] for document in documents for point in document.get("points", ())}


def by_ref(world: World) -> dict[int, str]:
    return {series.ref: series.identity.text for series in world.hub.catalog}


def texts(found: list[Series]) -> set[str]:
    return {series.identity.text for series in found}


def test_who_may_see_different_things_shares_no_view() -> None:
    world = World()
    wish = world.wish("up")
    one = wish.within(scope_of([parse('{tenant="a"}')]))
    other = wish.within(scope_of([parse('{tenant="b"}')]))
    same = wish.within(scope_of([parse('{tenant="a"}')]))
    assert len({one.key, other.key, wish.key, wish.within(Scope(())).key}) == 4
    assert one.key == same.key


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """Keys of two tenants and an operator, and their file under `file`."""
    made: dict[str, str] = {}
    tables = []
    for name, grants in (
        ("a", {"read": ['{tenant="a"}'], "write": ['{tenant="a"}']}),
        ("b", {"read": ['{tenant="b"}'], "write": ['{tenant="b"}']}),
    ):
        key, id_, hash_ = make_key()
        tables.append(table_of(id_, hash_, name=name, operator=False, **grants))
        made[name] = key
    key, id_, hash_ = make_key()
    tables.append(table_of(id_, hash_, name="operator", read=(), write=(), operator=True))
    made["operator"] = key
    file = tmp_path / "keys.toml"
    file.write_text("\n".join(tables))
    return {**made, "file": str(file)}


def renewing(token: str) -> str:
    return msgspec.json.encode({"type": "auth", "token": token}).decode()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("detached", [True, False])
async def test_two_tenants(
    keys: dict[str, str], detached: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    detach.set(detached)
    auth = Auth(mode="keys", keys_file=keys["file"])
    async with serving(auth=auth) as served:

        async def write(who: str, *tenants: str) -> int:
            samples = [
                {"name": "up", "labels": {"tenant": tenant}, "value": 1} for tenant in tenants
            ]
            answer = await served.http.post(
                "/v1/samples", json={"samples": samples}, headers=bearer(keys[who])
            )
            if answer.status_code == 403:
                assert 'tenant="' in answer.json()["series"][0]
            return answer.status_code

        assert await write("a", "a") == 200
        assert await write("b", "b") == 200
        assert await write("a", "a", "b") == 403
        lines = "\n".join(f'{{"name":"up","labels":{{"tenant":"{t}"}},"value":2}}' for t in "ab")
        by_line = await served.http.post(
            "/v1/samples",
            content=lines,
            headers={**bearer(keys["a"]), "Content-Type": "application/x-ndjson"},
        )
        assert (by_line.status_code, by_line.json()["applied"]) == (422, 1)
        partial = await served.http.post(
            "/write", content="up,tenant=a value=3\nup,tenant=b value=3", headers=bearer(keys["a"])
        )
        assert partial.status_code == 400
        assert 'may not write up{tenant="b"}' in partial.json()["error"]

        headers = bearer(keys["a"])
        for path in ("/v1/series", "/v1/history", '/v1/series?select={tenant="b"}'):
            listed = (await served.http.get(path, headers=headers)).json()["series"]
            assert {one["labels"]["tenant"] for one in listed} <= {"a"}, path

        async with served.documents("text/event-stream", headers=headers) as documents:
            hello = await next_of(documents, "hello")
            points = await next_of(documents, "points")
            assert [one["labels"]["tenant"] for one in points["series"]] == ["a"]
            session = f"/v1/stream/{hello['session']}"
            everything = {"type": "watch", "select": ['{__name__=~".+"}', '{tenant="b"}']}
            other = await served.http.post(session, json=everything, headers=bearer(keys["b"]))
            assert (other.status_code, other.json()["code"]) == (403, "session")
            own = await served.http.post(session, json=everything, headers=headers)
            assert own.status_code == 200
            assert await write("b", "b") == 200
            assert await write("a", "a") == 200
            points = await next_of(documents, "points")
            while not points["points"]:
                points = await next_of(documents, "points")
            assert {one["labels"]["tenant"] for one in points.get("series", [])} <= {"a"}
        operator = bearer(keys["operator"])
        counted = (await served.http.get("/metrics", headers=operator)).text
        assert 'pushsvc_access_refused_total{code="session"}' not in counted  # the stream's affair
        assert (await served.http.get("/v1/series", headers=operator)).status_code == 403
    said = capsys.readouterr()
    for name in ("a", "b", "operator"):
        assert keys[name] not in said.out + said.err


@pytest.mark.parametrize("detached", [True, False])
@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_a_stream_ends_with_its_token_and_may_renew_it(
    tmp_path: Path, detached: bool, transport: str
) -> None:
    detach.set(detached)
    auth = Auth(
        mode="jwt",
        public_keys_file=tokens.write_public_key(tmp_path),
        issuer=tokens.ISSUER,
        leeway=0.0,
    )

    def soon(**changed: Any) -> str:
        return tokens.token(exp=int(time.time()) + 2, **changed)

    async with serving(auth=auth) as served:
        with trio.fail_after(20):
            if transport == "sse":
                async with served.documents(
                    "text/event-stream", headers=bearer(soon())
                ) as documents:
                    session = (await next_of(documents, "hello"))["session"]
                    target = f"/v1/stream/{session}"
                    renewal = {"type": "auth", "token": tokens.token(exp=int(time.time()) + 3)}
                    answer = await served.http.post(
                        target, json=renewal, headers=bearer(tokens.token())
                    )
                    assert answer.status_code == 200
                    began = time.time()
                    error = await next_of(documents, "error")
                    assert error["code"] == "token_expired"
                    assert time.time() - began > 1.5
                return
            async with served.websocket(headers=bearer(soon())) as ws:
                hello = msgspec.json.decode(await ws.get_message())
                assert hello["type"] == "hello"
                longer = tokens.token(exp=int(time.time()) + 4)
                await ws.send_message(
                    msgspec.json.encode({"type": "auth", "token": longer}).decode()
                )
                began = time.time()
                with pytest.raises(ConnectionClosed) as closed:
                    while True:
                        await ws.get_message()
                assert closed.value.reason is not None
                assert closed.value.reason.code == 4101
                assert time.time() - began > 2.5


async def test_a_renewal_is_of_the_same_subject_and_may_narrow(tmp_path: Path) -> None:
    auth = Auth(mode="jwt", public_keys_file=tokens.write_public_key(tmp_path))
    async with serving(auth=auth) as served:
        write = bearer(tokens.token())
        samples = [{"name": name, "value": 1} for name in ("a", "b")]
        async with served.websocket(headers=bearer(tokens.token())) as ws:
            await ws.get_message()
            await ws.get_message()
            narrow = tokens.token(pushsvc={"read": ["a"]})
            await ws.send_message(renewing(narrow))
            assert msgspec.json.decode(await ws.get_message())["type"] == "hello"
            await served.http.post("/v1/samples", json={"samples": samples}, headers=write)
            while not (points := msgspec.json.decode(await ws.get_message())).get("series"):
                pass
            assert [one["name"] for one in points["series"]] == ["a"]
            another = tokens.token(sub="someone else")
            await ws.send_message(renewing(another))
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await ws.get_message()
            assert closed.value.reason is not None
            assert closed.value.reason.code == 4003


async def test_a_key_that_is_taken_out_of_the_file_ends_what_it_opened(
    keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pushsvc.auth.mode._LOOK", 0.05)
    auth = Auth(mode="keys", keys_file=keys["file"])
    async with serving(auth=auth) as served:
        headers = bearer(keys["a"])
        async with (
            served.documents("text/event-stream", headers=headers) as documents,
            served.websocket(headers=headers, path="/v1/publish") as publisher,
        ):
            await next_of(documents, "hello")
            sample = '{"name":"up","labels":{"tenant":"a"},"value":1}'
            await publisher.send_message(sample)
            assert msgspec.json.decode(await publisher.get_message())["type"] == "applied"
            file = trio.Path(keys["file"])
            await file.write_text((await file.read_text()).partition("\n\n")[2])
            assert (await next_of(documents, "error"))["code"] == "token"
            await publisher.send_message(sample)
            assert msgspec.json.decode(await publisher.get_message())["type"] == "error"
        assert (await served.http.get("/v1/series", headers=headers)).status_code == 401
