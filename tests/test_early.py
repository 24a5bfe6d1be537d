"""What is answered before there is a service: it waits for its log, or reads it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from pushsvc.app import early as early_module
from pushsvc.app.early import Early, answer
from pushsvc.config import Keeping, Server, Settings
from pushsvc.core.storage.entry import Entry
from pushsvc.journal.sqlite.journal import SqliteJournal
from pushsvc.journal.starting import Starting
from pushsvc.listen.listeners import Listener
from pushsvc.listen.tls import HTTP1, Certificate
from pushsvc.service import run_service
from tests.authority import Authority
from tests.ports import free_ports
from tests.serving import TRUST, serving
from tests.test_workers import workers


def asked(path: str, starting: Starting | None = None, **headers: str) -> httpx.Response:
    """What a GET is answered."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n"
    return parsed(answer(head.encode(), starting or Starting(), prefix="/push"))


def parsed(raw: bytes) -> httpx.Response:
    head, _, body = raw.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    headers = [(name, value) for name, _, value in (field.partition(": ") for field in fields)]
    return httpx.Response(int(line.split()[1]), headers=headers, content=body)


class TestAnswer:
    @pytest.mark.parametrize("prefix", ["", "/push"])
    def test_probes_are_told_that_it_lives_and_is_not_ready(self, prefix: str) -> None:
        starting = Starting()
        assert asked(f"{prefix}/livez").text == "ok\n"
        starting.read(0.25, 3.0)
        said = asked(f"{prefix}/readyz", starting)
        assert said.status_code == 503
        assert said.text == "not yet: the log is being read: 25 %, about 9 s left\n"

    def test_a_worker_that_is_replaced_takes_no_service_out(self) -> None:
        raw = answer(b"GET /readyz HTTP/1.1\r\n\r\n", Starting(), others_serve=True)
        assert parsed(raw).status_code == 200
        raw = answer(b"GET /v1/series HTTP/1.1\r\n\r\n", Starting(), others_serve=True)
        assert parsed(raw).status_code == 503

    def test_all_else_is_a_problem_document_that_says_how_far_it_is(self) -> None:
        starting = Starting()
        starting.read(0.5, 8.0)
        said = asked("/v1/series", starting)
        assert said.status_code == 503
        assert said.headers["Content-Type"] == "application/problem+json"
        assert 4 <= int(said.headers["Retry-After"]) <= 12
        document = said.json()
        assert document["code"] == "starting"
        assert document["percent"] == 50
        assert document["detail"] == "not yet: the log is being read: 50 %, about 8 s left"
        assert said.headers["Connection"] == "close"

    def test_an_event_source_is_told_to_come_back(self) -> None:
        # By a status it would be ended for good.
        said = asked("/v1/stream?select=up", Accept="text/event-stream")
        assert said.status_code == 200
        assert said.headers["Content-Type"].startswith("text/event-stream")
        assert "\nretry: " in said.text
        program = asked("/v1/stream", Accept="text/event-stream, application/problem+json")
        assert program.status_code == 503

    def test_a_person_has_a_page_that_looks_again(self) -> None:
        said = asked("/d/cpu", Accept="text/html,*/*;q=0.8")
        assert said.status_code == 503
        assert int(said.headers["Refresh"]) >= 1
        assert "the service starts" in said.text
        assert 'href="../"' in said.text

    def test_a_websocket_is_refused_as_a_handshake(self) -> None:
        said = asked("/v1/stream", Upgrade="websocket", Accept="text/html")
        assert said.status_code == 503
        assert said.json()["code"] == "starting"

    @pytest.mark.parametrize("head", [b"", b"\0\xff\r\n\r\n", b"GET", b"GET / HTTP/9\r\n\xe4:\r\n"])
    def test_what_can_not_be_read_is_told_the_same(self, head: bytes) -> None:
        assert parsed(answer(head, Starting())).status_code == 503

    def test_head_has_no_body(self) -> None:
        for path in (b"livez", b"readyz", b"v1/series"):
            raw = answer(b"HEAD /%s HTTP/1.1\r\n\r\n" % path, Starting())
            assert raw.endswith(b"\r\n\r\n")
            assert int(parsed(raw).headers["Content-Length"]) > 0


@contextlib.asynccontextmanager
async def early(
    certificate: Certificate | None = None,
) -> AsyncIterator[tuple[Early, Listener, int]]:
    """One that answers, the listener that stays when it ends, and its port."""
    sock = socket.create_server(("127.0.0.1", 0))
    listener = Listener(sock)
    port = sock.getsockname()[1]
    answers = partial(answer, starting=Starting())
    one = Early(answers, most=50, most_of=lambda _: 50, certificate=certificate)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(one.run, [listener.again()])
            yield one, listener, port
            nursery.cancel_scope.cancel()
    finally:
        listener.close()


