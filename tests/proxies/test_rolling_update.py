"""A rolling update in miniature: two processes behind a proxy, each replaced by a new one."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trio

from tests.proxies.dashboards import HEADS, Dashboard
from tests.proxies.proxy import program_of
from tests.proxies.running import free_ports

pytestmark = pytest.mark.long

CROWD = 2_000
CEILING = 500
"""Reconnects in any one second that the new processes are to be spared more than."""
PER_SECOND = 300
"""`stream.reconnects_per_second`: by a pod's clock. That of the crowd, which counts them, stands
still now and then on a busy machine, and then has those of two seconds in one."""
ENV = {k: v for k, v in os.environ.items() if not k.startswith("PUSHSVC_")}

# Each address is one that a pod may have; those without one are down.
_HAPROXY = """
global
  maxconn 6000
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s
  option forwardfor
  option redispatch 1
  retries 3
frontend front
  bind 127.0.0.1:{front}
  default_backend service
backend service
  balance leastconn
  option httpchk GET /readyz
  default-server check inter 100ms fall 1 rise 1
{servers}
"""


class Pod:
    """A process of the service."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        settings = {
            "server.port": port,
            "server.drain_delay": 1,
            "server.drain_timeout": 10,
            "stream.reconnects_per_second": PER_SECOND,
            "web.trusted_proxies": "127.0.0.1",
            "limits.streams_per_second": 10_000,
        }
        flags = itertools.chain.from_iterable(("--set", f"{k}={v}") for k, v in settings.items())
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pushsvc", "serve", *flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=ENV,
        )

    async def ready(self, http: httpx.AsyncClient) -> None:
        with trio.fail_after(20):
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get(f"{self.url}/readyz")).status_code == 200:
                        return
                await trio.sleep(0.05)

    async def leave(self) -> None:
        """As the kubelet ends it."""
        self.process.send_signal(signal.SIGTERM)
        with trio.fail_after(30):
            while self.process.poll() is None:
                await trio.sleep(0.05)
        assert self.process.returncode == 0


@contextlib.asynccontextmanager
async def balancer(folder: Path, front: int, ports: list[int]) -> AsyncIterator[None]:
    servers = "\n".join(f"  server pod{n} 127.0.0.1:{port}" for n, port in enumerate(ports))
    file = folder / "haproxy.cfg"
    await trio.Path(file).write_text(_HAPROXY.format(front=front, servers=servers))
    process = subprocess.Popen(  # noqa: ASYNC220 - forks, and doesn't wait
        [program_of("haproxy"), "-f", str(file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def publish(pods: list[Pod], http: httpx.AsyncClient, last: list[int]) -> None:
    """Count up, in each process alike: they have no journal in common."""
    for value in itertools.count(1):
        for pod in list(pods):
            with contextlib.suppress(httpx.HTTPError):
                await http.post(f"{pod.url}/v1/samples", json={"name": "n", "value": value})
        last[0] = value
        await trio.sleep(0.25)


def peak(moments: list[float]) -> int:
    """The most of them in any one second."""
    moments = sorted(moments)
    most = start = 0
    for end, moment in enumerate(moments):
        while moment - moments[start] > 1.0:
            start += 1
        most = max(most, end - start + 1)
    return most


async def everyone_live(crowd: list[Dashboard], last: list[int], seconds: float) -> None:
    """Wait until each has been given something that was published from now on."""
    wanted = last[0] + 1
    with trio.move_on_after(seconds):
        while any(not each.values or max(each.values) < wanted for each in crowd):
            await trio.sleep(0.1)
        return
    late = [each for each in crowd if not each.values or max(each.values) < wanted]
    raise AssertionError(f"{len(late)} of {len(crowd)} are not live, {late[0].transport} is one")


async def test_nobody_is_lost_and_nobody_is_trampled(tmp_path: Path) -> None:
    program_of("haproxy")
    front, *ports = free_ports(5)
    pods: list[Pod] = []
    last = [0]
    transports = itertools.cycle(HEADS)
    crowd = [Dashboard(front, next(transports)) for _ in range(CROWD)]
    peaks: list[int] = []
    try:
        async with (
            httpx.AsyncClient(timeout=5, trust_env=False) as http,
            balancer(tmp_path, front, ports),
            trio.open_nursery() as nursery,
        ):
            pods += [Pod(ports[0]), Pod(ports[1])]
            for pod in pods:
                await pod.ready(http)
            await trio.sleep(0.5)  # for the balancer to see it
            nursery.start_soon(publish, pods, http, last)
            for number, each in enumerate(crowd):
                nursery.start_soon(each.run)
                if number % 50 == 49:
                    await trio.sleep(0.05)
            await everyone_live(crowd, last, 20)
            for port in ports[2:]:
                began = trio.current_time()
                new, old = Pod(port), pods[0]
                await new.ready(http)
                pods.append(new)
                await trio.sleep(0.5)
                pods.remove(old)
                await old.leave()
                await everyone_live(crowd, last, 20)
                peaks.append(peak([a for each in crowd for a in each.attempts if a > began]))
            nursery.cancel_scope.cancel()
    finally:
        for pod in pods:
            pod.process.kill()
            pod.process.wait()

    assert sum(each.cut for each in crowd) == 0  # all that left was told to
    assert sum(each.told for each in crowd) >= CROWD // 2
    assert max(peaks) <= CEILING, (peaks, sum(each.refused for each in crowd))
    for each in crowd:
        missing = max(each.values) - min(each.values) + 1 - len(each.values)
        assert not missing or each.gaps, (each.transport, missing)
        assert len(each.gaps) <= each.told
