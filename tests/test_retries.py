"""Tests that fail once, where that is forgiven: they are tried again, and told of."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

TRIED = '''
import time
from pathlib import Path

import pytest
import trio

from tests.serving import serving

HERE = Path(__file__).parent


def first(name):
    """Whether it is the first try."""
    if (HERE / name).exists():
        return False
    (HERE / name).touch()
    return True


@pytest.fixture
async def counted():
    yield first("fixture")


async def test_passes_at_the_second_try(counted):
    await trio.sleep(0)
    assert not counted, "too slow"


def test_fails_always():
    raise ValueError("as ever")


@pytest.mark.timeout(1)
async def test_hangs():
    await trio.sleep_forever()
'''


def test_what_passes_at_the_second_try_is_listed_and_no_failure(tmp_path: Path) -> None:
    module = tmp_path / "test_tried.py"
    module.write_text(TRIED)
    told = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml")),
            *("-p", "tests.conftest", "-p", "no:cacheprovider", "-n", "1", str(module)),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RERUNS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    ).stdout
    assert "2 failed, 1 passed, 2 rerun" in told, told
    listed = [line for line in told.splitlines() if line.startswith("passed at the second try: ")]
    assert len(listed) == 1, told
    assert listed[0].endswith("test_passes_at_the_second_try: AssertionError: too slow")
    assert (tmp_path / "artifacts" / "retried.txt").read_text() == f"{listed[0]}\n"
    assert "Timeout (>1.0s)" in told
