"""Several processes of the service behind HAProxy, on one log or each with its own, and who
publishes to them."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

import httpx
import trio

from pushsvc.journal.valkey import open_valkey_journal
from tests.ports import free_ports
from tests.proxies.proxy import program_of
from tests.proxies.record import PRODUCERS, encode, faults

PER_SECOND = 300
"""`stream.reconnects_per_second` of each pod."""
ASKED_PER_SECOND = PER_SECOND * 1.03
"""As many as a pod may ask to be back within one second: it may be a few milliseconds late with
each. How many do come at once is up to the machine, too: who is told late comes later."""
_ENV = {k: v for k, v in os.environ.items() if not k.startswith("PUSHSVC_")}
_START = 180.0
"""Seconds for a process to start, or to end, on a machine that is busy."""

# Each address is one that a pod may have.
_CHECKED = "  option httpchk GET /readyz\n  default-server check inter 100ms fall 1 rise 1"
_TOLD = "  default-server disabled"
_HAPROXY = """
global
  maxconn {connections}
  stats socket ipv4@127.0.0.1:{admin} level admin
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
  option forwardfor
  option http-no-delay
  option redispatch 1
  retries 3
frontend front
  bind 127.0.0.1:{front}
  default_backend service
backend service
  balance leastconn
{checks}
{servers}
"""


class Pod:
    """A process of the service."""

    def __init__(
        self, port: int, log: Path, journal: str = "", more: Mapping[str, object] | None = None
    ) -> None:
        """`more` are settings besides those that all have."""
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._log = log
        self._journal = journal
        self._more = more or {}
        settings = {
            "server.port": port,
            "server.drain_delay": 1,
            "server.drain_timeout": 10,
            "stream.reconnects_per_second": PER_SECOND,
            "web.trusted_proxies": "127.0.0.1",
            **({"journal.url": journal} if journal else {}),
            **self._more,
        }
        flags = itertools.chain.from_iterable(("--set", f"{k}={v}") for k, v in settings.items())
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pushsvc", "serve", *flags],
                stdout=file,
                stderr=file,
                env=_ENV,
            )

    async def ready(self, http: httpx.AsyncClient) -> None:
        """Wait until it may have traffic."""
        with trio.move_on_after(_START):
            while self.process.poll() is None:
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get(f"{self.url}/readyz")).status_code == 200:
                        return
                await trio.sleep(0.05)
        ended = self.process.poll()
        state = f"still starts after {_START:.0f} s" if ended is None else f"ended with {ended}"
        log = self._log.read_text()[-4000:] or "it wrote nothing"
        raise AssertionError(f"a pod that isn't ready, on {self.port}: it {state}; {log}")

    def noticed(self) -> str:
        """What it wrote of its log."""
        lines = self._log.read_text().splitlines()
        return "\n".join(line for line in lines if "journal" in line or "anew" in line)

    async def metric(self, http: httpx.AsyncClient, name: str) -> float:
        """The sum over all that has this name."""
        # On a machine that is busy with a crowd an answer may take long.
        lines = (await http.get(f"{self.url}/metrics", timeout=_START)).text.splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.partition(" ")[0].partition("{")[0] == name
        )

    @property
    def back_in_a_second(self) -> int | None:
        """How many it asked to be back within one second, at the most, when it left."""
        found = re.search(r"back_in_a_second\W+(\d+)", self._log.read_text())
        return None if found is None else int(found[1])

    async def leave(self) -> None:
        """End it as the kubelet does."""
        self.process.send_signal(signal.SIGTERM)
        with trio.move_on_after(_START):
            while self.process.poll() is None:
                await trio.sleep(0.05)
        assert self.process.returncode == 0, self._log.read_text()[-4000:]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def again(self) -> Pod:
        """Another one in its place, when it is gone."""
        return Pod(self.port, self._log, self._journal, self._more)


class Balancer:
    """HAProxy, and to which pods it leads."""

    def __init__(self, port: int, admin: int, pods: Sequence[int]) -> None:
        self.port = port
        self._admin = admin
        self._names = {pod: f"service/pod{number}" for number, pod in enumerate(pods)}

    async def lead(self, pod: int, *, there: bool) -> None:
        """Have it lead to the pod with this port, or not any more; streams that are there stay."""
        state = "ready" if there else "drain"
        async with await trio.open_tcp_stream("127.0.0.1", self._admin) as stream:
            await stream.send_all(f"set server {self._names[pod]} state {state}\n".encode())
            said = b"".join([bytes(part) async for part in stream])
        assert not said.strip(), said


@contextlib.asynccontextmanager
async def balancer(
    folder: Path, ports: Sequence[int], *, clients: int, checked: bool = False
) -> AsyncIterator[Balancer]:
    """HAProxy in front of these ports, for so many clients: it asks pods whether they are ready, or
    is told so, as controllers of Kubernetes are."""
    found = program_of("haproxy")
    front, admin = free_ports(2)
    servers = "\n".join(f"  server pod{n} 127.0.0.1:{port}" for n, port in enumerate(ports))
    file = folder / f"haproxy-{front}.cfg"
    text = _HAPROXY.format(
        front=front,
        admin=admin,
        servers=servers,
        connections=clients + 500,
        checks=_CHECKED if checked else _TOLD,
    )
    await trio.Path(file).write_text(text)
    with (folder / f"haproxy-{front}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - forks, and doesn't wait
            [found, "-f", str(file)], stdout=log, stderr=log
        )
    try:
        it = Balancer(front, admin, ports)
        with trio.fail_after(_START):
            while not await _accepts(admin):
                await trio.sleep(0.02)
        yield it
    finally:
        process.kill()
        process.wait()


async def _accepts(port: int) -> bool:
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
    except OSError:
        return False
    await stream.aclose()
    return True


class Fleet:
    """Pods on one log, replaced one by one; proxies in front of them."""

    def __init__(
        self, folder: Path, journal: str, ports: Sequence[int], balancers: Sequence[Balancer]
    ) -> None:
        self.fronts = [each.port for each in balancers]
        self._balancers = balancers
        self.pods: list[Pod] = []
        self._free = list(ports)
        self._folder = folder
        self._journal = journal
        self._numbers = itertools.count()
        self.http = httpx.AsyncClient(timeout=10, trust_env=False)
        self.asked_back: list[int] = []
        """For each pod that left, how many it asked to be back within one second, at the most."""

    async def start(self) -> Pod:
        """One more pod; returns when the proxies know of it, too."""
        pod = self._spawn(self._free.pop(0))
        self.pods.append(pod)
        await pod.ready(self.http)
        for each in self._balancers:
            await each.lead(pod.port, there=True)
        return pod

    async def roll(self) -> None:
        """Each pod leaves once there is another for it, one after the other. As in a cluster, one
        that leaves isn't counted any more: the next is started meanwhile."""
        async with trio.open_nursery() as nursery:
            gone = trio.Event()
            gone.set()
            for old in list(self.pods):
                await self.start()
                await gone.wait()
                gone = trio.Event()
                nursery.start_soon(self._part, old, gone)

    async def _part(self, old: Pod, gone: trio.Event) -> None:
        for each in self._balancers:
            await each.lead(old.port, there=False)
        await old.leave()
        assert old.back_in_a_second is not None
        self.asked_back.append(old.back_in_a_second)
        self.pods.remove(old)
        self._free.append(old.port)
        gone.set()

    async def crash(self) -> None:
        """The oldest pod is killed, and is started again where it was. No proxy is told."""
        old = self.pods.pop(0)
        old.kill()
        self._free.insert(0, old.port)
        await self.start()

    def _spawn(self, port: int) -> Pod:
        log = self._folder / f"pod-{next(self._numbers)}.log"
        return Pod(port, log, self._journal)

    async def aclose(self) -> None:
        """Kill what runs."""
        for pod in self.pods:
            pod.kill()
        await self.http.aclose()