async def everything(stream: trio.abc.ReceiveStream) -> bytes:
    heard = b""
    with trio.fail_after(30):
        while more := await stream.receive_some():
            heard += more
    return heard


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_module, "PATIENCE", 0.0)


@pytest.mark.usefixtures("at_once")
class TestEarly:
    async def test_a_head_may_come_in_pieces(self) -> None:
        async with early() as (_, _, port), await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"GET /livez HTTP/1.1\r\n")
            await trio.sleep(0.05)
            await stream.send_all(b"Host: x\r\n\r\n")
            assert (await everything(stream)).endswith(b"ok\n")

    async def test_who_sends_much_has_its_answer(self) -> None:
        async with early() as (_, _, port), await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"POST /v1/samples HTTP/1.1\r\nContent-Length: 500000\r\n\r\n")
            await stream.send_all(bytes(500_000))
            assert (await everything(stream)).startswith(b"HTTP/1.1 503 ")

    async def test_http2_without_tls_is_told_that_nothing_was_taken(self) -> None:
        async with early() as (_, _, port), await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            settings, goaway = b"\0\0\0\4", b"\0\0\x08\7"
            heard = await everything(stream)
            assert heard.startswith(settings)
            assert heard[9:].startswith(goaway)

    async def test_tls(self, certified: Authority) -> None:
        certificate = Certificate(certified.certfile, certified.keyfile, HTTP1)
        async with early(certificate) as (_, _, port):
            url = f"https://127.0.0.1:{port}"
            async with httpx.AsyncClient(base_url=url, verify=certified.trust, timeout=30) as http:
                assert (await http.get("/livez")).text == "ok\n"
                said = await http.post("/v1/samples", content=bytes(200_000))
                assert said.status_code == 503
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
                assert b"This port speaks TLS" in await everything(stream)

    async def test_who_comes_when_it_is_over_waits_for_the_service(self) -> None:
        async with early() as (one, listener, port):
            silent = await trio.open_tcp_stream("127.0.0.1", port)
            with trio.fail_after(30):
                await one.close()
            async with silent, await trio.open_tcp_stream("127.0.0.1", port):
                with trio.fail_after(30):
                    await trio.lowlevel.wait_readable(listener.socket)
                assert await everything(silent) == b""


class Gate:
    """Has reading a log in a file wait, after the first slice."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.open = trio.Event(), trio.Event()
        read = SqliteJournal.read

        async def gated(journal: SqliteJournal, after: int) -> AsyncGenerator[Sequence[Entry]]:
            async for entries in read(journal, after):
                yield entries[:1]
                self.reached.set()
                await self.open.wait()
                yield entries[1:]

        monkeypatch.setattr(SqliteJournal, "read", gated)


async def test_a_service_that_reads_its_log_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping = Keeping(path=str(tmp_path / "log"))
    async with serving(journal=keeping) as service:
        for value in range(4):
            await service.publish({"name": "up", "value": value})
    gate = Gate(monkeypatch)
    (port,) = free_ports(1)
    settings = Settings(server=Server(port=port), journal=keeping)
    drain = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(run_service, settings, drain=drain))
        with trio.fail_after(30):
            await gate.reached.wait()
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", verify=TRUST, timeout=30
        ) as http:
            assert (await http.get("/livez")).status_code == 200
            assert (await http.get("/readyz")).text.startswith("not yet: the log is being read: ")
            sample: dict[str, Any] = {"name": "up", "value": 9}
            refused = await http.post("/v1/samples", json=sample)
            assert refused.status_code == 503
            assert 0 < refused.json()["percent"] < 100
            gate.open.set()
            with trio.fail_after(30):
                while (await http.get("/readyz")).status_code != 200:
                    await trio.sleep(0.02)
            assert (await http.post("/v1/samples", json=sample)).status_code == 200
        drain.set()


async def test_all_sockets_of_workers_answer_while_the_first_waits_for_its_log(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"journal.url=valkey://127.0.0.1:{silent.getsockname()[1]}"
        flags = ("--set", url, "--set", "journal.start_wait=600")
        async with workers(tmp_path, *flags, serves=False) as service:
            with trio.fail_after(30):
                while True:  # it takes its time to listen
                    with contextlib.suppress(httpx.HTTPError):
                        await service.ask("/livez")
                        break
                    await trio.sleep(0.05)
            for _ in range(30):  # the kernel spreads them
                said = await service.ask("/readyz")
                assert said.status_code == 503
                assert said.text.startswith("not yet: ")
            assert (await service.ask("/v1/series")).json()["code"] == "starting"
