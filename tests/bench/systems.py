"""What is measured: each system runs in a process of its own and is given the same work."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import TypeVar
from urllib.parse import quote

import msgspec

from tests.bench.load import Failure, Job, Measured, Ready, Window
from tests.bench.process import LOAD_CPU, SERVER_CPU, Failed, Process, running

_START = 20.0
_ANSWER = 300.0

_Answer = TypeVar("_Answer", Ready, Measured)


class System(msgspec.Struct, frozen=True, kw_only=True):
    """How to run a service, and how to talk to it."""

    name: str
    arguments: tuple[str, ...]
    """Of the Python that runs it. It prints a line with its URL when it takes connections."""
    transports: frozenset[str]
    snapshot: bool
    """As in Job."""
    subprotocol: str | None = None

    @contextlib.contextmanager
    def serving(self) -> Iterator[Server]:
        """Run it on the server's core for as long as the block takes.

        A Failed that leaves the block is given what the server last said of itself.
        """
        with running(self.arguments, SERVER_CPU) as process:
            found = None
            while found is None:
                line = process.hear(_START).decode(errors="replace")
                found = re.search(r"http://([0-9.]+):(\d+)", line)
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
        *("--set", "log.level=warning"),
    ),
    transports=frozenset(("websocket", "sse", "ndjson", "longpoll")),
    snapshot=True,
    subprotocol="pushsvc.v1",
)
NAIVE = System(
    name="naive",
    arguments=("-m", "tests.bench.naive"),
    transports=frozenset(("websocket", "sse", "ndjson")),
    snapshot=False,
)


class Server:
    """A running system."""

    def __init__(self, system: System, process: Process, host: str, port: int) -> None:
        self.system = system
        self.host = host
        self.port = port
        self.pid = process.pid

    @contextlib.contextmanager
    def subscribers(
        self, transport: str, clients: int, *, name: str = "bench", max_hz: float | None = None
    ) -> Iterator[Subscribers]:
        """Connect clients that watch the metric `name`, from the load generator's core."""
        target = f"/v1/stream?select={quote(name)}"
        if max_hz is not None:
            target += f"&max_hz={max_hz:g}"
        job = Job(
            host=self.host,
            port=self.port,
            pid=self.pid,
            transport=transport,
            target=target,
            subprotocol=self.system.subprotocol,
            snapshot=self.system.snapshot,
            clients=clients,
            name=name,
        )
        arguments = ("-m", "tests.bench.load", msgspec.json.encode(job).decode())
        with running(arguments, LOAD_CPU) as process:
            yield Subscribers(process, _heard(process, Ready), clients)


class Subscribers:
    """Connected subscribers of one system, and their publisher."""

    def __init__(self, process: Process, ready: Ready, clients: int) -> None:
        self._process = process
        self.ready = ready
        self.clients = clients

    def measure(self, window: Window) -> Measured:
        """Publish and receive for a while. Raises Failed if a sample was lost or doubled."""
        self._process.tell(msgspec.json.encode(window))
        return _heard(self._process, Measured)


def _heard(process: Process, kind: type[_Answer]) -> _Answer:
    answer = msgspec.json.decode(process.hear(_ANSWER))
    if "error" in answer:
        raise Failed(msgspec.convert(answer, Failure).error)
    return msgspec.convert(answer, kind)
