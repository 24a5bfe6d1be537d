"""What is measured: each system runs in a process of its own and is given the same work."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import socket
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import msgspec

from tests.bench.load import Documents, Job, Measured, Ready, Window
from tests.bench.peers import centrifugo, floor, mercure, nchan
from tests.bench.process import LOAD_CPU, ROOT, SERVER_CPU, Failed, Process, running
from tests.bench.publisher import Publish
from tests.golang import Program

_START = 20.0
_ANSWER = 300.0
MOST_NAIVE = 1_000
"""Subscribers that the naive service is asked to serve: with more it measures only patience."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class System:
    """How to run a service, and how to talk to it."""

    name: str
    arguments: tuple[str, ...]
    """Of the Python that runs it. It prints a line with its URL when it takes connections."""
    transports: frozenset[str]
    documents: Documents = "samples"
    publish: Publish = "samples"
    """Both as in Job."""
    target: Callable[[str, str], str] = lambda _, name: f"/v1/stream?select={quote(name)}"
    """Where the metric of a name is watched over a transport."""
    subprotocol: str | None = None
    folder: Path = ROOT
    """Where its sources are."""
    missing: Callable[[], str | None] = lambda: None
    """Why it can't be run here, if so."""
    tls: bool = False
    """Whether it is spoken to over TLS."""

    @contextlib.contextmanager
    def serving(self) -> Iterator[Server]:
        """Run it on the server's core for as long as the block takes.

        A Failed that leaves the block is given what the server last said of itself.
        """
        with running(self.arguments, SERVER_CPU, self.folder) as process:
            found = None
            while found is None:
                line = process.hear(_START).decode(errors="replace")
                found = re.search(r"https?://([0-9.]+):(\d+)", line)
            _wait_listening(found[1], int(found[2]))
            try:
                yield Server(self, process, found[1], int(found[2]))
            except Failed as error:
                if said := process.last_words():
                    raise Failed(f"{error}\n{self.name}: {said}") from error
                raise


PUSHSVC = System(
    name="pushsvc",
    arguments=(
        *("-m", "pushsvc", "serve", "--host", "127.0.0.1", "--port", "0"),
        # Everyone comes at once here, and is to be let in.
        *("--set", "log.level=warning", "--set", "limits.streams_per_second=1e6"),
        *("--set", "limits.subscribers_per_address=20000"),
        *("--set", "limits.connections_per_address=20000"),
        *("--set", "limits.samples_per_second=1e9"),
    ),
    transports=frozenset(("websocket", "sse", "ndjson", "longpoll")),
    documents="v1",
    subprotocol="pushsvc.v1",
)
WORKERS = dataclasses.replace(
    PUSHSVC, name="pushsvc, 2 workers", arguments=(*PUSHSVC.arguments, "--workers", "2")
)
NAIVE = System(
    name="naive",
    arguments=("-m", "tests.bench.peers.naive"),
    transports=frozenset(("websocket", "sse", "ndjson")),
)
BROADCAST = System(
    name="websockets.broadcast",
    arguments=("-m", "tests.bench.peers.broadcast"),
    transports=frozenset(("websocket",)),
    publish="websocket",
    missing=lambda: None if find_spec("uvloop") else "uvloop isn't installed",
)
NCHAN = System(
    name="nchan",
    arguments=("-m", "tests.bench.peers.nchan"),
    transports=frozenset(("websocket", "sse")),
    publish="message",
    missing=lambda: (
        None
        if nchan.NGINX and nchan.MODULE.exists()
        else "nginx with nchan isn't installed (Debian: nginx-light libnginx-mod-nchan)"
    ),
)
CENTRIFUGO = System(
    name="Centrifugo",
    arguments=("-m", "tests.bench.peers.centrifugo"),
    transports=frozenset(("websocket", "sse")),
    documents="publications",
    publish="commands",
    target=centrifugo.target,
    missing=lambda: _not_compiled(centrifugo.PROGRAM),
)
MERCURE = System(
    name="Mercure",
    arguments=("-m", "tests.bench.peers.mercure"),
    transports=frozenset(("sse",)),
    publish="update",
    target=mercure.target,
    missing=lambda: _not_compiled(mercure.PROGRAM),
)
FLOOR = System(
    name="floor",
    arguments=("-m", "tests.bench.peers.floor"),
    transports=frozenset(("websocket", "sse")),
    publish="frame",
)
FLOOR_C = System(
    name="floor in C",
    arguments=("-m", "tests.bench.peers.floor", "--c"),
    transports=frozenset(("websocket", "sse")),
    publish="frame",
    missing=lambda: None if floor.COMPILER else "there is no C compiler",
)


def _not_compiled(program: Program) -> str | None:
    if program.path.exists():
        return None
    return f"{program.name} isn't compiled (python -m tests.bench.peers does it, by Go)"


def checkout(folder: Path) -> System:
    """The service of another revision, from its sources."""
    return dataclasses.replace(PUSHSVC, name=f"pushsvc in {folder.name}", folder=folder)


def _wait_listening(host: str, port: int) -> None:
    """Some say where they will listen, and then become another program."""
    deadline = time.monotonic() + _START
    while True:
        try:
            socket.create_connection((host, port), timeout=1.0).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise Failed(f"nothing listens on {host}:{port}: {error}") from None
            time.sleep(0.05)
        else:
            return


class Server:
    """A running system."""

    def __init__(self, system: System, process: Process, host: str, port: int) -> None:
        self.system = system
        self.host = host
        self.port = port
        self.pid = process.pid

    @contextlib.contextmanager
    def subscribers(
        self,
        transport: str,
        clients: int,
        *,
        name: str = "bench",
        max_hz: float | None = None,
        series: int = 50,
        pad: int = 0,
        coding: str = "identity",
        resumed: bool = False,
    ) -> Iterator[Subscribers]:
        """Connect clients that watch the metric `name`, from the load generator's core; `resumed`
        is about TLS: all but the first have been there before."""
        target = self.system.target(transport, name)
        if max_hz is not None:
            target += f"&max_hz={max_hz:g}"
        job = Job(
            host=self.host,
            port=self.port,
            pid=self.pid,
            transport=transport,
            target=target,
            subprotocol=self.system.subprotocol,
            documents=self.system.documents,
            clients=clients,
            name=name,
            series=series,
            publish=self.system.publish,
            pad=pad,
            coding=coding,
            tls=self.system.tls,
            resumed=resumed,
        )
        arguments = ("-m", "tests.bench.load", msgspec.json.encode(job).decode())
        with running(arguments, LOAD_CPU) as process:
            yield Subscribers(process, process.hear_as(Ready, _ANSWER), clients)


class Subscribers:
    """Connected subscribers of one system, and their publisher."""

    def __init__(self, process: Process, ready: Ready, clients: int) -> None:
        self._process = process
        self.ready = ready
        self.clients = clients

    def measure(self, window: Window, meanwhile: Callable[[], None] | None = None) -> Measured:
        """Publish and receive for a while. Raises Failed if a sample was lost or doubled.

        `meanwhile` is called about once a second until that is done.
        """
        self._process.tell(msgspec.json.encode(window))
        while meanwhile is not None and not self._process.has_spoken(1.0):
            meanwhile()
        return self._process.hear_as(Measured, _ANSWER)
