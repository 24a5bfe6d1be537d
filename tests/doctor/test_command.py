"""`pushsvc doctor` as a process."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import trio

from tests.doctor.middlebox import Fault, between
from tests.serving import serving


async def run(*args: str) -> subprocess.CompletedProcess[bytes]:
    with trio.fail_after(60):
        return await trio.run_process(
            [sys.executable, "-m", "pushsvc", "doctor", *args],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )


async def test_status_and_report_of_a_healthy_and_a_broken_path() -> None:
    async with serving() as served:
        healthy = await run(served.url, "--idle", "2", "--json")
        async with between(served.port, Fault(cuts_idle=1.0)) as url:
            broken = await run(url, "--idle", "2")
    report = msgspec.json.decode(healthy.stdout)
    assert healthy.returncode == 0, report
    assert report["healthy"]
    assert {"code", "level", "text", "cure"} == set(report["findings"][0])
    assert broken.returncode == 1
    assert broken.stdout.startswith(b"PROBLEM  ")
    assert broken.stderr == b""


async def test_what_cannot_be_examined_is_status_2() -> None:
    done = await run("http://127.0.0.1:1", "--idle", "2")
    assert done.returncode == 2
    assert done.stderr.startswith(b"pushsvc: http://127.0.0.1:1: ")
    assert (await run("ftp://there")).returncode == 2
