"""A real service behind middleboxes that are broken in one way each."""

from __future__ import annotations

import dataclasses
import ssl
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from pushsvc.config import Auth, Server
from pushsvc.core.resources.limits import Pacing
from pushsvc.doctor.examine import Unexaminable, examine
from pushsvc.doctor.text import as_text
from pushsvc.doctor.way import Way
from tests.doctor.middlebox import Fault, between
from tests.serving import serving


def way(url: str) -> Way:
    return Way(url, None, ssl.create_default_context, 2.0)


def long(fault: Fault, problems: set[str], missing: set[str]) -> ParameterSet:
    return pytest.param(fault, problems, missing, marks=pytest.mark.long)


@pytest.mark.parametrize(
    ("fault", "problems", "missing"),
    [
        (Fault(), set(), {"idle", "total", "buffering", "upgrade", "compression"}),
        (Fault(cuts_idle=1.2), {"websocket_idle", "http_stream_idle"}, {"total", "buffering"}),
        long(
            Fault(forgets_idle=1.2), {"websocket_idle", "http_stream_idle"}, {"total", "buffering"}
        ),
        long(Fault(cuts_after=1.5, sockets_only=True), {"websocket_busy"}, {"buffering", "idle"}),
        (Fault(buffers=True), {"buffered", "sse_through", "ndjson_through"}, {"upgrade"}),
        long(Fault(compresses=True), {"compressed", "buffered"}, {"upgrade"}),
        long(Fault(strips_upgrade=True), {"websocket_through"}, {"buffering", "idle"}),
        long(Fault(http10=True), {"websocket_through", "http_version"}, {"buffering", "idle"}),
        long(Fault(adds=b"X-Forwarded-For: 192.0.2.1\r\n"), {"forwarding"}, {"buffering", "idle"}),
    ],
    ids=["none", "cuts", "forgets", "dies", "buffers", "gzip", "no-upgrade", "1.0", "forwards"],
)
async def test_each_fault_is_found_and_no_other(
    fault: Fault, problems: set[str], missing: set[str]
) -> None:
    async with serving() as served, between(served.port, fault) as url:
        report = await examine(way(url), 2.0)
    found = {one.code for one in report.findings if one.level == "problem"}
    assert problems <= found, as_text(report)
    assert report.healthy == (not problems), as_text(report)
    cures = {one.cure for one in report.findings if one.level == "problem"}
    assert not cures & missing, as_text(report)


async def test_a_proxy_that_names_itself_is_the_only_one_that_is_advised_about() -> None:
    fault = Fault(cuts_idle=1.2, signs=b"Via: 1.1 Caddy, haproxy\r\n")
    async with serving() as served, between(served.port, fault) as url:
        report = await examine(way(url), 2.0)
    assert report.seen == ("HAProxy", "Caddy")
    assert [proxy.name for proxy in report.advice] == ["HAProxy"]
    assert all(len(line) <= 80 for line in as_text(report).splitlines() if "://" not in line)


async def test_a_service_under_a_path_is_examined_there() -> None:
    async with serving(server=Server(port=0, base_path="/push")) as served:
        report = await examine(way(served.url), 2.0)
    assert report.healthy, as_text(report)
    assert way(served.url).origin == served.url.removesuffix("/push")


async def test_a_page_that_would_be_refused_is_foreseen() -> None:
    """As behind a proxy that has its own name for the host."""
    fault = Fault(host=b"backend:8080")
    async with serving() as served, between(served.port, fault) as url:
        report = await examine(way(url), 2.0)
    told = {one.code: one for one in report.findings}
    assert told["origin"].level == told["websocket_through"].level == "problem", as_text(report)
    assert "Host $http_host" in told["origin"].text
    assert told["origin"].cure == told["websocket_through"].cure == "forwarding"
    # The path for WebSockets is examined nevertheless.
    assert {"websocket_idle", "websocket_busy"} <= told.keys()


@pytest.mark.long
async def test_as_long_as_a_poll_waits_is_looked_for_unless_it_is_said() -> None:
    async with serving(stream=Pacing(poll_wait=1.0)) as served:
        report = await examine(way(served.url), None)
    assert report.idle == 6.0
    assert report.healthy, as_text(report)


async def test_a_token_that_is_no_good_is_told_apart_from_none(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text("")
    async with serving(auth=Auth(mode="keys", keys_file=str(file))) as served:
        with pytest.raises(Unexaminable, match="it asks for a --token"):
            await examine(way(served.url), 2.0)
        bad = dataclasses.replace(way(served.url), token="bad")
        with pytest.raises(Unexaminable, match="isn't good for this: this is not a key that is kn"):
            await examine(bad, 2.0)


async def test_what_is_no_service_is_not_examined() -> None:
    with pytest.raises(Unexaminable):
        await examine(way("http://127.0.0.1:1"), 2.0)
