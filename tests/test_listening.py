"""Where the service listens: both families, several hosts, Unix sockets, sockets of systemd."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import structlog
import trio

from pushsvc.auth.mode import make_access_control
from pushsvc.config import Auth, ConfigError, Server, Settings, Web, load
from pushsvc.listen.inherited import Inherited, inherit_sockets
from pushsvc.listen.listeners import Listener, close_all, open_listeners
from pushsvc.service import run_service
from tests.authority import Authority
from tests.cli.forked import ENV, run
from tests.cli.test_commands import PUSHSVC, started
from tests.serving import TRUST, detach

ROOT = Path(__file__).parents[1]
OPEN = Auth(insecure_no_auth=True)
STREAM = b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
SAMPLE = b'{"name":"up","value":1}'
PUBLISH = (
    b"POST /v1/samples HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b"
) % (len(SAMPLE), SAMPLE)


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")


@contextlib.asynccontextmanager
async def listening(
    *hosts: str, server: Server | None = None, auth: Auth | None = None, web: Web | None = None
) -> AsyncIterator[tuple[tuple[str, ...], trio.Event]]:
    """A service on these hosts: what it prints, and what drains it."""
    where = server or Server(host=hosts, port=0)
    settings = Settings(server=where, auth=auth or Auth(), web=web or Web())
    drain = trio.Event()
    async with trio.open_nursery() as nursery:

        async def serve(task_status: trio.TaskStatus[tuple[str, ...]]) -> None:
            await run_service(settings, drain=drain, task_status=task_status)

        places: tuple[str, ...] = await nursery.start(serve)
        yield places, drain
        drain.set()
        nursery.cancel_scope.deadline = trio.current_time() + 10


def over(path: Path, **options: Any) -> httpx.AsyncClient:
    """A client that comes by a Unix socket."""
    transport = httpx.AsyncHTTPTransport(uds=str(path), verify=options.pop("verify", True))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", **options)


async def hear(stream: trio.SocketStream, until: bytes) -> bytes:
    """What comes, until this is in it."""
    heard = b""
    with trio.fail_after(30):
        while until not in heard:
            more = await stream.receive_some()
            assert more, heard
            heard += more
    return heard


async def say(path: Path, request: bytes, until: bytes) -> bytes:
    """What a Unix socket answers, until this is in it."""
    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(request)
        return await hear(stream, until)


# -- addresses -------------------------------------------------------------------------------------


@ipv6
async def test_all_of_ipv6_is_all_of_ipv4_too() -> None:
    async with listening("::", auth=OPEN) as (places, _):
        (url,) = places
        port = url.rpartition(":")[2]
        assert url == f"http://127.0.0.1:{port}"
        for host in ("127.0.0.1", "[::1]"):
            address = host.strip("[]")
            async with httpx.AsyncClient(base_url=f"http://{host}:{port}", verify=TRUST) as http:
                echo = (await http.get("/v1/doctor/echo")).json()
                assert (echo["peer"], echo["address"]) == (address, address)
        # So it is on the fast path.
        async with await trio.open_tcp_stream("127.0.0.1", int(port)) as stream:
            await stream.send_all(STREAM)
            await hear(stream, b"hello")
            async with httpx.AsyncClient(base_url=url, verify=TRUST) as http:
                [one] = (await http.get("/v1/subscribers")).json()["subscribers"]
                assert one["address"] == "127.0.0.1"


@ipv6
async def test_a_trusted_proxy_is_known_by_its_ipv4_address_on_a_socket_for_both() -> None:
    web = Web(trusted_proxies="127.0.0.1")
    async with listening("::", auth=OPEN, web=web) as ((url,), _):
        async with httpx.AsyncClient(base_url=url, verify=TRUST) as http:
            said = await http.get("/v1/doctor/echo", headers={"X-Forwarded-For": "203.0.113.7"})
            assert said.json()["address"] == "203.0.113.7"


@ipv6
@pytest.mark.parametrize(
    ("hosts", "shown"),
    [
        (("127.0.0.1", "::1"), ["127.0.0.1", "[::1]"]),
        (("::1", "127.0.0.1", "[::1]"), ["[::1]", "127.0.0.1"]),
        (("::", "0.0.0.0"), ["[::1]", "127.0.0.1"]),
        (("::", "127.0.0.1"), ["[::1]", "127.0.0.1"]),
        (("::ffff:127.0.0.1", "[::ffff:7f00:1]", "::1"), ["127.0.0.1", "[::1]"]),
    ],
)
async def test_several_hosts_have_one_port(hosts: tuple[str, ...], shown: list[str]) -> None:
    async with listening(*hosts, auth=OPEN) as (places, _):
        ports = {place.rpartition(":")[2] for place in places}
        assert len(ports) == 1
        assert [place.removeprefix("http://").rpartition(":")[0] for place in places] == shown
        for place in places:
            async with httpx.AsyncClient(verify=TRUST) as http:
                assert (await http.get(f"{place}/readyz")).status_code == 200


async def test_where_one_host_is_taken_none_is_kept() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use") as caught:
            await open_listeners(["127.0.0.2", "127.0.0.1"], port, backlog=5)
        assert caught.value.filename == f"127.0.0.1 port {port}"
    close_all(await open_listeners(["127.0.0.2", "127.0.0.1"], port, backlog=5))


@ipv6
async def test_a_system_whose_sockets_for_ipv6_take_no_ipv4_is_told_of(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Strict(socket.socket):
        def setsockopt(self, *args: Any) -> None:
            if args[1] == socket.IPV6_V6ONLY and not args[2]:
                raise OSError(22, "Invalid argument")
            super().setsockopt(*args)

    monkeypatch.setattr("pushsvc.listen.listeners.socket.socket", Strict)
    close_all(await open_listeners(["::"], 0, backlog=5))
    heard = capsys.readouterr()
    assert "--host 0.0.0.0" in heard.out + heard.err + caplog.text


async def test_a_name_is_all_of_its_addresses_and_is_printed() -> None:
    async with listening("localhost") as ((url,), _):
        port = int(url.removeprefix("http://localhost:"))
        for host in ("127.0.0.1", "::1") if has_ipv6() else ("127.0.0.1",):
            async with await trio.open_tcp_stream(host, port) as stream:
                await stream.send_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await hear(stream, b" 200 ")


async def test_the_log_says_where_and_not_how_to_ask(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with structlog.testing.capture_logs() as logs:
        async with listening(f"unix:{path}", "localhost") as ((url, _), _):
            pass
    told = [log["url"] for log in logs if log["event"] == "serving"]
    assert told == [url, f"unix:{path}"]


# -- Unix sockets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("detached", [True, False])
async def test_everything_works_over_a_unix_socket(tmp_path: Path, detached: bool) -> None:
    path = tmp_path / "a b.sock"
    token = detach.set(detached)
    try:
        async with listening(f"unix:{path}") as (places, drain), over(path) as http:
            assert places == (f"curl --unix-socket '{path}' http://localhost/",)
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            # The fast path of producers, and the route.
            assert b'"applied":1' in await say(path, PUBLISH, b"watchers")
            answer = await http.post("/v1/samples", json={"name": "up", "value": 2})
            assert answer.json()["applied"] == 1
            assert (await http.get("/v1/doctor/echo")).json()["peer"] == ""
            assert b'"value":' in (await http.get("/v1/series")).content
            async with await trio.open_unix_socket(path) as stream:
                await stream.send_all(STREAM)
                await hear(stream, b'"points"')
                drain.set()
                await hear(stream, b'"goaway"')
                with trio.fail_after(30):
                    while await stream.receive_some():
                        pass
        assert not path.exists()
    finally:
        detach.reset(token)


async def test_the_mode_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for mode in ("600", "0666"):
        close_all([one := (await open_listeners([f"unix:{path}?mode={mode}"], 0, backlog=5))[0]])
        assert one.socket.fileno() < 0
        async with listening(f"unix:{path}?mode={mode}"):
            assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)


async def test_a_websocket_over_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "x"
    async with listening(f"unix:{path}"):
        handshake = (
            b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert b" 101 " in await say(path, handshake, b'"type":"hello"')


async def test_tls_over_a_unix_socket(tmp_path: Path) -> None:
    path, authority = tmp_path / "x", Authority(tmp_path)
    hosts = (f"unix:{path}", "127.0.0.1")
    server = msgspec.structs.replace(authority.server, host=hosts)
    async with listening(server=server) as ((url, curl), _):
        assert curl == f"curl --unix-socket {path} https://localhost/"
        async with over(path, verify=authority.trust) as http:
            assert (await http.get("https://localhost/readyz")).text.strip() == "ok"
        async with httpx.AsyncClient(verify=authority.trust) as http:
            assert (await http.get(f"{url}/readyz")).text.strip() == "ok"
        assert b"speaks TLS" in await say(path, STREAM, b"https://")


async def test_headers_of_a_proxy_on_a_unix_socket_are_believed_if_it_is_trusted(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x"
    sent = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
    for web, address, scheme in (
        (Web(), "unix", "http"),
        (Web(trusted_proxies="unix"), "203.0.113.7", "https"),
    ):
        async with listening(f"unix:{path}", web=web), over(path) as http:
            echo = (await http.get("/v1/doctor/echo", headers=sent)).json()
            assert (echo["address"], echo["scheme"]) == (address, scheme)
            # A service without access control is no other site's, whatever passes it on.
            foreign = await http.get("/v1/series", headers={"Host": "evil.example"})
            assert foreign.status_code == 421


async def test_a_socket_of_the_dead_is_replaced_and_one_of_the_living_is_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with listening(f"unix:{path}"), over(path) as http:
        with pytest.raises(OSError, match="another process listens there") as caught:
            await open_listeners([f"unix:{path}"], 0, backlog=5)
        assert caught.value.filename == f"unix:{path}"
        assert (await http.get("/readyz")).status_code == 200
    path.write_text("mine")
    with pytest.raises(OSError, match="something else"):
        await open_listeners([f"unix:{path}"], 0, backlog=5)
    assert path.read_text() == "mine"


async def test_what_took_its_place_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    async with listening(f"unix:{path}"):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


async def test_what_can_not_be_served_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with pytest.raises(OSError, match="No such file"):
        await open_listeners([f"unix:{path}", f"unix:{tmp_path}/none/x"], 0, backlog=5)
    assert not path.exists()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_the_line_that_is_printed_works_and_the_file_goes_with_the_process(tmp_path: Path) -> None:
    path = tmp_path / "it's.sock"
    args = ("serve", "--host", f"unix:{path}", "--host", "127.0.0.1", "--port", "0")
    with started(*args) as (process, url):
        assert httpx.get(f"{url}/readyz", verify=TRUST).status_code == 200
        assert process.stdout is not None
        line = process.stdout.readline()
        asked = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
        assert "<title>pushsvc" in asked.stdout
        done = run("serve", "--host", f"unix:{path}")
        assert done.returncode == 1
        assert done.stderr == (
            f"pushsvc: can't listen on unix:{path}: another process listens there\n"
        )
        process.terminate()
        assert process.wait(30) == 0
    assert not path.exists()


# -- systemd ---------------------------------------------------------------------------------------

PASS = """
import os, sys
for place, fd in enumerate(map(int, sys.argv[1].split(","))):
    os.dup2(fd, 100 + place)
