"""`pushsvc doctor` as a process."""

from __future__ import annotations

import subprocess
from functools import partial

import msgspec
import trio

from tests.cli import forked
from tests.doctor.middlebox import Fault, between
from tests.serving import serving


async def doctor(*args: str) -> subprocess.CompletedProcess[str]:
    return await trio.to_thread.run_sync(partial(forked.run, "doctor", *args))


async def test_status_and_report_of_a_healthy_and_a_broken_path() -> None:
    async with serving() as served:
        healthy = await doctor(served.url, "--idle", "2", "--json")
        async with between(served.port, Fault(cuts_idle=1.0)) as url:
            broken = await doctor(url, "--idle", "2")
    report = msgspec.json.decode(healthy.stdout)
    assert healthy.returncode == 0, report
    assert report["healthy"]
    assert {"code", "level", "text", "cure"} == set(report["findings"][0])
    assert broken.returncode == 1
    assert broken.stdout.startswith("PROBLEM  ")
    assert broken.stderr == ""


async def test_what_cannot_be_examined_is_status_2() -> None:
    done = await doctor("http://127.0.0.1:1", "--idle", "2")
    assert done.returncode == 2
    assert done.stderr.startswith("pushsvc: http://127.0.0.1:1: ")
    assert (await doctor("ftp://there")).returncode == 2
