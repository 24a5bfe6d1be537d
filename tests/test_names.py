"""What the package offers by name: pinned, typed, and cheap to import."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import pushsvc
import pushsvc.client
from docs import names
from tests.test_package import build

ROOT = Path(__file__).parent.parent
SERVER = {"pushsvc.service", "pushsvc.app", "quart", "hypercorn", "sqlite3", "structlog"}
HEAVY = SERVER | {"trio", "httpx", "msgspec", "typing", "inspect", "trio_websocket"}


def test_names_signatures_and_docstrings_are_those_of_the_page() -> None:
    assert names.PAGE.read_text() == names.page(), (
        "what strangers build on has changed: if that is meant, run `python docs/names.py`, and "
        "tell of it in CHANGELOG.md"
    )


def test_everything_public_says_what_it_is() -> None:
    # A heading right behind a signature is one of something without a docstring.
    untold = re.findall(r"^#+ `(.*)`\n\n`.*`\n\n\n*#", names.page(), re.MULTILINE)
    assert untold == []


def test_names_are_sorted_and_there() -> None:
    assert pushsvc.__all__ == sorted(pushsvc.__all__)
    assert set(pushsvc.__all__) <= set(dir(pushsvc))
    everything = [name for names in pushsvc._HOMES.values() for name in names]
    assert sorted([*everything, "__version__"]) == pushsvc.__all__
    with pytest.raises(AttributeError, match="module 'pushsvc' has no attribute 'open'"):
        pushsvc.open  # type: ignore[attr-defined]  # noqa: B018 - it raises


@pytest.mark.parametrize(
    ("said", "without"),
    [
        ("import pushsvc", HEAVY),
        ("from pushsvc import *", set()),
        ("from pushsvc import ConfigError, load_settings", {"trio", "quart", "hypercorn"}),
        ("from pushsvc import Event, Points, Refused", SERVER),
        ("from pushsvc.client import connect, open_publisher", SERVER),
    ],
)
def test_an_import_loads_what_it_needs(said: str, without: set[str]) -> None:
    code = f"import sys; before = set(sys.modules)\n{said}\nprint(*(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert set(done.stdout.split()) & without == set()


STRANGER = '''\
"""A stranger's program."""

from collections.abc import Mapping
from typing import Any

import trio
from quart_trio import QuartTrio
from typing_extensions import assert_type

import pushsvc
from pushsvc.client import connect, open_publisher

app = QuartTrio(__name__)


async def main() -> None:
    async with pushsvc.open_service({"journal": {"max_bytes": 1_000_000}, "web": {}}) as service:
        assert_type(service, pushsvc.Service)
        pushsvc.mount(app, "/push", service)
        applied = await service.publish([{"name": "n", "value": 1}], key="a")
        assert_type(applied.applied, int)
        assert_type(applied.id, str)
        async with service.open_producer(refused=refused) as batches:
            assert_type(batches, trio.MemorySendChannel[pushsvc.Samples])
            await batches.send([{"name": "n", "value": 1}, {"name": "m", "value": "up"}])
        async with service.subscribe("n", window=60, merge="last") as events:
            async for event in events:
                assert_type(event, pushsvc.Event)
                if isinstance(event, pushsvc.Points):
                    assert_type(event.samples[0].series.labels, dict[str, str])
        async with service.subscribe_documents(["n"]) as documents:
            assert_type(await documents.receive(), bytes)
    settings = pushsvc.load_settings(file="push.toml", environ={})
    async with pushsvc.open_service(settings, listen=True) as service:
        [url] = service.urls
        async with connect(url, "n") as stream, open_publisher(url):
            async for event in stream:
                assert_type(event, pushsvc.Event)


def refused(batch: pushsvc.Samples, error: pushsvc.Refused) -> None:
    samples: list[Mapping[str, Any]] = list(batch)
    print(error.code, samples)


async def mistaken(service: pushsvc.Service) -> None:
    await service.publish({"name": "n", "value": 1})  # type: ignore[dict-item]
    service.subscribe("n", merge="most")  # type: ignore[arg-type]
    pushsvc.open  # type: ignore[attr-defined]


trio.run(main)
'''


@pytest.mark.long
def test_a_strangers_program_is_checked_against_the_wheel(tmp_path: Path) -> None:
    """As `mypy --strict` sees the package that is installed, and not this checkout."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True, timeout=60)
    [site] = venv.glob("lib/python*/site-packages")
    with zipfile.ZipFile(build(ROOT, "wheel", tmp_path)) as wheel:
        wheel.extractall(site)
    [installed] = {path for path in sys.path if path.endswith("site-packages")}
    (site / "dependencies.pth").write_text(f"{installed}\n")
    program = tmp_path / "program"
    program.mkdir()
    (program / "stranger.py").write_text(STRANGER)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--python-executable"),
            *(venv / "bin" / "python", "stranger.py"),
        ],
        cwd=program,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert (done.returncode, done.stdout) == (0, "Success: no issues found in 1 source file\n")
