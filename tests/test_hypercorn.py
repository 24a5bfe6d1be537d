"""What the service needs of Hypercorn's insides, and what it does without."""

from __future__ import annotations

import hypercorn
import pytest

from pushsvc.listen import hypercorn_internals, hypercorn_windows
from tests.serving import next_of, serving


def test_this_hypercorn_has_what_detaching_needs() -> None:
    gone = hypercorn_internals.missing()
    assert not gone, (
        f"Hypercorn {getattr(hypercorn, '__version__', '')} no longer has {', '.join(gone)}: see "
        "what took its place and change pushsvc/listen/hypercorn_internals.py; until then the "
        "service carries streams without detaching them"
    )


def test_this_hypercorn_has_what_bounding_http2_needs() -> None:
    gone = hypercorn_internals.missing(hypercorn_windows.USED)
    assert not gone, (
        f"see what took their place and change pushsvc/listen/hypercorn_windows.py: {gone}"
    )


def test_what_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {hypercorn_internals.TCPServer: ("run", "no_such_name")}
    monkeypatch.setattr(hypercorn_internals, "_DETACHING", table)
    assert hypercorn_internals.missing() == ["hypercorn.trio.tcp_server.TCPServer.no_such_name"]


async def test_streams_flow_without_detaching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypercorn_internals, "missing", lambda: ["something"])
    async with serving() as served, served.documents("text/event-stream") as documents:
        await next_of(documents, "hello")
        await served.publish({"name": "a", "value": 1})
        assert (await next_of(documents, "points"))["points"] == []
        assert (await next_of(documents, "points"))["points"][0][2] == 1.0
