"""Waiting until a dashboard is another version."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from pushsvc.app.http import changes
from pushsvc.app.http.changes import Changes, patience
from pushsvc.config import Dashboards
from pushsvc.dashboards.library import Library
from pushsvc.pipeline.drain import Draining
from tests.serving import serving

DASHBOARD: dict[str, Any] = {
    "title": "Hosts",
    "panels": [{"id": "a", "kind": "line", "select": "up"}],
}
OTHER = {**DASHBOARD, "title": "Others"}


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("", 0),
        ("wait=25", 25),
        ("respond-async, wait=5", 5),
        ('WAIT="7"; x', 7),
        ("wait=9999", 30),
        ("wait=-1", 0),
        ("await=5", 0),
        ("wait=5s", 0),
    ],
)
def test_patience(prefer: str, seconds: float) -> None:
    assert patience(prefer) == seconds


async def test_who_comes_with_a_newer_version_than_was_seen_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a file was changed by hand: others are told at the next look."""
    monkeypatch.setattr(changes, "_EVERY", 0.3)
    file = tmp_path / "kept.json"
    file.write_text(json.dumps(DASHBOARD))
    library = Library(None, tmp_path)
    old = library.get("kept").etag
    waiting = Changes(library, Draining())
    async with trio.open_nursery() as nursery:
        await nursery.start(waiting.run)
        told = trio.Event()

        async def first() -> None:
            assert await waiting.wait("kept", old, 20)
            told.set()

        nursery.start_soon(first)
        await trio.sleep(0.1)  # it was looked at
        file.write_text(json.dumps(OTHER))
        new = library.get("kept").etag
        assert new != old
        with trio.move_on_after(1.0) as patience:
            await waiting.wait("kept", new, 20)
        assert patience.cancelled_caught
        assert told.is_set()
        # A client that comes with an old version after the new one was seen is told as well.
        with trio.fail_after(30):
            assert await waiting.wait("kept", old, 20)
        nursery.cancel_scope.cancel()


async def test_all_who_wait_are_told_of_whatever_becomes_of_it(tmp_path: Path) -> None:
    saved, provisioned = tmp_path / "saved", tmp_path / "provisioned"
    provisioned.mkdir()
    file = provisioned / "kept.json"
    file.write_text(json.dumps(DASHBOARD))
    where = Dashboards(directory=str(saved), provisioned=str(provisioned))
    async with serving(dashboards=where) as served:
        http = served.http
        new = {"If-None-Match": "*"}
        made = await http.put("/v1/dashboards/hosts", json=DASHBOARD, headers=new)
        etags = {
            "hosts": made.headers["etag"],
            "kept": (await http.get("/v1/dashboards/kept")).headers["etag"],
        }
        answers: list[httpx.Response] = []

        async def wait(name: str, prefer: str = "wait=20") -> None:
            headers = {"If-None-Match": etags[name], "Prefer": prefer}
            answers.append(await http.get(f"/v1/dashboards/{name}", headers=headers, timeout=30))

        async def told(name: str, act: Callable[[], Awaitable[object]]) -> list[httpx.Response]:
            """What three are told, who wait for what happens next."""
            answers.clear()
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(wait, name)
                await served.wait_metric("pushsvc_dashboard_waits", 3)
                assert answers == []
                await act()
            return answers

        with trio.fail_after(20):
            url, any_one = "/v1/dashboards/hosts", {"If-Match": "*"}
            for answer in await told("hosts", partial(http.put, url, json=OTHER, headers=any_one)):
                assert (answer.status_code, answer.json()["title"]) == (200, "Others")
                assert answer.headers["preference-applied"] == "wait"
            etags["hosts"] = answers[0].headers["etag"]
            await told("kept", partial(trio.Path(file).write_text, json.dumps(OTHER)))
            assert [answer.json()["title"] for answer in answers] == ["Others"] * 3
            await told("hosts", partial(http.delete, url, headers=any_one))
            assert [answer.status_code for answer in answers] == [404] * 3
            # If nothing changes, the answer comes at the end and has nothing new; for an old
            # version it comes at once.
            etags["kept"] = (await http.get("/v1/dashboards/kept")).headers["etag"]
            await wait("kept", "wait=1")
            assert answers[-1].status_code == 304
            assert answers[-1].headers["preference-applied"] == "wait"
            etags["kept"] = '"other"'
            await wait("kept")
            assert answers[-1].status_code == 200
            # A service that drains lets nobody wait.
            etags["kept"] = (await http.get("/v1/dashboards/kept")).headers["etag"]

            async def drain() -> None:
                served.drain.set()

            await told("kept", drain)
            assert [answer.status_code for answer in answers] == [304] * 3


async def test_nobody_waits_where_too_many_do_or_the_service_drains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(DASHBOARD))
    library, draining = Library(None, tmp_path), Draining()
    etag = library.get("a").etag
    waiting = Changes(library, draining)
    monkeypatch.setattr(changes, "MOST", 1)
    async with trio.open_nursery() as nursery:
        await nursery.start(waiting.run)

        async def wait() -> None:
            assert await waiting.wait("a", etag, 60)

        with trio.fail_after(30):
            async with trio.open_nursery() as inner:
                inner.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert waiting.waiting == 1
                assert not await waiting.wait("a", etag, 60)
                draining.set()
            assert waiting.waiting == 0
            assert not await waiting.wait("a", etag, 60)
        nursery.cancel_scope.cancel()
