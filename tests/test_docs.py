"""The examples of the documentation, run as they stand."""

from __future__ import annotations

import functools
import getpass
import json
import os
import re
import ssl
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trio

from docs.build import build, dead_links
from pushsvc.client.events import decode
from pushsvc.config import Dashboards, Server, Settings, Web, load
from pushsvc.doctor.examine import examine
from pushsvc.doctor.text import as_text
from pushsvc.doctor.way import Way
from pushsvc.transport.inbound import decode_message
from tests.ports import free_ports
from tests.proxies.proxy import program_of
from tests.serving import serving
from tests.test_tls import Authority

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKED = [*PAGES, *(ROOT / name for name in ("ARCHITECTURE.md", "CHANGELOG.md", "k8s/README.md"))]
HERE = "http://127.0.0.1:8080"
PROMPT = re.compile(r"^\$ ", re.MULTILINE)
ELSEWHERE = ("$KEY", "my-producer", "push.example", "podman", "@-")
"""What only a reader has, or what is beyond one line of a shell: such commands aren't run."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in re.finditer(r"^ *```(\w+)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(page.name, line, match[1], match[2]))
    return found


def of(language: str) -> list[Block]:
    return [block for block in blocks() if block.language == language]


def curls() -> list[str]:
    """Every command with curl, its continued lines joined."""
    found = []
    for block in of("console"):
        for said in PROMPT.split(block.text)[1:]:
            command = re.match(r"(?:.*\\\n)*.*", said)
            assert command is not None
            text = re.sub(r"\\\n\s*", "", command[0])
            if "curl" in text and not any(word in text for word in ELSEWHERE):
                found.append(text)
    # README.md shows again what the pages have.
    return list(dict.fromkeys(found))


def test_every_page_is_looked_through() -> None:
    with_examples = {page.name for page in PAGES if "```" in page.read_text()}
    assert {block.page for block in blocks()} == with_examples > {"README.md"}
    assert len(curls()) >= 8


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


@pytest.mark.parametrize("command", curls())
async def test_a_command_does_what_it_says(command: str, tmp_path: Path) -> None:
    async with serving(dashboards=Dashboards(directory=str(tmp_path))) as served:
        first = await served.publish({"name": "room_celsius", "value": 20})
        await served.publish({"name": "room_celsius", "value": 21})
        if "-X PUT" not in command and "/v1/dashboards/" in command:
            put = next(each for each in curls() if "-X PUT" in each)
            await run(put.replace(HERE, served.url))
        # A stream would go on for ever.
        command = command.replace(HERE, served.url).replace("CURSOR", first["id"])
        command = command.replace("curl ", "curl -sS --fail-with-body --max-time 2 ", 1)
        await run(command, streams=" -N " in command)


async def run(command: str, *, streams: bool = False) -> None:
    done = await trio.run_process(
        ["bash", "-c", command],
        check=False,
        capture_stdout=True,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode in ((28,) if streams else (0,)), done.stdout.decode()
    if streams:
        assert b'"hello"' in done.stdout


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


async def test_the_example_in_python_runs_as_it_is_pasted(tmp_path: Path) -> None:
    [block] = of("python")
    async with serving() as served:
        program = tmp_path / "example.py"
        program.write_text(block.text.replace(HERE, served.url))
        await shows([sys.executable, str(program)], b"node_load1 {} 0.42")


async def test_the_producer_in_javascript_publishes(tmp_path: Path) -> None:
    [block] = [each for each in of("js") if "/v1/samples" in each.text]
    async with serving() as served:
        program = tmp_path / "producer.mjs"
        program.write_text(block.text.replace(HERE, served.url))
        npm = [sys.executable, str(ROOT / "web" / "npm.py"), "exec", "-c"]
        await shows([*npm, f"node {program}"], b"applied: 1")
        listed = await served.http.get("/v1/series", params={"select": "queue_length"})
        assert listed.json()["series"][0]["labels"] == {"queue": "mail"}


@pytest.mark.parametrize("block", of("json"), ids=str)
def test_documents_and_messages_are_what_is_spoken(block: Block) -> None:
    for line in block.text.splitlines():
        if json.loads(line)["type"] in ("watch", "auth"):
            decode_message(line)
        else:
            decode(line)


@pytest.mark.parametrize("block", of("toml"), ids=str)
def test_settings_are_settings(block: Block, tmp_path: Path) -> None:
    sections = tomllib.loads(block.text)
    if not sections.keys() <= set(Settings.__struct_fields__):
        assert "telegraf" in block.text
        return
    file = tmp_path / "settings.toml"
    file.write_text(block.text)
    load(file, {})


@pytest.mark.long
@pytest.mark.parametrize("proxy", ["nginx", "caddy"])
async def test_a_path_through_what_is_printed_for_a_proxy_is_healthy(
    proxy: str, tmp_path: Path
) -> None:
    [block] = [each for each in of(proxy) if each.page == "running.md"]
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
