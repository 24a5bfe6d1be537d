"""The load generator for ingest: one keep-alive connection that posts batch after batch.

A process of its own, `python -m tests.bench.producer JOB`: it writes one line of JSON for each
window it is told to measure on standard input, and ends with that. With `--floor` instead of a
job nothing is posted: the same bodies are only decoded, here, which is what no service can beat.
"""

from __future__ import annotations

import random
import socket
import sys
import time

import msgspec

from tests.bench.process import cpu_seconds
from tests.bench.transport import Broken, PollReader

_VARIANTS = 4
"""Different bodies that are posted in turn."""


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one request carries: so many samples, of so many series in turn."""

    samples: int
    series: int
    seconds: float
    """How long to go on."""
    most: float | None = None
    """Samples a second at the most."""


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to post."""

    host: str
    port: int
    pid: int
    number: int = 0
    """Which of several producers it is: each has hosts of its own."""


class Ingested(msgspec.Struct, frozen=True):
    """What came of a window."""

    samples: int
    requests: int
    body_bytes: int
    """Of one request."""
    seconds: float
    server_cpu: float


class Failure(msgspec.Struct, frozen=True):
    error: str


class _Sample(msgspec.Struct):
    name: str
    labels: dict[str, str]
    value: float
    time: int


class _Body(msgspec.Struct):
    samples: list[_Sample]


class _Answer(msgspec.Struct):
    applied: int


_PAST = 6 * 86_400
"""Seconds that the first sample is old; each body that is posted is a second newer."""


def bodies(batch: Batch, second: int, number: int = 0) -> list[bytes]:
    """Bodies as an agent on a few hundred hosts writes them, of one second (Unix time). Those of
    agents with other numbers are of other hosts."""
    chance = random.Random(batch.samples)
    assert batch.samples // batch.series < 1_000
    hosts = f"web{number}" if number else "web"
    modes = ("idle", "user", "system", "iowait")
    return [
        msgspec.json.encode(
            _Body(
                [
                    _Sample(
                        "node_cpu_seconds_total",
                        {
                            "host": f"{hosts}-{n % batch.series // 32:03}",
                            "cpu": str(n % batch.series // 4 % 8),
                            "mode": modes[n % 4],
                        },
                        round(chance.uniform(0, 100_000), 2),
                        second * 1000 + n // batch.series,
                    )
                    for n in range(batch.samples)
                ]
            )
        )
        for _ in range(_VARIANTS)
    ]


class Producer:
    """A connection, and what was posted on it."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._second = round(time.time()) - _PAST
        self._connect()

    def _connect(self) -> None:
        self._sock = socket.create_connection((self._job.host, self._job.port), timeout=60)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = PollReader()

    def measure(self, batch: Batch) -> Ingested:
        """Post for some time, at least once, after a request that isn't counted."""
        second = self._second
        payloads = bodies(batch, second, self._job.number)
        head = f"POST /v1/samples HTTP/1.1\r\nHost: {self._job.host}:{self._job.port}\r\n"
        requests = [
            f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
            for body in payloads
        ]
        self._post(requests[-1], batch.samples)
        posted = 0
        server_cpu, began = cpu_seconds(self._job.pid), time.monotonic()
        while (seconds := time.monotonic() - began) < batch.seconds or not posted:
            # A time that comes again would be a sample that is held already.
            posted += 1
            if batch.most is not None:
                due = began + posted * batch.samples / batch.most
                time.sleep(max(0.0, due - time.monotonic()))
            request = requests[posted % _VARIANTS]
            self._post(request.replace(b"%d" % second, b"%d" % (second + posted)), batch.samples)
        server_cpu = cpu_seconds(self._job.pid) - server_cpu
        self._second += posted + 1
        return Ingested(posted * batch.samples, posted, len(payloads[0]), seconds, server_cpu)

    def _post(self, request: bytes, samples: int) -> None:
        self._sock.sendall(request)
        documents: list[bytes] = []
        while not documents:
            data = self._sock.recv(65536)
            if not data:
                raise Broken("the server closed the producer's connection")
            documents = self._answers.feed(data)
        applied = msgspec.json.decode(documents[0], type=_Answer).applied
        if applied != samples:
            raise Broken(f"{applied} of {samples} samples were applied")
        if self._answers.closing:
            # Hypercorn answers 1,000 requests on a connection unless told otherwise.
            self._sock.close()
            self._connect()


def decode(batch: Batch) -> Ingested:
    """The floor: decode the bodies for some time, and do nothing with them."""
    payloads = bodies(batch, round(time.time()))
    decoder = msgspec.json.Decoder(_Body)
    decoded = 0
    cpu, began = time.process_time(), time.monotonic()
    while (seconds := time.monotonic() - began) < batch.seconds or not decoded:
        decoder.decode(payloads[decoded % _VARIANTS])
        decoded += 1
    cpu = time.process_time() - cpu
    return Ingested(decoded * batch.samples, decoded, len(payloads[0]), seconds, cpu)


def main() -> None:
    try:
        if sys.argv[1] == "--floor":
            measure = decode
        else:
            measure = Producer(msgspec.json.decode(sys.argv[1], type=Job)).measure
        for line in sys.stdin:
            answer = measure(msgspec.json.decode(line, type=Batch))
            print(msgspec.json.encode(answer).decode(), flush=True)
    except (Broken, OSError) as error:
        print(msgspec.json.encode(Failure(str(error))).decode(), flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
