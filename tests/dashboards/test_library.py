"""Dashboards in files: none is lost, none is half written, and what is mounted is noticed."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pushsvc.dashboards.library import Broken, Held, Library
from pushsvc.dashboards.model import Dashboard, write
from pushsvc.dashboards.precondition import Precondition, precondition
from pushsvc.errors import (
    Forbidden,
    Malformed,
    Overloaded,
    PreconditionFailed,
    PreconditionRequired,
    Unknown,
)

NEW = precondition(None, "*")


def called(title: str) -> Dashboard:
    return Dashboard(title=title, panels=())


def library(tmp_path: Path) -> Library:
    opened = Library(tmp_path / "saved", tmp_path / "provisioned")
    opened.prepare()
    return opened


def test_what_is_saved_is_there_after_a_restart(tmp_path: Path) -> None:
    held, new = library(tmp_path).save("a", called("A"), NEW)
    assert new
    again = library(tmp_path).get("a")
    assert (again.etag, again.dashboard, again.source) == (held.etag, called("A"), "saved")
    replaced, new = library(tmp_path).save("a", called("B"), Precondition(frozenset((held.etag,))))
    assert not new
    library(tmp_path).delete("a", Precondition(frozenset((replaced.etag,))))
    with pytest.raises(Unknown):
        library(tmp_path).get("a")


def test_who_comes_second_is_told_the_present_version(tmp_path: Path) -> None:
    one = library(tmp_path)
    first, _ = one.save("a", called("A"), NEW)
    with pytest.raises(PreconditionFailed):
        one.save("a", called("B"), NEW)
    second, _ = one.save("a", called("B"), Precondition(frozenset((first.etag,))))
    with pytest.raises(PreconditionFailed) as told:
        one.save("a", called("C"), Precondition(frozenset((first.etag,))))
    assert told.value.extra == {"etag": second.etag, "modified": second.modified}
    one.delete("a", Precondition(None))
    with pytest.raises(PreconditionFailed) as told:
        one.save("a", called("C"), Precondition(frozenset((second.etag,))))
    assert told.value.extra["etag"] is None


def test_of_many_writers_each_update_builds_on_the_one_before(tmp_path: Path) -> None:
    library(tmp_path).save("a", called("0"), NEW)

    def count(_: int) -> int:
        """Add one until that has been done ten times; libraries of their own, as processes have."""
        own, done = library(tmp_path), 0
        while done < 10:
            held = own.get("a")
            more = called(str(int(held.dashboard.title) + 1))
            try:
                own.save("a", more, Precondition(frozenset((held.etag,))))
            except PreconditionFailed:
                continue
            done += 1
        return done

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(count, range(4))) == 40
    assert library(tmp_path).get("a").dashboard.title == "40"


def test_a_config_map_that_is_mounted_anew_is_noticed(tmp_path: Path) -> None:
    mount = tmp_path / "provisioned"
    for version in ("first", "second"):
        (mount / version).mkdir(parents=True)
        (mount / version / "a.json").write_bytes(write(called(version)))
    (mount / "second" / "b.json").write_text('{"title": "B"}')
    (mount / "..data").symlink_to("first")
    (mount / "a.json").symlink_to("..data/a.json")
    one = library(tmp_path)
    assert one.get("a").dashboard.title == "first"
    (mount / "..next").symlink_to("second")
    (mount / "..next").rename(mount / "..data")
    (mount / "b.json").symlink_to("..data/b.json")
    assert one.get("a").dashboard.title == "second"
    good, broken = one.list()
    assert isinstance(good, Held)
    assert isinstance(broken, Broken)
    assert "panels" in broken.reason


def test_what_is_provisioned_is_only_read(tmp_path: Path) -> None:
    one = library(tmp_path)
    one.save("a", called("saved"), NEW)
    (tmp_path / "provisioned").mkdir()
    (tmp_path / "provisioned" / "a.json").write_bytes(write(called("provisioned")))
    assert one.get("a").source == "provisioned"
    with pytest.raises(Forbidden, match="provisioned"):
        one.save("a", called("x"), Precondition(None))
    with pytest.raises(Forbidden, match="provisioned"):
        one.delete("a", Precondition(None))
    with pytest.raises(Forbidden, match="directory is not set"):
        Library(None, None).save("a", called("x"), NEW)


def test_what_is_no_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    one = library(tmp_path)
    os.mkfifo(tmp_path / "saved" / "pipe.json")
    (tmp_path / "saved" / "Wrong Name.json").write_bytes(write(called("x")))
    (tmp_path / "saved" / "large.json").write_bytes(b" " * 300_000)
    reasons = {found.name: found.reason for found in one.list() if isinstance(found, Broken)}
    assert reasons["pipe"] == "not a file"
    assert "can't name" in reasons["Wrong Name"]
    assert "larger" in reasons["large"]


def test_what_a_crash_left_is_cleared(tmp_path: Path) -> None:
    one = library(tmp_path)
    (tmp_path / "saved" / ".x.new").write_text("{")
    one.prepare()
    assert [path.name for path in (tmp_path / "saved").iterdir()] == [".lock"]


def test_a_disk_that_fails_is_said_to_be_ours(tmp_path: Path) -> None:
    one = library(tmp_path)
    one.save("a", called("A"), NEW)
    (tmp_path / "saved").rename(tmp_path / "gone")
    with pytest.raises(Overloaded):
        one.save("a", called("B"), Precondition(None))


@pytest.mark.parametrize("field", ["a", '"a', '"a" "b"', ""])
def test_a_precondition_that_cannot_be_read_is_told(field: str) -> None:
    with pytest.raises(Malformed):
        precondition(field, None)
    with pytest.raises(Malformed):
        precondition(None, '"a"')
    with pytest.raises(PreconditionRequired):
        precondition(None, None)


def test_what_comes_with_the_program_gives_way_to_what_is_saved(tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "a.json").write_bytes(write(called("Ours")))
    one = Library(tmp_path / "saved", tmp_path / "provisioned", shipped)
    one.prepare()
    assert (one.get("a").source, one.get("a").dashboard.title) == ("shipped", "Ours")
    with pytest.raises(Unknown):
        one.delete("a", Precondition(None))
    held, new = one.save("a", called("Theirs"), NEW)
    assert new
    assert [(each.name, each.source) for each in one.list()] == [("a", "saved")]
    one.delete("a", Precondition(frozenset((held.etag,))))
    assert one.get("a").source == "shipped"
