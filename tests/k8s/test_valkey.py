"""The Valkey of the manifests, run: its file, and its user as README.md has it made."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import yaml

from pushsvc.auth.jwt import read_secret
from pushsvc.core.model.series import Batch
from pushsvc.core.storage.entry import Draft
from pushsvc.journal import JournalError, Nonces
from pushsvc.journal.valkey import open_valkey_journal
from pushsvc.journal.valkey.trouble import COMMANDS
from tests.debian import program
from tests.journal.valkey_server import PROGRAM, ValkeyServer
from tests.k8s.manifests import K8S, built, kubectl, one

HOST = "pushsvc-valkey:6379"


def secret(heading: str) -> dict[str, str]:
    """What the commands under a heading of README.md make."""
    chapter = (K8S / "README.md").read_text().partition(f"{heading}\n")[2]
    block = chapter.partition("```console\n")[2].partition("```")[0]
    lines = [line.removeprefix("$ ") for line in block.splitlines()]
    # Nothing is created: kubectl prints it. What else it would do is left out.
    script = re.sub(r"^kubectl (?!.*create secret).*$", "", "\n".join(lines), flags=re.MULTILINE)
    script = script.replace("create secret ", "create --dry-run=client -o yaml secret ")
    script = re.sub(r"\bkubectl\b", kubectl(), script)
    ran = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    made = yaml.safe_load(ran.stdout)
    assert made["metadata"] == {"name": "pushsvc-shared", "namespace": "pushsvc"}
    return {key: base64.b64decode(value).decode() for key, value in made["data"].items()}


class Shipped(ValkeyServer):
    """As the pod runs it, in a folder instead of its mounts."""

    def __init__(self, folder: Path, users: str) -> None:
        super().__init__(folder)
        data = one(built("overlays/valkey"), "ConfigMap", "pushsvc-valkey")["data"]
        (folder / "data").mkdir()
        (folder / "users.acl").write_text(users)
        text = data["valkey.conf"].replace("port 6379", f"port {self.port}\nbind 127.0.0.1")
        text = text.replace("dir /data", f"dir {folder}/data")
        self._file = folder / "valkey.conf"
        self._file.write_text(text.replace("/etc/valkey-users", str(folder)))

    def _command(self) -> list[str]:
        return [PROGRAM, str(self._file)]


@pytest.fixture(scope="module")
def shared() -> dict[str, str]:
    return secret("### With Valkey in the cluster")


@pytest.fixture
def server(tmp_path: Path, shared: dict[str, str]) -> Iterator[Shipped]:
    one = Shipped(tmp_path, shared["users.acl"])
    one.start()
    try:
        yield one
    finally:
        one.kill()


def test_all_that_is_referred_to_is_made(shared: dict[str, str]) -> None:
    assert set(shared) == {"journal-url", "session-secret", "users.acl"}
    assert set(secret("### With one that somebody else runs")) == {"journal-url", "session-secret"}
    read_secret(shared["session-secret"])
    assert shared["users.acl"].rstrip().endswith(f" ~{{pushsvc}}:* {COMMANDS}")


async def test_its_user_may_do_what_the_log_takes_and_a_restart_keeps_it(
    shared: dict[str, str], server: Shipped
) -> None:
    url = shared["journal-url"]
    assert HOST in url
    url = url.replace(HOST, f"127.0.0.1:{server.port}")
    nonces = Nonces()
    with trio.fail_after(60):
        async with open_valkey_journal(url) as journal:
            epoch = journal.epoch
            await journal.append([Draft(nonces(), Batch([]))])
            server.kill()
            server.start()
            await journal.append([Draft(nonces(), Batch([]))])
            assert (journal.epoch, journal.seq, journal.tails_lost) == (epoch, 2, 0)


async def test_nobody_else_may_anything(shared: dict[str, str], server: Shipped) -> None:
    at = f"127.0.0.1:{server.port}"
    password = shared["journal-url"].removeprefix("valkey://pushsvc:").partition("@")[0]
    for url, said in (
        (f"valkey://{at}", "wants a password"),
        (f"valkey://probe:any@{at}", "doesn't let user probe use"),
        (f"valkey://pushsvc:{password[1:]}@{at}", "refuses the password"),
        (f"valkey://default:{password}@{at}", "refuses the password"),
    ):
        with trio.fail_after(20), pytest.raises(JournalError, match=said):
            async with open_valkey_journal(url):
                pass
    # Nor the user itself, beyond the log's keys.
    user = ["--no-auth-warning", "--user", "pushsvc", "--pass", password]
    for command in (["GET", "x"], ["HGET", "x", "y"], ["FLUSHALL"], ["CONFIG", "GET", "*"]):
        assert "NOPERM" in asked(server, *user, *command).stdout


def test_the_startup_probe_waits_until_it_answers(server: Shipped) -> None:
    spec = one(built("overlays/valkey"), "StatefulSet", "pushsvc-valkey")["spec"]
    [only] = spec["template"]["spec"]["containers"]
    command = only["startupProbe"]["exec"]["command"]
    assert command[0] == "valkey-cli"
    answer = asked(server, *command[1:])
    assert (answer.returncode, answer.stdout) == (0, "PONG\n")
    server.kill()
    assert asked(server, *command[1:]).returncode != 0


def asked(server: ValkeyServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Debian's is Redis', which takes the same.
    cli = program("redis-cli", "redis-tools")
    return subprocess.run(
        [cli, "-p", str(server.port), *arguments], capture_output=True, text=True, check=False
    )
