"""The image: its file keeps the rules, and its steps make something that runs.

There is no container engine here. The steps are run as they stand, with the places they write to
moved into an empty folder.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.k8s.manifests import ROOT

FILE = ROOT / "Containerfile"
PLACES = ("/src", "/opt/pushsvc", "/wheels")


def instructions() -> list[tuple[str, str]]:
    """Each instruction and what it is given, lines that go on joined."""
    text = re.sub(r"\\\n\s*", "", FILE.read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_linter_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, str(FILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_runs_as_a_number_that_the_manifests_have_too() -> None:
    given = dict(instructions())
    user = given["USER"].partition(":")[0]
    deployment = (ROOT / "k8s" / "base" / "deployment.yaml").read_text()
    assert f"runAsUser: {user}" in deployment
    assert f"containerPort: {given['EXPOSE']}" in deployment
    assert given["ENTRYPOINT"] == '["pushsvc"]'


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the build stage leaves in /opt/pushsvc."""
    root = tmp_path_factory.mktemp("image")
    tools = root / "bin"
    tools.mkdir()
    (tools / "python").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL"))}
    environment["PATH"] = f"{tools}:{os.environ['PATH']}"
    source = root / "src"
    source.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "node_modules")
    stages = 0
    for word, rest in instructions():
        stages += word == "FROM"
        if stages == 2:
            break
        if word == "COPY":
            *names, target = rest.split()
            for name in names:
                if (ROOT / name).is_dir():
                    shutil.copytree(ROOT / name, source / target, ignore=ignored)
                else:
                    shutil.copy(ROOT / name, source)
            shutil.rmtree(source / "pushsvc" / "web", ignore_errors=True)  # .containerignore
        elif word == "RUN":
            for place in PLACES:
                rest = re.sub(rf"(?<![\w/]){place}\b", str(root) + place, rest)
            (root / "opt").mkdir(exist_ok=True)
            done = subprocess.run(
                ["/bin/sh", "-ec", rest],
                cwd=source,
                env=environment,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return root / "opt" / "pushsvc"


@pytest.mark.long
def test_what_it_builds_runs_and_is_healthy(built: Path, tmp_path: Path) -> None:
    program = built / "bin" / "pushsvc"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        [program, "serve", "--port", "0"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as child:
        try:
            assert child.stdout is not None
            url = ""
            while not url:
                line = child.stdout.readline()
                assert line
                found = re.search(r"http://[0-9.:]+", line)
                url = found[0] if found else ""
            healthy = subprocess.run(
                [program, "health", "--url", url], env=environment, capture_output=True, check=False
            )
            assert healthy.returncode == 0, healthy.stderr
        finally:
            child.send_signal(signal.SIGTERM)
            child.communicate(timeout=60)
    assert child.returncode == 0
    sick = subprocess.run(
        [program, "health", "--url", url], env=environment, capture_output=True, check=False
    )
    assert sick.returncode == 1
    assert list(built.glob("lib/python3.*/site-packages/pushsvc/web/index.html"))
    assert not list(built.glob("lib/python3.*/site-packages/pip"))
    assert list(tmp_path.iterdir()) == []  # it writes nothing where it runs


@pytest.mark.long
def test_it_has_what_a_log_at_a_valkey_takes(built: Path) -> None:
    settings = ("journal.url=valkey://127.0.0.1:1", "journal.start_wait=0")
    done = subprocess.run(
        [built / "bin" / "pushsvc", "serve", *(f"--set={one}" for one in settings)],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Connection refused" in done.stderr


@pytest.mark.long
def test_alone_it_says_why_it_does_not_listen_to_strangers(built: Path) -> None:
    command = dict(instructions())["CMD"]
    assert command == '["serve", "--host", "0.0.0.0"]'
    done = subprocess.run(
        [built / "bin" / "pushsvc", "serve", "--host", "0.0.0.0"],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "auth.mode" in done.stderr
