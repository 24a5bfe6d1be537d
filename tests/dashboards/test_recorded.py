"""Dashboards that are saved with the log: several services have the same."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from pushsvc.config import Dashboards, Keeping
from pushsvc.core.storage import records
from pushsvc.core.storage.records import Capacity, Change
from pushsvc.dashboards.library import MOST, Library
from pushsvc.dashboards.precondition import Precondition
from pushsvc.dashboards.recorded import KIND, RecordStore, newest_seen, take_in
from pushsvc.errors import Rejected
from pushsvc.journal import sqlite
from tests.described import check
from tests.flow import running
from tests.journal import valkey_server
from tests.serving import Served, serving
from tests.shared_log import SharedJournal, SharedLog

NEW = {"If-None-Match": "*"}
ONE = "/v1/dashboards/{name}"
URL = "/v1/dashboards/hosts"


def called(title: str) -> dict[str, Any]:
    return {"title": title, "panels": [{"id": "a", "kind": "line", "select": "up"}]}


@pytest.fixture(params=["valkey", "sqlite"])
def keeping(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Keeping]:
    """A log that several services may share."""
    if request.param == "valkey":
        with valkey_server.running(tmp_path / "valkey") as server:
            yield Keeping(url=server.url)
    else:
        alone = sqlite.open_sqlite_journal

        def shared(path: Path, **more: Any) -> Any:
            return alone(path, **{**more, "shared": True})

        monkeypatch.setattr(sqlite, "open_sqlite_journal", shared)
        yield Keeping(path=str(tmp_path / "journal.db"))


@asynccontextmanager
async def two(
    keeping: Keeping, dashboards: Dashboards | None = None
) -> AsyncIterator[tuple[Served, Served]]:
    async with (
        serving(journal=keeping, dashboards=dashboards) as one,
        serving(journal=keeping, dashboards=dashboards) as other,
    ):
        yield one, other


async def put(service: Served, title: str, **headers: str) -> httpx.Response:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return await service.http.put(URL, json=called(title), headers=headers)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    with trio.fail_after(30):
        while not await true():
            await trio.sleep(0.01)


async def test_two_editors_at_two_services(keeping: Keeping) -> None:
    async with two(keeping) as (one, other):
        made = await one.http.put(URL, json=called("Hosts"), headers=NEW)
        assert made.status_code == 201
        check(ONE, "put", 201, "application/json", made.json())
        etag = made.headers["etag"]
        # Both have read this version, and save at once. One is first, whichever it is.
        for _ in range(10):
            answers: dict[str, httpx.Response] = {}

            async def save(
                service: Served, name: str, answers: dict[str, httpx.Response], etag: str
            ) -> None:
                answers[name] = await put(service, f"{name} {etag}", If_Match=etag)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(save, one, "one", answers, etag)
                nursery.start_soon(save, other, "other", answers, etag)
            by_status = {answer.status_code: answer for answer in answers.values()}
            assert set(by_status) == {200, 412}
            check(ONE, "put", 412, "application/problem+json", by_status[412].json())
            etag = by_status[200].headers["etag"]
            assert by_status[412].json()["etag"] == etag
            winner = next(name for name, one_ in answers.items() if one_.status_code == 200)
            for service in (one, other):
                # The version is asked for, so that nobody says of an older one that it is new.
                same = await service.http.get(URL, headers={"If-None-Match": etag})
                assert (same.status_code, same.headers["etag"]) == (304, etag)
                assert (await service.http.get(URL)).json()["title"].startswith(winner)
        # What one has just written is known at the other when it is the version that is meant.
        for turn in range(10):
            service = (one, other)[turn % 2]
            answer = await put(service, f"turn {turn}", If_Match=etag)
            assert answer.status_code == 200, answer.text
            etag = answer.headers["etag"]
        assert (await other.http.delete(URL, headers={"If-Match": etag})).status_code == 204

        async def gone() -> bool:
            return (await one.http.get(URL)).status_code == 404

        await until(gone)


async def test_who_looks_at_another_service_is_told_at_once(keeping: Keeping) -> None:
    async with two(keeping) as (one, other):
        etag = (await one.http.put(URL, json=called("Hosts"), headers=NEW)).headers["etag"]
        answers: list[httpx.Response] = []

        async def wait(etag: str) -> None:
            headers = {"If-None-Match": etag, "Prefer": "wait=30"}
            answers.append(await other.http.get(URL, headers=headers, timeout=60))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, etag)
            await other.wait_metric("pushsvc_dashboard_waits", 1)
            changed = await put(one, "All hosts", If_Match=etag)
        assert [answer.json()["title"] for answer in answers] == ["All hosts"]
        assert answers[0].headers["etag"] == changed.headers["etag"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, changed.headers["etag"])
            await other.wait_metric("pushsvc_dashboard_waits", 1)
            await one.http.delete(URL, headers={"If-Match": "*"})
        assert answers[-1].status_code == 404


async def test_a_restart_keeps_them_and_files_are_taken_in_once(
    keeping: Keeping, tmp_path: Path
) -> None:
    saved = tmp_path / "saved"
    async with serving(dashboards=Dashboards(directory=str(saved))) as files:
        for name in ("hosts", "kept", "old"):
            await files.http.put(f"/v1/dashboards/{name}", json=called(name), headers=NEW)
    (saved / "broken.json").write_text("{")
    before = {file.name: file.read_text() for file in saved.glob("*.json")}
    where = Dashboards(directory=str(saved))

    async def titles(service: Served) -> set[str]:
        listed = (await service.http.get("/v1/dashboards")).json()
        assert listed["writable"] is True
        return {one["title"] for one in listed["dashboards"] if one["source"] == "saved"}

    async with two(keeping, where) as (one, other):

        async def there(service: Served) -> bool:
            return await titles(service) == {"hosts", "kept", "old"}

        for service in (one, other):
            await until(partial(there, service))
        assert (await put(one, "Hosts", If_Match="*")).status_code == 200
        gone = await one.http.delete("/v1/dashboards/old", headers={"If-Match": "*"})
        assert gone.status_code == 204
    # What was deleted doesn't come back, and what was changed stays as it was changed.
    (saved / "late.json").write_text(json.dumps(called("late")))
    async with serving(journal=keeping, dashboards=where) as again:

        async def late() -> bool:
            return "late" in await titles(again)

        await until(late)
        assert await titles(again) == {"Hosts", "kept", "late"}
    # Files stay as they are: a service that uses them again finds what was there.
    (saved / "late.json").unlink()
    assert {file.name: file.read_text() for file in saved.glob("*.json")} == before
    async with serving(journal=keeping) as without:
        assert await titles(without) == {"Hosts", "kept", "late"}
    provisioned = tmp_path / "provisioned"
    provisioned.mkdir()
    (provisioned / "hosts.json").write_text(json.dumps(called("From a file")))
    where = Dashboards(provisioned=str(provisioned))
    async with serving(journal=keeping, dashboards=where) as both:
        assert (await both.http.get(URL)).json()["title"] == "From a file"
        assert (await put(both, "x", If_Match="*")).status_code == 403


async def test_saving_waits_for_a_log_that_is_away_and_then_says_so(tmp_path: Path) -> None:
    with valkey_server.running(tmp_path / "valkey") as server:
        async with two(Keeping(url=server.url)) as (one, other):
            etag = (await one.http.put(URL, json=called("Hosts"), headers=NEW)).headers["etag"]
            await other.http.get(URL, headers={"If-None-Match": etag})
            server.kill()
            answer = await put(one, "Others", If_Match=etag)
            assert (answer.status_code, answer.json()["code"]) == (503, "journal")
            assert int(answer.headers["retry-after"]) > 0
            for service in (one, other):
                assert (await service.http.get(URL)).json()["title"] == "Hosts"
            server.start()

            async def saved() -> bool:
                answer = await put(one, "Others", If_Match=etag)
                # It may have been saved at the first try: then that was this one's.
                assert answer.status_code in (200, 503), answer.text
                return answer.status_code == 200

            await until(saved)

            async def seen() -> bool:
                return bool((await other.http.get(URL)).json()["title"] == "Others")

            await until(seen)


@asynccontextmanager
async def store() -> AsyncIterator[tuple[Library, SharedLog, Any]]:
    log = SharedLog()
    async with running(SharedJournal(log)) as service:
        kept = RecordStore(service.hub.records, service.pipeline.record)
        yield Library(kept, None), log, service


async def test_there_is_room_for_so_many(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert records.CAPACITY[KIND].count == MOST
    monkeypatch.setitem(records.CAPACITY, KIND, Capacity(2, 200))
    async with store() as (_, log, service), running(SharedJournal(log)) as other:
        for name in "ab":
            await service.pipeline.record(Change(KIND, name, b"{}", 0))
        kept = RecordStore(service.hub.records, service.pipeline.record)
        new = Precondition(frozenset(), absent=True)
        with pytest.raises(Rejected, match="delete one first") as caught:
            await trio.to_thread.run_sync(kept.put, "c", b"{}", new)
        assert caught.value.code == "dashboards"
        with pytest.raises(Rejected, match="bytes together"):
            await trio.to_thread.run_sync(kept.put, "a", b"x" * 198, Precondition(None))
        await trio.sleep(1)
        assert other.hub.records.dump() == service.hub.records.dump()


async def test_files_are_taken_in_by_one_of_several(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    log = SharedLog()
    library = Library(tmp_path, None)
    folder = library.folder
    assert folder is not None
    for name in "abc":
        (tmp_path / f"{name}.json").write_text(json.dumps(called(name)))
    async with running(SharedJournal(log)) as one, running(SharedJournal(log)) as other:
        async with trio.open_nursery() as nursery:
            for service in (one, other):
                nursery.start_soon(take_in, folder, service.hub.records, service.pipeline.record)
        await trio.sleep(1)
        assert one.hub.records.dump() == other.hub.records.dump()
        assert [record.name for record in one.hub.records.of(KIND)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("tags", "seq"),
    [
        ("", 0),
        ("*", 0),
        ('"0123"', 0),
        ('"0123-17"', 17),
        ('"0123-17", W/"45-9", "x-"', 17),
        ('"a-99999999999999999999"', 0),
    ],
)
def test_a_version_says_how_far_one_must_have_read(tags: str, seq: int) -> None:
    assert newest_seen(tags) == seq
