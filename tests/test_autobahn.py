"""The Autobahn test suite's fuzzing client, against the echo endpoint of the engine's own code.

Autobahn's client is a program for Python 2.7: where there is one, the suite is installed beside it
and run; where not, this is skipped, and `test_websocket_protocol` and `test_deflate` hold the cases
of the chapters that matter to a server that streams. `PUSHSVC_AUTOBAHN=all` runs all cases, which
takes some ten minutes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parent.parent
INSTALLED = ROOT / ".cache" / "autobahn"
REQUIREMENT = "autobahntestsuite==0.8.2"

EVERYTHING = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*", "12.*", "13.*"]
BRIEF = [
    *("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"),
    *("9.1.1", "9.2.2", "9.3.4", "9.5.6", "9.7.1"),
    *("12.1.3", "12.3.7", "12.5.5", "13.1.3", "13.3.2", "13.7.4"),
]


def python27() -> str | None:
    """A Python 2.7 that runs, with pip."""
    found = [shutil.which("python2.7"), shutil.which("python2")]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found += [str(path) for path in versions.glob("2.7*/bin/python2.7")]
    for python in found:
        if python is not None:
            done = subprocess.run([python, "-m", "pip", "--version"], capture_output=True)
            if done.returncode == 0 and b"python 2.7" in done.stdout:
                return python
    return None


@pytest.fixture(scope="module")
def autobahn() -> list[str]:
    """The command that runs the suite, installed if it isn't yet."""
    python = python27()
    if python is None:
        pytest.skip("Autobahn's test suite needs Python 2.7 with pip, and there is none here")
    if not (INSTALLED / "autobahntestsuite").is_dir():
        done = subprocess.run(
            [python, "-m", "pip", "install", "-q", "--target", str(INSTALLED), REQUIREMENT],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            shutil.rmtree(INSTALLED, ignore_errors=True)
            pytest.skip(f"Autobahn's test suite can't be installed: {done.stderr.strip()[-300:]}")
    # Not by PYTHONPATH: zope's namespace package needs its .pth file read.
    start = f"import site; site.addsitedir({str(INSTALLED)!r}); "
    return [python, "-c", f"{start}from autobahntestsuite.wstest import run; run()"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The URL of the echo endpoint."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.echo"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            yield f"ws://127.0.0.1:{int(child.stdout.readline())}/v1/stream"
        finally:
            child.terminate()


def test_the_engine_passes_autobahn(autobahn: list[str], endpoint: str, tmp_path: Path) -> None:
    everything = os.environ.get("PUSHSVC_AUTOBAHN") == "all"
    specification = tmp_path / "fuzzingclient.json"
    specification.write_text(
        json.dumps(
            {
                "outdir": str(tmp_path / "report"),
                "servers": [{"agent": "pushsvc", "url": endpoint}],
                "cases": EVERYTHING if everything else BRIEF,
                "exclude-cases": [],
                "exclude-agent-cases": {},
            }
        )
    )
    subprocess.run(
        [*autobahn, "-m", "fuzzingclient", "-s", str(specification)],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=1800 if everything else 240,
    )
    cases = json.loads((tmp_path / "report" / "index.json").read_text())["pushsvc"]
    # NON-STRICT is a choice that the specification leaves open; UNIMPLEMENTED is what was not
    # negotiated: windows that are smaller than those of frames that all clients share.
    fine = ("OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED")
    failed = {
        number: (case["behavior"], case["behaviorClose"])
        for number, case in cases.items()
        if case["behavior"] not in fine or case["behaviorClose"] not in fine
    }
    assert not failed
    passed = [number for number, case in cases.items() if case["behavior"] == "OK"]
    assert len(passed) > (400 if everything else 240)
