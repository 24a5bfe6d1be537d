"""The file of keys while the service runs: what a change of it does, and what none does."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
import trio
import trio.testing

from pushsvc.auth.keys import KeyRing, load_keys, make_key, table_of
from pushsvc.auth.mode import run_key_file

LOOK = 5.0


def table() -> str:
    _, id_, hash_ = make_key()
    return table_of(id_, hash_, name="", read=["a"], write=[], operator=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "keys.toml"
    file.write_text(table())
    return file


def write(file: Path, text: str) -> None:
    file.write_text(text)


def remove(file: Path) -> None:
    file.unlink()


async def looks(count: float) -> None:
    await trio.sleep(count * LOOK)


async def test_an_empty_file_takes_all_keys_out_when_it_stays_empty(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    ring, changes = load_keys(file), []
    async with trio.open_nursery() as nursery:
        await nursery.start(run_key_file, file, ring, lambda: changes.append(len(ring)))
        # An editor that empties a file before it writes revokes nobody.
        write(file, "")
        await looks(1.5)
        assert (len(ring), changes) == (1, [])
        write(file, table() + table())
        await looks(1)
        assert (len(ring), changes) == (2, [2])
        write(file, "# nobody\n")
        await looks(1)
        assert len(ring) == 2
        await looks(1)
        assert (len(ring), changes) == (0, [2, 0])
        await looks(3)
        assert changes == [2, 0]
        nursery.cancel_scope.cancel()


async def test_a_file_that_is_gone_is_told_of_once_and_revokes_nobody(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    ring = load_keys(file)
    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            await nursery.start(run_key_file, file, ring, lambda: None)
            remove(file)
            await looks(3.5)
            [told] = logs
            assert told["event"] == "the keys stay as they were"
            assert told["reason"] == (
                f"{file}: No such file or directory; to take all keys out, leave the file empty"
            )
            assert len(ring) == 1
            write(file, table() + table())
            await looks(1)
            assert len(ring) == 2
            nursery.cancel_scope.cancel()


def test_an_empty_file_has_no_keys_at_the_start_either(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text("")
    assert isinstance(load_keys(file), KeyRing)
    assert len(load_keys(file)) == 0
