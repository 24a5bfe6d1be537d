"""The commands as a user runs them: what they print, how they end."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pushsvc.cli import COMMANDS
from tests.cli.forked import ENV, run
from tests.serving import TRUST

PUSHSVC = [sys.executable, "-m", "pushsvc"]


@contextlib.contextmanager
def started(*args: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service as a process of its own, and its URL."""
    with subprocess.Popen(
        [*PUSHSVC, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV
    ) as process:
        assert process.stdout is not None
        try:
            url = ""
            while not url.startswith("http://"):
                line = process.stdout.readline()
                assert line, process.communicate()[1]
                url = line.strip()
            yield process, url
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


def publish(url: str, *samples: dict[str, Any]) -> None:
    httpx.post(f"{url}/v1/samples", json={"samples": samples}, verify=TRUST).raise_for_status()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_it_is_and_ends_in_time(stop: signal.Signals) -> None:
    with started("serve", "--port", "0") as (process, url):
        assert httpx.get(f"{url}/livez", verify=TRUST).status_code == 200
        with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as subscriber:
            subscriber.sendall(
                b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
            )
            seen = b""
            while b"hello" not in seen:
                seen += subscriber.recv(65536)
            begin = time.monotonic()
            process.send_signal(stop)
            told = b""
            while chunk := subscriber.recv(65536):
                told += chunk
            assert b'{"type":"goaway","retry":' in told
            assert b"retry: " in told  # in EventSource's own words too
        assert process.wait(30) == 0
        assert time.monotonic() - begin < 20
        assert process.stdout is not None
        assert process.stdout.read() == ""


def test_who_is_ended_before_it_serves_ends_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        url = f"journal.url=valkey://127.0.0.1:{silent.getsockname()[1]}"
        command = [*PUSHSVC, "serve", "--port", "0", "--set", url]
        with subprocess.Popen(
            [*command, "--set", "journal.start_wait=600"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENV,
        ) as process:
            try:
                silent.accept()[0].close()
                process.send_signal(signal.SIGTERM)
                out, logged = process.communicate(timeout=30)
            finally:
                process.kill()
    assert (process.returncode, out) == (0, ""), logged
    assert "before it served" in logged


def test_demo_shows_this_machine_and_ends_in_time() -> None:
    with started("demo", "--port", "0") as (process, url):
        time.sleep(1.2)
        series = httpx.get(f"{url}/v1/series", verify=TRUST).json()["series"]
        assert len(series) >= 30
        names = {one["name"] for one in series}
        assert {"node_load1", "node_cpu_utilization", "node_memory_bytes"} <= names
        assert {one["kind"] for one in series} >= {"gauge", "counter", "state"}
        # An idle keep-alive connection must not hold it up.
        with httpx.Client(verify=TRUST) as client:
            client.get(f"{url}/livez")
            begin = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            assert time.monotonic() - begin < 20
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_errors_are_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        cases = [
            (("serve", "--port", port), 1, f"can't listen on 127.0.0.1 port {port}: Address alr"),
            (("demo", "--port", port), 1, f"can't listen on 127.0.0.1 port {port}: Address alr"),
            (("serve", "--host", "0.0.0.0"), 2, "anyone could read and write everything"),
            (
                ("serve", "--insecure-no-auth", "--host", "nowhere.invalid"),
                1,
                "can't listen on nowhere.invalid: the name doesn't resolve (",
            ),
            (("serve", "--host", "nowhere.invalid"), 1, "the name doesn't resolve ("),
            (("serve", "--host", "a b"), 2, "server.host must be an address, a host name or"),
            (("serve", "--port", "0", "--statsd", "8125"), 2, "ingest.statsd must be HOST:PORT"),
            (
                ("serve", "--port", "0", "--statsd", "192.0.2.1:1"),
                1,
                "can't listen on 192.0.2.1 UDP port 1: ",
            ),
            (("serve", "--port", "x"), 2, "--port: server.port must be a port"),
            (("serve", "--set", "limits"), 2, "is not SECTION.KEY=VALUE"),
            (("serve", "--config", "/nonexistent.toml"), 2, "/nonexistent.toml: No such file"),
            (("check-config", "--host", "nowhere.invalid"), 2, "the name doesn't resolve ("),
            (
                ("check-config", "--statsd", "nowhere.invalid:8125"),
                2,
                "can't listen on nowhere.invalid: the name doesn't resolve (",
            ),
            (("check-config", "--log-level", "loud"), 2, "debug, info, warning or error"),
            (("tail", "--url", "http://127.0.0.1:1", "up"), 1, "Connection refused"),
            (("tail", "--url", "localhost", "up"), 2, "starts with http"),
            (("tail", "up{"), 2, "up{\n   ^"),
            (("publish", "--url", "http://127.0.0.1:1"), 1, "Connection refused"),
            (("frobnicate",), 2, "No such command"),
        ]
        for args, status, says in cases:
            done = run(*args)
            assert (done.returncode, says in done.stderr) == (status, True), (args, done.stderr)
            assert "Traceback" not in done.stderr
            assert done.stdout == ""


def test_help_and_version() -> None:
    """Started as a user does: what a command needs it imports."""
    for command in ("serve", "demo", "tail", "publish", "check-config"):
        help_ = subprocess.check_output([*PUSHSVC, command, "--help"], text=True, env=ENV)
        assert "Usage:" in help_
    assert run("--version").stdout.startswith("pushsvc, version ")


def test_check_config_prints_what_can_be_read_back(tmp_path: Path) -> None:
    done = run("check-config", "--port", "9")
    assert done.returncode == 0
    assert "port = 9  # --port" in done.stdout
    file = tmp_path / "a.toml"
    file.write_text(done.stdout)
    assert run("check-config", "--config", str(file)).returncode == 0


def ignore_interrupts() -> None:
    """What a shell script does to what it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.parametrize("before", [None, ignore_interrupts])
def test_tail_and_publish(before: Callable[[], None] | None) -> None:
    with started("serve", "--port", "0") as (_, url):
        lines = '{"name":"a","labels":{"h":"x"},"value":1}\nnonsense\n{"name":"","value":1}\n'
        done = run("publish", "--url", url, stdin=lines)
        assert done.returncode == 1
        assert "line 2: " in done.stderr
        assert "line 3: metric name is empty" in done.stderr
        assert "1 applied, 2 refused" in done.stderr
        assert run("publish", "--url", url, stdin='{"name":"b","value":2}\n').returncode == 0
        with subprocess.Popen(
            [*PUSHSVC, "tail", "--url", url, "a"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENV,
            preexec_fn=before,
        ) as tail:
            assert tail.stdout is not None
            first = json.loads(tail.stdout.readline())
            assert (first["name"], first["labels"], first["value"]) == ("a", {"h": "x"}, 1.0)
            publish(url, {"name": "a", "labels": {"h": "x"}, "value": 5})
            assert json.loads(tail.stdout.readline())["value"] == 5.0
            tail.send_signal(signal.SIGINT)
            assert tail.wait(30) == 130
            assert tail.stderr is not None
            assert tail.stderr.read() == ""


def test_tail_says_what_has_no_results() -> None:
    with started("serve", "--port", "0") as (_, url):

        def publish_twice(value: float | None) -> None:
            publish(url, *({"name": "y", "labels": {"le": le}, "value": value} for le in "ab"))

        publish_twice(1)
        with subprocess.Popen(
            [*PUSHSVC, "tail", "--url", url, "y + on () y"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENV,
        ) as tail:
            assert tail.stderr is not None
            said = tail.stderr.readline()
            assert said.startswith("pushsvc: y + on () y has no results: ")
            assert "many-to-many" in said
            publish_twice(None)
            assert tail.stderr.readline() == "pushsvc: y + on () y can be worked out again\n"
            tail.send_signal(signal.SIGINT)
            assert tail.wait(30) == 130


def test_a_closed_pipe_is_no_error() -> None:
    with started("serve", "--port", "0") as (_, url):
        publish(url, {"name": "a", "value": 1})
        with subprocess.Popen(
            [*PUSHSVC, "tail", "--url", url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENV,
        ) as tail:
            assert tail.stdout is not None
            assert tail.stderr is not None
            tail.stdout.readline()
            tail.stdout.close()
            while tail.poll() is None:
                publish(url, {"name": "a", "value": 2})
                time.sleep(0.05)
            assert tail.stderr.read() == ""


def test_tail_draws_a_table_on_a_terminal() -> None:
    with started("serve", "--port", "0") as (_, url):
        publish(url, {"name": "node_load1", "labels": {"host": "web1"}, "value": 0.42})
        main, side = pty.openpty()
        env = ENV | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "20"}
        with subprocess.Popen(
            [*PUSHSVC, "tail", "--url", url], stdout=side, stderr=side, stdin=side, env=env
        ) as tail:
            os.close(side)
            seen = b""
            deadline = time.monotonic() + 30
            while not (b"0.42" in seen and b"live" in seen) and time.monotonic() < deadline:
                seen += os.read(main, 65536)
            tail.send_signal(signal.SIGINT)
            assert tail.wait(30) == 130
            with contextlib.suppress(OSError):
                while chunk := os.read(main, 65536):
                    seen += chunk
            os.close(main)
        assert b"node_load1" in seen
        assert b"host=web1" in seen
        assert b"Traceback" not in seen


_INTERRUPTS = """
import importlib.abc, os, signal, sys

class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == os.environ["INTERRUPT_AT"]:
            os.kill(os.getpid(), signal.SIGINT)

# As in a terminal, though the tests may run in the background of a shell.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupt())
"""


@pytest.mark.parametrize(
    ("command", "module"),
    [
        ("serve", "pushsvc.cli"),
        ("serve", "click"),
        ("serve", "pushsvc.cli.serve"),
        *(
            pytest.param(
                command, f"pushsvc.cli.{command.replace('-', '_')}", marks=pytest.mark.long
            )
            for command in COMMANDS
            if command != "serve"
        ),
        ("serve", "pushsvc.service"),
        ("tail", "trio"),
    ],
)
def test_ctrl_c_ends_a_command_quietly_while_it_is_loaded(
    command: str, module: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(_INTERRUPTS)
    env = ENV | {"PYTHONPATH": str(tmp_path), "INTERRUPT_AT": module}
    done = subprocess.run(
        [*PUSHSVC, command], capture_output=True, text=True, env=env, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_health_is_what_a_container_asks_itself() -> None:
    with started("serve", "--port", "0") as (process, url):
        well = run("health", "--url", url)
        assert (well.returncode, well.stdout) == (0, "ok\n")
        process.terminate()
        process.wait(30)
        gone = run("health", "--url", url)
        assert gone.returncode == 1
        assert gone.stderr.startswith(f"pushsvc: {url}: ")
    assert run("health", "--url", "nonsense").returncode == 2


def test_a_wrong_path_is_a_sentence_of_every_command() -> None:
    with started("serve", "--port", "0") as (_, url):
        for args, says in (
            (("tail", "up"), "there is no WebSocket at /nosuchpath/v1/stream"),
            (("health",), "there is nothing at /nosuchpath/readyz"),
        ):
            done = run(*args, "--url", f"{url}/nosuchpath")
            assert done.returncode == 1
            assert says in done.stderr
            assert "{" not in done.stderr


def test_health_is_patient_only_for_so_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        begin = time.monotonic()
        assert run("health", "--url", url, "--timeout", "0.3").returncode == 1
        assert time.monotonic() - begin < 25