@contextlib.asynccontextmanager
async def open_fleet(
    folder: Path, journal: str, *, size: int, proxies: int = 1, clients: int
) -> AsyncIterator[Fleet]:
    """So many pods that are ready, behind so many proxies."""
    ports = free_ports(size + 2)
    async with contextlib.AsyncExitStack() as stack:
        balancers = [
            await stack.enter_async_context(balancer(folder, ports, clients=clients // proxies))
            for _ in range(proxies)
        ]
        fleet = Fleet(folder, journal, ports, balancers)
        stack.push_async_callback(fleet.aclose)
        async with trio.open_nursery() as nursery:
            for _ in range(size):
                nursery.start_soon(fleet.start)
        yield fleet


async def log_faults(url: str, published: Sequence[int]) -> list[str]:
    """What the log itself has otherwise than it was answered, as `faults` of a record tells it: so
    it is known whether what a record lacks was lost before the log or behind it. Nothing where a
    snapshot stands for its beginning."""
    values: list[int] = []
    seen: set[bytes] = set()
    async with open_valkey_journal(url) as journal:
        if journal.horizon:
            return []
        end = journal.seq
        async with aclosing(journal.read(0)) as slices:
            async for entries in slices:
                for draft in (entry.draft for entry in entries):
                    if draft.once and draft.once in seen:
                        continue
                    seen.add(draft.once)
                    values += [
                        int(value)
                        for rows in draft.batch.rows
                        for value in rows.values
                        if rows.identity.name == "n" and isinstance(value, float | int)
                    ]
                if entries[-1].last >= end:
                    break
    return [f"the log: {fault}" for fault in faults(values, published)]


class Producer:
    """Counts up in a series of its own, and says each number until it is answered 2xx."""

    def __init__(self, number: int, url: str, pause: float) -> None:
        self._number = number
        self._url = f"{url}/v1/samples"
        self._pause = pause
        self.published = 0
        """How many numbers were answered."""
        self.longest = 0.0
        """Seconds that one took, at the longest."""
        self.repeats = 0
        self.trail: deque[str] = deque(maxlen=20)
        """What became of numbers that were not answered 2xx at once."""

    async def run(self, done: trio.Event) -> None:
        """Publish until `done`; the last number is answered then."""
        async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
            while not done.is_set():
                begun = trio.current_time()
                await self._publish(http)
                self.longest = max(self.longest, trio.current_time() - begun)
                self.published += 1
                with trio.move_on_after(self._pause):
                    await done.wait()

    async def _publish(self, http: httpx.AsyncClient) -> None:
        sample = {
            "name": "n",
            "labels": {"producer": str(self._number)},
            "value": encode(self._number, self.published),
        }
        headers = {"Idempotency-Key": f"{self._number}-{self.published}"}
        said: list[str] = []
        while True:
            try:
                answer = await http.post(self._url, json=sample, headers=headers)
                if answer.status_code == 200:
                    if said:
                        self.trail.append(f"{self.published}: {' '.join(said)} {answer.text}")
                    return
                # Being asked already, being full or away, and nobody there for the proxy.
                assert answer.status_code in (409, 502, 503, 504), answer.text
                said.append(str(answer.status_code))
            except httpx.HTTPError as error:
                said.append(type(error).__name__)
            self.repeats += 1
            await trio.sleep(0.1)


class Producers:
    """All who publish."""

    def __init__(self, url: str, pause: float) -> None:
        self.each = [Producer(number, url, pause) for number in range(PRODUCERS)]

    @property
    def published(self) -> list[int]:
        """How many numbers of each were answered."""
        return [one.published for one in self.each]

    @property
    def next(self) -> list[int]:
        """Numbers of which none has been published by now."""
        return [one.published + 1 for one in self.each]

    @property
    def longest(self) -> float:
        return max(one.longest for one in self.each)

    @property
    def trails(self) -> str:
        return "; ".join(
            f"producer {number}: {', '.join(one.trail)}" for number, one in enumerate(self.each)
        )

    async def run(
        self, done: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Publish until `done`. Started when there is something of each."""
        async with trio.open_nursery() as nursery:
            for one in self.each:
                nursery.start_soon(one.run, done)
            with trio.fail_after(_START):
                while not all(self.published):
                    await trio.sleep(0.05)
            task_status.started()
