"""The process that appends is killed at any moment: what was answered is there, once and in
order."""

from __future__ import annotations

import random
import selectors
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from pushsvc.journal.sqlite import open_sqlite_journal
from tests.journal.appender import MAX_BYTES
from tests.journal.test_sqlite import read_all


def append_until_killed(path: Path, chance: random.Random) -> dict[int, str]:
    """Let a process append, and kill it: some time after it said something, or in its beginning.
    Gives what it said: nonces by seqs."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.journal.appender", str(path)], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        if chance.random() < 0.8:
            with selectors.DefaultSelector() as selector:
                selector.register(child.stdout, selectors.EVENT_READ)
                assert selector.select(60), "it begins"
            time.sleep(chance.uniform(0, 0.3))
        else:
            time.sleep(chance.uniform(0.1, 1.0))
        assert child.poll() is None
    finally:
        child.kill()
        said, _ = child.communicate(timeout=60)
    lines = [line.split() for line in said.decode().splitlines(keepends=True) if line[-1] == "\n"]
    return {int(seq): nonce for seq, nonce in lines}


@pytest.mark.parametrize(
    "rounds",
    [10, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(1_800)])],
)
async def test_what_was_answered_outlives_kill(tmp_path: Path, rounds: int) -> None:
    path = tmp_path / "journal.db"
    chance = random.Random(rounds)
    async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=MAX_BYTES) as journal:
        epoch = journal.epoch
    nonces: dict[int, str] = {}  # of all that is known to be in it
    for _ in range(rounds):
        answered = await trio.to_thread.run_sync(append_until_killed, path, chance)
        assert not nonces.keys() & answered.keys(), "no place is given twice"
        async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=MAX_BYTES) as journal:
            assert journal.epoch == epoch
            assert journal.seq >= max(answered, default=0)
            entries = await read_all(journal)
            horizon, seq = journal.horizon, journal.seq
            known = await journal.snapshot()
        assert (known is None and horizon == 0) or (known is not None and known.seq == horizon)
        nonces.update(answered)
        assert [one.seq for one in entries] == list(range(horizon + 1, seq + 1))
        for one in entries:
            assert one.draft.batch.rows[0].values[0] == float(one.seq)
            assert nonces.setdefault(one.seq, one.draft.nonce.hex()) == one.draft.nonce.hex()
    assert nonces.keys() == set(range(1, seq + 1)), "and none is missing"
    assert len({*nonces.values()}) == len(nonces)
    assert seq > rounds
    assert horizon > 0