for place in range(len(sys.argv[1].split(","))):
    os.dup2(100 + place, 3 + place, inheritable=True)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Does what systemd does before it runs a service."""


@contextlib.contextmanager
def activated(
    *sockets: socket.socket, args: tuple[str, ...] = (), env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """`pushsvc serve`, to which these were passed."""
    fds = [each.fileno() for each in sockets]
    command = [sys.executable, "-c", PASS, ",".join(map(str, fds)), *PUSHSVC, "serve", *args]
    told = {"LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": ":".join(["web"] * len(fds))}
    with subprocess.Popen(
        command,
        pass_fds=fds,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**ENV, **told, **(env or {})},
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    read = [process.stdout.readline().strip() for _ in range(count)]
    assert all(read), process.communicate()[1]
    return read


def test_sockets_that_systemd_passes_are_served_and_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind(str(path))
        unix.listen()
        url = f"http://127.0.0.1:{tcp.getsockname()[1]}"
        with activated(tcp, unix) as process:
            assert lines(process, 2) == [url, f"curl --unix-socket {path} http://localhost/"]
            assert httpx.get(f"{url}/readyz", verify=TRUST).text.strip() == "ok"
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        assert path.exists()
        # A connection between the end of one process and the start of the next waits for the next.
        with (
            socket.create_connection(tcp.getsockname()) as early,
            socket.socket(socket.AF_UNIX) as other,
        ):
            other.connect(str(path))
            for waiting in (early, other):
                waiting.settimeout(20)
                waiting.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with activated(tcp, unix):
                for waiting in (early, other):
                    assert waiting.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_hosts_that_are_named_are_served_beside_what_systemd_passes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as passed:
        with activated(passed, args=("--host", "127.0.0.2", "--port", "0")) as process:
            first, second = lines(process, 2)
            assert first == f"http://127.0.0.1:{passed.getsockname()[1]}"
            assert second.startswith("http://127.0.0.2:")
            assert httpx.get(f"{second}/readyz", verify=TRUST).status_code == 200


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX], ids=["udp", "unix"])
def test_a_socket_for_datagrams_is_statsd_s(family: int, tmp_path: Path) -> None:
    address = ("127.0.0.1", 0) if family == socket.AF_INET else str(tmp_path / "statsd")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(family, socket.SOCK_DGRAM) as passed,
        socket.socket(family, socket.SOCK_DGRAM) as producer,
    ):
        passed.bind(address)
        producer.sendto(b"early:1|c", passed.getsockname())  # waits in the socket for the service
        with activated(tcp, passed, args=("--set", "ingest.statsd_interval=0.1")) as process:
            (url,) = lines(process, 1)
            producer.sendto(b"late:20|g", passed.getsockname())
            deadline, names = time.monotonic() + 30, set[str]()
            while names != {"early", "late"}:
                assert time.monotonic() < deadline, names
                series = httpx.get(f"{url}/v1/series", verify=TRUST).json()["series"]
                names = {one["name"] for one in series}


def test_only_a_socket_for_datagrams_leaves_the_address_of_the_settings() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as passed:
        passed.bind(("127.0.0.1", 0))
        with activated(passed, env={"PUSHSVC_SERVER_PORT": "0"}) as process:
            (url,) = lines(process, 1)
            assert httpx.get(f"{url}/readyz", verify=TRUST).status_code == 200


@pytest.mark.parametrize(
    ("count", "args", "told"),
    [
        (2, (), "2 sockets for datagrams were passed as LISTEN_FDS says, and StatsD takes one"),
        (1, ("--statsd", "127.0.0.1:0"), "ingest.statsd names another: leave one of them out"),
    ],
)
def test_one_socket_is_statsd_s(count: int, args: tuple[str, ...], told: str) -> None:
    with contextlib.ExitStack() as open_ones:
        passed = []
        for _ in range(count):
            one = open_ones.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            one.bind(("127.0.0.1", 0))
            passed.append(one)
        with activated(*passed, args=("--port", "0", *args)) as process:
            assert told in process.communicate(timeout=60)[1]
            assert process.returncode == 2


def test_tls_on_a_socket_that_systemd_passes(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = ("--certfile", str(authority.certfile), "--keyfile", str(authority.keyfile))
    with socket.create_server(("127.0.0.1", 0)) as passed:
        with activated(passed, args=files) as process:
            (url,) = lines(process, 1)
            assert url.startswith("https://")
            assert httpx.get(f"{url}/readyz", verify=authority.trust).status_code == 200


def test_what_systemd_passes_to_strangers_takes_access_control() -> None:
    with socket.create_server(("0.0.0.0", 0)) as passed:
        with activated(passed) as process:
            told = process.communicate(timeout=60)[1]
            assert process.returncode == 2
            assert "systemd passed a socket on 0.0.0.0, which others can reach" in told


def test_what_is_no_listening_socket_is_refused_by_name() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as passed:
        with activated(passed) as process:
            told = process.communicate(timeout=60)[1]
            assert process.returncode == 2
            assert "descriptor 3 (web)" in told
            assert "ListenStream=" in told
            assert "Traceback" not in told


def test_sockets_of_another_process_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"LISTEN_PID": str(os.getppid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"}
    assert inherit_sockets(environment) == Inherited()
    assert environment == {}


@pytest.mark.parametrize("count", ["²", "9" * 5000, "x", "-1"])
def test_a_count_of_sockets_that_is_none_is_refused(count: str) -> None:
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count}
    with pytest.raises(ConfigError, match="LISTEN_FDS is no number of sockets") as caught:
        inherit_sockets(environment)
    assert len(str(caught.value)) < 100


def test_a_socket_that_was_not_passed_is_told_of_by_the_variable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as passed:
        with activated(passed, env={"LISTEN_FDS": "2"}) as process:
            told = process.communicate(timeout=60)[1]
            assert process.returncode == 2
            assert "descriptor 4 (unnamed), which was passed as LISTEN_FDS says," in told


@pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="no systemd-socket-activate here"
)
def test_systemd_s_own_activator_starts_it_at_the_first_connection(tmp_path: Path) -> None:
    path = tmp_path / "x"
    command = ["systemd-socket-activate", "-l", str(path), *PUSHSVC, "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV) as it:
        try:
            deadline = time.monotonic() + 30
            while not path.exists():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            transport = httpx.HTTPTransport(uds=str(path))
            with httpx.Client(transport=transport, timeout=30) as http:
                assert http.get("http://localhost/readyz").status_code == 200
            it.terminate()
            assert it.wait(30) == 0
        finally:
            if it.poll() is None:
                it.kill()
            it.communicate()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_finds_no_fault_with_the_units(tmp_path: Path) -> None:
    for name in ("pushsvc.service", "pushsvc.socket"):
        text = (ROOT / "docs" / "systemd" / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("/opt/pushsvc/bin/pushsvc", sys.executable))
    units = [str(tmp_path / name) for name in ("pushsvc.service", "pushsvc.socket")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    ours = [line for line in done.stderr.splitlines() if "pushsvc" in line]
    assert ours == []


def test_the_unit_gives_the_time_that_a_drain_takes() -> None:
    text = (ROOT / "docs" / "systemd" / "pushsvc.service").read_text(encoding="utf-8")
    given = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert given is not None
    server = Server()
    assert int(given[1]) > server.drain_delay + server.drain_timeout + server.shutdown_timeout
    variables = dict(re.findall(r"^Environment=(\w+)=(.*)$", text, re.MULTILINE))
    assert load(None, variables).settings.web.trusted_proxies == "unix"


# -- settings --------------------------------------------------------------------------------------


def test_hosts_are_a_list_in_each_source(tmp_path: Path) -> None:
    file = tmp_path / "pushsvc.toml"
    for text in ('["127.0.0.1", "::1"]', '"127.0.0.1, ::1"'):
        file.write_text(f"[server]\nhost = {text}\n")
        loaded = load(file, {})
        assert loaded.settings.server.hosts == ("127.0.0.1", "::1")
        again = tmp_path / "again.toml"
        again.write_text(loaded.toml())
        assert load(again, {}).settings == loaded.settings
    for text in ("127.0.0.1 ::1", "127.0.0.1,::1"):
        assert load(None, {"PUSHSVC_SERVER_HOST": text}).settings.server.hosts == (
            "127.0.0.1",
            "::1",
        )
    flags = [("--host", "server.host", ("unix:/a b?mode=600", "::1"))]
    assert load(None, {}, flags).settings.server.hosts == ("unix:/a b?mode=600", "::1")


@pytest.mark.parametrize(
    "host",
    [
        "unix:",
        "unix:/x?mode=999",
        "unix:/x?mode=",
        "unix:/x?user=me",
        "unix:@abstract",
        "unix:/run/",
        "http://127.0.0.1",
        "",
    ],
)
def test_what_is_no_host_is_refused_in_one_line(host: str) -> None:
    with pytest.raises(ConfigError, match=r"^--host: server\.host must be an address") as caught:
        load(None, {}, [("--host", "server.host", ("127.0.0.1", host))])
    assert str(caught.value).endswith(f"not {host!r}")


def test_a_path_that_is_too_long_is_told_as_such() -> None:
    longest = "unix:/" + "x" * 106
    flags = [("--host", "server.host", (longest,))]
    assert load(None, {}, flags).settings.server.hosts == (longest,)
    with pytest.raises(ConfigError, match=r"107 bytes at the most, and this one has 108"):
        load(None, {}, [("--host", "server.host", ("127.0.0.1", "unix:/" + "x" * 107))])


@pytest.mark.parametrize(
    ("hosts", "told"),
    [
        (("127.0.0.1", "[::1]", "localhost", "unix:/run/x?mode=666"), None),
        (("127.0.0.1", "0.0.0.0"), r"server\.host is 0\.0\.0\.0, which others can reach"),
        (("unix:/x", "::"), r"server\.host is ::, which others can reach"),
    ],
)
def test_without_access_control_all_hosts_are_this_machine_s(
    hosts: tuple[str, ...], told: str | None
) -> None:
    settings = Settings(server=Server(host=hosts))
    if told is None:
        make_access_control(settings)
    else:
        with pytest.raises(ConfigError, match=told):
            make_access_control(settings)


def test_a_listener_is_named_as_the_settings_name_it(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0pushsvc-" + tmp_path.name)
        abstract.listen()
        listener = Listener(abstract)
        assert listener.host == f"unix:@pushsvc-{tmp_path.name}"
        assert listener.place("http", "/push") == (
            f"curl --abstract-unix-socket pushsvc-{tmp_path.name} http://localhost/push/"
        )
