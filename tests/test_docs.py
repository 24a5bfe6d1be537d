"""The examples of the documentation, run as they stand."""

from __future__ import annotations

import functools
import getpass
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trio
import yaml

from docs.build import build, dead_links
from pushsvc.client.events import decode
from pushsvc.config import Dashboards, Server, Settings, Web, load
from pushsvc.doctor.examine import examine
from pushsvc.doctor.text import as_text
from pushsvc.doctor.way import Way
from pushsvc.transport.inbound import decode_message
from tests.authority import Authority
from tests.described import SPEC
from tests.ports import free_ports
from tests.proxies.proxy import program_of
from tests.serving import serving
from tests.test_restart import publish, service

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "k8s" / "README.md"]
LINKED = [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md"]
HERE = "http://127.0.0.1:8080"
PROMPT = re.compile(r"^\$ ", re.MULTILINE)
RUN = {"caddy", "console", "js", "json", "nginx", "perl", "python", "toml", "yaml"}
"""Languages whose blocks are all run or read by a test below, unless a mark says otherwise."""
ENV = {name: value for name, value in os.environ.items() if not name.startswith("PUSHSVC_")}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    mark: str
    """What a comment before it says: `not run: WHY`, or `run by FILE`. Empty if it is run here."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> list[Block]:
    """All blocks of all pages."""
    found = []
    fence = re.compile(
        r"(?:^ *<!-- (not run: [^\n]+|run by [^\n]+) -->\n)?^ *```(\w*)\n(.*?)^ *```$",
        re.MULTILINE | re.DOTALL,
    )
    for page in PAGES:
        text = page.read_text()
        name = str(page.relative_to(ROOT))
        for match in fence.finditer(text):
            line = text.count("\n", 0, match.start(2)) + 1
            found.append(Block(name, line, match[2], match[3], match[1] or ""))
    return found


def of(language: str) -> list[Block]:
    """Those in a language that are run here, once where README.md shows again what a page has."""
    found = [block for block in blocks() if block.language == language and not block.mark]
    return list({block.text: block for block in found}.values())


def test_every_page_is_looked_through() -> None:
    fences = {str(page.relative_to(ROOT)): page.read_text().count("```") for page in PAGES}
    found = [block.page for block in blocks()]
    assert {page: 2 * found.count(page) for page in fences} == fences
    assert len(of("console")) >= 12


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_every_block_is_run_or_says_why_not(block: Block) -> None:
    if block.mark.startswith("run by "):
        runner = ROOT / block.mark.removeprefix("run by ")
        assert Path(block.page).name in runner.read_text()
    elif not block.mark:
        assert block.language in RUN | {"text"}, "name its language, or mark it"


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        target = link.partition("#")[0]
        if "://" not in link and target:
            assert (page.parent / target).exists(), link


def test_the_site_is_built_and_no_link_in_it_is_dead(tmp_path: Path) -> None:
    assert build(tmp_path / "docs") == 0
    assert "<h1" in (tmp_path / "docs" / "site" / "index.html").read_text()


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text("<img src=../there.png>")
    (tmp_path / "index.html").write_text(
        "<a href=other/#x></a><a href=nothere/></a><img src=https://a.example/b.png><img src=c.png>"
    )
    (tmp_path / "there.png").touch()
    assert sorted(link for _, link in dead_links(tmp_path)) == ["c.png", "nothere/"]


class Shell:
    """A reader's: what is exported stays, and services that are started go on until the end."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        self._folder = folder
        self._exported = f"export PATH={Path(sys.executable).parent}:$PATH\n"
        self._statsd = f"127.0.0.1:{free_ports(1)[0]}"

    async def serve(self, command: str, nursery: trio.Nursery) -> None:
        """Start a service in the background, and wait until it says where it is."""
        port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{port}"
        bare = re.sub(r"\s*(&\s*)?(#.*)?$", "", command)
        script = f"{self._exported} exec {self._here(bare)} --port {port}"
        with (self._folder / "log").open("ab") as log:
            process = await nursery.start(
                functools.partial(
                    trio.run_process,
                    ["bash", "-c", script],
                    cwd=self._folder,
                    env=ENV,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    check=False,
                )
            )
        said = b""
        with trio.fail_after(60):
            async for chunk in process.stdout:
                said += chunk
                if self.url.encode() in said:
                    return
        raise AssertionError((self._folder / "log").read_text())

    async def run(self, command: str) -> bytes:
        """What a command says, which has to succeed."""
        command = command.replace("curl ", "curl -sS --fail-with-body --max-time 60 ", 1)
        script = f"{self._exported} export PUSHSVC_URL={self.url}\n{self._here(command)}"
        done = await self._bash(script)
        assert done.returncode == 0, done.stderr.decode()
        if key := re.search(rb"pushsvc_[0-9a-f]{12}_\S+", done.stderr):
            self._exported += f"export KEY={key[0].decode()}\n"
        return done.stdout

    async def export(self, command: str) -> None:
        """Keep what a command exports: it is worked out once."""
        self._exported = (await self._bash(f"{self._exported}{command}\nexport -p")).stdout.decode()

    async def until(self, command: str, wanted: bytes) -> None:
        """Run what goes on until it is stopped, until it says this."""
        script = f"{self._exported} export PUSHSVC_URL={self.url}\nexec {self._here(command)}"
        await shows(["bash", "-c", script], wanted)

    async def _bash(self, script: str) -> subprocess.CompletedProcess[bytes]:
        return await trio.run_process(
            ["bash", "-c", script],
            cwd=self._folder,
            env=ENV,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )

    def _here(self, command: str) -> str:
        command = command.replace(HERE, self.url).replace("0.0.0.0", "127.0.0.1")
        command = command.replace("127.0.0.1:8125", self._statsd)
        command = command.replace("127.0.0.1/8125", self._statsd.replace(":", "/"))
        return command.replace("/run/pushsvc/", f"{self._folder}/")


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """The commands of a console, lines that go on joined, each with what it is shown to say."""
    for said in PROMPT.split(block.text)[1:]:
        command = re.match(r"(?:.*\\\n)*.*", said)
        assert command is not None
        yield re.sub(r"\\\n\s*", "", command[0]), said[command.end() :].strip()


@pytest.mark.parametrize("block", of("console"), ids=str)
async def test_commands_do_what_they_say(block: Block, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        url, cursor = HERE, ""
        if "pushsvc serve" not in block.text:
            kept = Dashboards(directory=str(tmp_path))
            served = await stack.enter_async_context(serving(dashboards=kept))
            cursor = (await served.publish({"name": "room_celsius", "value": 20}))["id"]
            await served.publish(
                {"name": "room_celsius", "labels": {"room": "lab"}, "value": 21},
            )
            url = served.url
        shell = Shell(tmp_path, url)
        nursery = await stack.enter_async_context(trio.open_nursery())
        for command, shown in commands(block):
            if command.startswith("pushsvc serve"):
                await shell.serve(command, nursery)
            elif command.startswith("export "):
                await shell.export(command)
            elif command.startswith("pushsvc tail"):
                await shell.until(command, b"room_celsius")
            elif " -N " in command:
                await shell.until(command, b'"hello"')
            else:
                said = await shell.run(command.replace("CURSOR", cursor))
                if shown.startswith("{"):
                    assert json.loads(said).keys() == json.loads(shown).keys()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_others_configurations_name_addresses_that_there_are(block: Block) -> None:
    contents = yaml.safe_load(block.text)
    if "groups" in contents:
        return  # of rules: their metrics are looked at below
    urls = re.findall(rf"{HERE}(\S+)", block.text)
    assert urls
    assert set(urls) <= SPEC["paths"].keys()


async def test_metrics_that_are_named_are_there() -> None:
    async with serving() as served:
        told = (await served.http.get("/metrics")).text
    there = set(re.findall(r"^# TYPE (\w+)", told, re.MULTILINE))
    named = {
        name
        for page in PAGES
        for name in re.findall(
            r"\b((?:pushsvc|process)_[a-z0-9_]+[a-z])\b(?!_?\*)", page.read_text()
        )
        if not re.match(r"pushsvc_[0-9a-f]{12}", name)
    }
    assert len(named) > 20
    assert named - there == set()


def test_what_the_service_is_quoted_with_is_what_it_says() -> None:
    source = " ".join(file.read_text() for file in (ROOT / "pushsvc").rglob("*.py"))
    source = re.sub(r'"\s+f?"', "", source)
    pages = [ROOT / "docs" / name for name in ("operations.md", "troubleshooting.md")]
    quoted = {
        part.strip()
        for page in pages
        for words in re.findall(r"`([a-z.:]+(?: [a-z'.:,…-]+)+)`", page.read_text())
        for part in words.split("…")
    }
    quoted.discard("option http-no-delay")  # HAProxy's
    assert len(quoted) > 8
    assert [words for words in quoted if words not in source] == []


def test_settings_that_are_named_are_there() -> None:
    sections = {name: getattr(Settings(), name) for name in Settings.__struct_fields__}
    word = re.compile(rf"`({'|'.join(sections)})\.([a-z_0-9]+)(?![A-Za-z_0-9.])")
    named = {found for page in PAGES for found in word.findall(page.read_text())}
    named.discard(("journal", "sqlite"))  # a file
    assert len(named) > 50
    assert [one for one in named if not hasattr(sections[one[0]], one[1])] == []


async def shows(command: list[str], wanted: bytes) -> None:
    """Run a program until it prints something."""
    said = b""
    async with trio.open_nursery() as nursery:
        process = await nursery.start(
            functools.partial(
                trio.run_process,
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
        )
        with trio.fail_after(30):
            async for chunk in process.stdout:
                said += chunk
                if wanted in said:
                    break
        nursery.cancel_scope.cancel()
    assert wanted in said, said.decode()


PYTHON = {
    "from pushsvc.client import": b"node_load1 {} 0.42",
    'service.subscribe("queue_length")': b"{'queue': 'mail'} 12.0",
    "service.open_producer(": b"samples from 2",
    "pushsvc.mount(": b"Running on http",
}
"""What the programs print, by what stands in them."""


@pytest.mark.parametrize("block", of("python"), ids=str)
async def test_an_example_in_python_runs_as_it_is_pasted(block: Block, tmp_path: Path) -> None:
    [wanted] = [wanted for part, wanted in PYTHON.items() if part in block.text]
    [port] = free_ports(1)
    async with serving() as served:
        program = tmp_path / "example.py"
        text = block.text.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        program.write_text(text.replace(HERE, served.url))
        await shows([sys.executable, str(program)], wanted)


async def test_the_producer_in_javascript_publishes(tmp_path: Path) -> None:
    [block] = of("js")
    async with serving() as served:
        program = tmp_path / "producer.mjs"
        program.write_text(block.text.replace(HERE, served.url))
        npm = [sys.executable, str(ROOT / "web" / "npm.py"), "exec", "-c"]
        await shows([*npm, f"node {program}"], b"applied: 1")
        listed = await served.http.get("/v1/series", params={"select": "queue_length"})
        assert listed.json()["series"][0]["labels"] == {"queue": "mail"}


async def test_the_client_in_perl_goes_on_where_it_was_whatever_ends_the_service(
    tmp_path: Path,
) -> None:
    """It has been written from the page on the protocol alone."""
    [block] = of("perl")
    assert len([line for line in block.text.splitlines() if line and line[0] != "#"]) <= 40
    program = tmp_path / "watch.pl"
    program.write_text(block.text)
    async with (
        service(tmp_path / "data") as (one, http),
        trio.open_nursery() as nursery,
    ):
        await publish(one, http, 0)
        process = await nursery.start(
            functools.partial(
                trio.run_process,
                ["perl", str(program), one.url, "n", "5m"],
                stdout=subprocess.PIPE,
                check=False,
            )
        )
        said = b""

        async def told(value: int) -> None:
            nonlocal said
            with trio.fail_after(60):
                while f" n {value}\n".encode() not in said:
                    said += await process.stdout.receive_some()

        await told(0)
        await publish(one, http, 1)
        await told(1)
        for value, number in ((2, signal.SIGTERM), (3, signal.SIGKILL)):
            await one.stop(number)
            await one.start(http)
            await publish(one, http, value)
            await told(value)
        assert [line.split()[1:] for line in said.splitlines()] == [
            [b"n", str(value).encode()] for value in range(4)
        ]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("block", of("json"), ids=str)
def test_documents_and_messages_are_what_is_spoken(block: Block) -> None:
    for line in block.text.splitlines():
        if json.loads(line)["type"] in ("watch", "auth"):
            decode_message(line)
        else:
            decode(line)


@pytest.mark.parametrize("block", of("toml"), ids=str)
def test_settings_are_settings(block: Block, tmp_path: Path) -> None:
    assert tomllib.loads(block.text).keys() <= set(Settings.__struct_fields__)
    file = tmp_path / "settings.toml"
    file.write_text(block.text)
    load(file, {})


@pytest.mark.long
@pytest.mark.parametrize("proxy", ["nginx", "caddy"])
async def test_a_path_through_what_is_printed_for_a_proxy_is_healthy(
    proxy: str, tmp_path: Path
) -> None:
    [block] = [each for each in of(proxy) if each.page == "docs/running.md"]
    port, unused = free_ports(2)
    sock, authority = tmp_path / "pushsvc.sock", Authority(tmp_path)
    server = Server(host=("127.0.0.1", f"unix:{sock}?mode=666"), port=0)
    async with serving(server=server, web=Web(trusted_proxies="127.0.0.1,unix")) as served:
        text = block.text.replace("127.0.0.1:8080", served.url[7:])

        def trusting() -> ssl.SSLContext:
            context = ssl.create_default_context()
            authority.ca.configure_trust(context)
            return context

        file = tmp_path / "configuration"
        if proxy == "nginx":
            text = text.replace("listen 80;", f"listen 127.0.0.1:{unused};")
            text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;")
            text = text.replace("/run/pushsvc.sock", str(sock))
            text = text.replace("/etc/ssl/dash.example/fullchain.pem", str(authority.certfile))
            text = text.replace("/etc/ssl/dash.example/privkey.pem", str(authority.keyfile))
            text = (
                f"daemon off; user {getpass.getuser()};\n"
                f"error_log {tmp_path}/error.log; pid {tmp_path}/pid;\n"
                f"events {{}}\nhttp {{ access_log off;\n{text}}}\n"
            )
            command = ["-p", str(tmp_path), "-c", str(file)]
        else:
            text = "{\nadmin off\n}\n" + text.replace("dash.example", f"http://127.0.0.1:{port}")
            command = ["run", "--adapter", "caddyfile", "--config", str(file)]
        file.write_text(text)
        environment = {**os.environ, "HOME": str(tmp_path)}
        async with trio.open_nursery() as nursery:
            await nursery.start(
                functools.partial(
                    trio.run_process,
                    [program_of(proxy), *command],
                    env=environment,
                    stderr=subprocess.DEVNULL,
                    check=False,
                )
            )
            url = f"{'https' if proxy == 'nginx' else 'http'}://127.0.0.1:{port}"
            async with httpx.AsyncClient(verify=authority.trust) as http:
                with trio.fail_after(20):
                    while True:
                        try:
                            assert (await http.get(f"{url}/readyz")).status_code == 200
                            break
                        except httpx.TransportError:
                            await trio.sleep(0.05)
            report = await examine(Way(url, None, trusting, 5.0), 3.0)
            nursery.cancel_scope.cancel()
    assert report.healthy, as_text(report)
