"""A real Prometheus beside the service, fed by the same requests and asked the same."""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from pushsvc.core.resources.limits import Limits
from pushsvc.ingest.remote_write.messages import WriteRequest
from tests import golang
from tests.core.expression.generated import Generator, Sample, samples
from tests.ingest.samples import snappy
from tests.serving import serving
from tests.test_producers_prometheus import HEADERS, free_port, process

START = 1_767_225_600_000
"""Unix ms of the first sample: always the same, so that the same is compared each time."""
SECONDS = 900
AHEAD = 120
"""Seconds that are asked about beyond the last sample."""

# An ending, and a number that nobody sends, in whose place it goes.
STALE, MARK = b"\x02\x00\x00\x00\x00\x00\xf0\x7f", 1.2345e-300

Result = dict[tuple[tuple[str, str], ...], list[tuple[float, float]]]


def request(batch: list[Sample]) -> bytes:
    """A request of remote write."""
    message: Any = WriteRequest()
    for labels, value, at in batch:
        one = message.timeseries.add()
        for name, text in sorted(labels.items()):
            one.labels.add(name=name, value=text)
        one.samples.add(value=MARK if value is None else value, timestamp=at)
    body: bytes = message.SerializeToString()
    return snappy(body.replace(struct.pack("<d", MARK), STALE))


@contextlib.asynccontextmanager
async def prometheus(folder: Path) -> AsyncIterator[str]:
    """A Prometheus that is written to; its URL."""
    program = golang.prometheus()
    if not program.exists():
        pytest.skip("no Prometheus 3 here: python -m tests.golang compiles it")
    file, port = folder / "prometheus.yml", free_port()
    file.write_text("global: {}\n")
    url = f"http://127.0.0.1:{port}"
    with process(
        str(program),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
        "--enable-feature=promql-experimental-functions",
    ):
        async with httpx.AsyncClient() as http:
            with trio.fail_after(60):
                while True:
                    with contextlib.suppress(httpx.TransportError):
                        if (await http.get(f"{url}/-/ready")).status_code == 200:
                            break
                    await trio.sleep(0.05)
        yield url


def result_of(answer: httpx.Response) -> Result | str:
    """What an answer says, in no order; of an error its kind."""
    body = answer.json()
    if body["status"] == "error":
        return str(body["errorType"])
    data = body["data"]
    if data["resultType"] in ("scalar", "string"):
        return {(): [(data["result"][0], float(data["result"][1]))]}
    return {
        tuple(sorted(one["metric"].items())): [
            (at, float(value)) for at, value in one.get("values") or [one["value"]]
        ]
        for one in data["result"]
    }


def same(ours: Result | str, theirs: Result | str) -> bool:
    if isinstance(ours, str) or isinstance(theirs, str):
        return ours == theirs
    if ours.keys() != theirs.keys():
        return False
    for labels, points in ours.items():
        others = theirs[labels]
        if [at for at, _ in points] != [at for at, _ in others]:
            return False
        for (_, ours_is), (_, theirs_is) in zip(points, others, strict=True):
            both_nan = math.isnan(ours_is) and math.isnan(theirs_is)
            if not both_nan and not math.isclose(ours_is, theirs_is, rel_tol=1e-9, abs_tol=1e-12):
                return False
    return True


async def compare(folder: Path, seed: int, count: int, times: int) -> None:
    """Ask both `count` questions at `times` times, and over their range."""
    start = START
    limits = Limits(samples_per_second=1e9, past_seconds=1e10)
    wrong, answered = [], 0
    async with (
        serving(limits=limits) as served,
        prometheus(folder) as url,
        httpx.AsyncClient(base_url=url, timeout=60) as theirs,
    ):
        for batch in samples(seed, start, SECONDS):
            body = request(batch)
            for client, path in ((served.http, "/api/v1/write"), (theirs, f"{url}/api/v1/write")):
                answer = await client.post(path, content=body, headers=HEADERS)
                assert answer.status_code in (200, 204), answer.text
        first, last = start / 1000 + 60, start / 1000 + SECONDS + AHEAD
        step = (last - first) / times
        for text in Generator(seed).expressions(count):
            asked = [("query", {"time": f"{first + place * step:.3f}"}) for place in range(times)]
            span = {"start": f"{first:.3f}", "end": f"{last:.3f}", "step": f"{step:.3f}"}
            asked.append(("query_range", span))
            for path, parameters in asked:
                form = {"query": text, **parameters}
                answers = [
                    await client.post(f"/api/v1/{path}", data=form)
                    for client in (served.http, theirs)
                ]
                found, wanted = map(result_of, answers)
                answered += len(wanted) > 0 and not isinstance(wanted, str)
                if not same(found, wanted):
                    wrong.append(f"{text}\n  {path} {parameters}\n  {found}\n  {wanted}")
                    break
    assert wrong == []
    assert answered > count * (times + 1) / 2, "most questions are to have an answer"


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_questions_are_answered_as_prometheus_does(tmp_path: Path) -> None:
    await compare(tmp_path, 2, 200, 20)
