"""What every journal promises, whatever keeps it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing

from pushsvc.core.cursor import Cursor, parse_cursor
from pushsvc.core.limits import Limits
from pushsvc.core.series import Batch, Rows, identify
from pushsvc.journal import Journal
from pushsvc.journal.memory import MemoryJournal

OpenJournal = Callable[[], Journal]

JOURNALS: dict[str, OpenJournal] = {"memory": MemoryJournal}


@pytest.fixture(params=list(JOURNALS.values()), ids=list(JOURNALS))
def open_journal(request: pytest.FixtureRequest) -> OpenJournal:
    """Opens a new journal of the kind under test; each call begins a run of its own."""
    opened: OpenJournal = request.param
    return opened


def batch(value: float = 1.0) -> Batch:
    return Batch([Rows(identify("up", {}, Limits()), [1], [value])])


async def test_seqs_grow_by_one(open_journal: OpenJournal) -> None:
    journal = open_journal()
    first = await journal.append(batch())
    assert first >= 1
    assert [await journal.append(batch(float(n))) for n in range(20)] == list(
        range(first + 1, first + 21)
    )
    await journal.aclose()


async def test_no_seq_is_given_twice_to_those_who_append_at_once(
    open_journal: OpenJournal,
) -> None:
    journal = open_journal()
    seqs: list[int] = []

    async def append() -> None:
        for _ in range(10):
            seqs.append(await journal.append(batch()))  # noqa: PERF401 - as they come

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(append)
    assert sorted(seqs) == list(range(min(seqs), min(seqs) + 50))
    await journal.aclose()


async def test_every_run_has_its_own_epoch(open_journal: OpenJournal) -> None:
    journals = [open_journal() for _ in range(20)]
    assert len({journal.epoch for journal in journals}) == 20
    for journal in journals:
        before = journal.epoch
        await journal.append(batch())
        assert journal.epoch == before
        await journal.aclose()


async def test_an_epoch_can_stand_in_a_cursor(open_journal: OpenJournal) -> None:
    journal = open_journal()
    cursor = Cursor(journal.epoch, await journal.append(batch()))
    assert parse_cursor(str(cursor)) == cursor
    await journal.aclose()


async def test_appending_checkpoints(open_journal: OpenJournal) -> None:
    journal = open_journal()
    with trio.testing.assert_checkpoints():
        await journal.append(batch())
    await journal.aclose()


async def test_a_cancelled_append_uses_up_no_seq(open_journal: OpenJournal) -> None:
    journal = open_journal()
    before = await journal.append(batch())
    with trio.CancelScope() as scope:
        scope.cancel()
        await journal.append(batch())
    assert scope.cancelled_caught
    assert await journal.append(batch()) == before + 1
    await journal.aclose()


async def test_nothing_is_appended_after_the_end(open_journal: OpenJournal) -> None:
    journal = open_journal()
    await journal.append(batch())
    await journal.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await journal.append(batch())


async def test_closing_again_does_nothing(open_journal: OpenJournal) -> None:
    journal = open_journal()
    await journal.aclose()
    await journal.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await journal.append(batch())


async def test_a_cancelled_close_closes(open_journal: OpenJournal) -> None:
    journal = open_journal()
    with trio.CancelScope() as scope:
        scope.cancel()
        await journal.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await journal.append(batch())
