"""A real Prometheus that scrapes a node exporter and writes here, and how it is made to wait."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio

from pushsvc.core.resources.limits import Limits, Pacing
from pushsvc.ingest.remote_write.messages import Request
from tests import golang
from tests.debian import program
from tests.ingest.samples import NOW, remote_write_1, remote_write_2, snappy
from tests.serving import TRUST, Served, next_of, serving

HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
V2 = {**HEADERS, "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}
WIDE = Limits(past_seconds=1e11)
"""So that samples of any time are fine."""


async def test_a_request_of_each_version() -> None:
    async with serving(limits=WIDE) as served:
        async with served.documents("text/event-stream", select="a_total") as documents:
            await next_of(documents, "points")
            body = snappy(remote_write_1({"a_total": [(1.0, NOW)]}))
            first = await served.http.post("/api/v1/write", content=body, headers=HEADERS)
            assert (first.status_code, first.content) == (204, b"")
            points = await next_of(documents, "points")
            assert points["series"][0]["kind"] == "counter"
            assert points["points"][0][1:] == [NOW, 1.0]
            body = snappy(remote_write_2({"a_total": [(2.0, NOW + 1)]}))
            second = await served.http.post("/api/v1/write", content=body, headers=V2)
            assert second.status_code == 204
            assert second.headers["X-Prometheus-Remote-Write-Samples-Written"] == "1"
            assert second.headers["X-Prometheus-Remote-Write-Histograms-Written"] == "0"
            assert (await next_of(documents, "points"))["points"][0][1:] == [NOW + 1, 2.0]


async def test_quantiles_of_a_native_histogram() -> None:
    async with serving(limits=WIDE) as served:
        for number, time in enumerate((NOW - 5_000, NOW)):
            request: Any = Request(symbols=["", "__name__", "took_seconds"])
            one = request.timeseries.add(labels_refs=[1, 2])
            one.metadata.type = 3
            many = 100 * number + 100
            histogram = one.histograms.add(timestamp=time, schema=3, count_int=2 * many, sum=9.0)
            # As many from 2^-0.125 to 1 as from 2 to 2^1.125.
            histogram.positive_spans.add(offset=0, length=1)
            histogram.positive_spans.add(offset=8, length=1)
            histogram.positive_deltas.extend([many, 0])
            body = snappy(request.SerializeToString())
            answer = await served.http.post("/api/v1/write", content=body, headers=V2)
            assert answer.status_code == 204, answer.text
            assert answer.headers["X-Prometheus-Remote-Write-Histograms-Written"] == "1"
            assert answer.headers["X-Prometheus-Remote-Write-Samples-Written"] == "0"
        for q, low, high in ((0.25, 2**-0.125, 1.0), (0.75, 2.0, 2**1.125)):
            query = f"histogram_quantile({q}, sum by (le) (rate(took_seconds_bucket[1m])))"
            asked = {"query": query, "time": str(NOW / 1000)}
            told = (await served.http.get("/api/v1/query", params=asked)).json()
            (result,) = told["data"]["result"]
            assert low <= float(result["value"][1]) <= high


async def test_a_staleness_marker_ends_the_series_for_those_who_watch() -> None:
    stale = b"\x02\x00\x00\x00\x00\x00\xf0\x7f"
    async with serving(limits=WIDE) as served, served.documents("text/event-stream") as documents:
        await next_of(documents, "points")
        body = remote_write_1({"a": [(1.0, NOW)]})
        await served.http.post("/api/v1/write", content=snappy(body), headers=HEADERS)
        points = await next_of(documents, "points")
        marker = body.replace(b"\x00\x00\x00\x00\x00\x00\xf0?", stale)
        await served.http.post("/api/v1/write", content=snappy(marker), headers=HEADERS)
        ref = points["series"][0]["ref"]
        assert (await next_of(documents, "points"))["ended"] == [[ref, NOW]]
        [series] = (await served.http.get("/v1/series")).json()["series"]
        assert (series["ref"], series["value"], series["ended"]) == (ref, 1.0, NOW)
        body = remote_write_1({"a": [(2.0, NOW + 5)]})
        await served.http.post("/api/v1/write", content=snappy(body), headers=HEADERS)
        assert (await next_of(documents, "points"))["points"] == [[ref, NOW + 5, 2.0]]
        [series] = (await served.http.get("/v1/history")).json()["series"]
        assert (series["points"], series["ended"]) == ([[NOW + 5, 2.0]], [NOW])


async def test_part_of_a_request_may_be_refused() -> None:
    async with serving(limits=Limits(past_seconds=1e11, series=2)) as served:
        body = snappy(remote_write_1({name: [(1.0, NOW)] for name in ("a", "b", "c", "")}))
        answer = await served.http.post("/api/v1/write", content=body, headers=HEADERS)
        assert answer.status_code == 400
        told = answer.json()
        assert (told["code"], told["applied"], told["refused"]) == ("partial", 2, 2)
        assert "c would be a new series" in told["detail"]
        assert "metric name is empty" in told["detail"]
        # Known ones flow.
        again = snappy(remote_write_1({"a": [(2.0, NOW)], "b": [(2.0, NOW)]}))
        answer = await served.http.post("/api/v1/write", content=again, headers=HEADERS)
        assert answer.status_code == 204


@pytest.mark.parametrize("headers", [HEADERS, V2])
async def test_names_in_utf_8_come_as_they_are(headers: dict[str, str]) -> None:
    make = remote_write_2 if headers is V2 else remote_write_1
    async with serving(limits=WIDE) as served:
        body = snappy(make({"http.server.duration": [(1.0, NOW)]}, labels={"a.b": "ü"}))
        answer = await served.http.post("/api/v1/write", content=body, headers=headers)
        assert answer.status_code == 204
        select = '{"http.server.duration","a.b"="ü"}'
        [series] = (await served.http.get("/v1/series", params={"select": select})).json()["series"]
        assert (series["name"], series["labels"]) == ("http.server.duration", {"a.b": "ü"})


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({**HEADERS, "Content-Type": "application/json"}, "media_type"),
        ({**HEADERS, "Content-Type": "application/x-protobuf;proto=some.Other"}, "media_type"),
        ({**HEADERS, "Content-Encoding": "gzip"}, "content_encoding"),
        ({"Content-Type": "application/x-protobuf"}, "content_encoding"),
    ],
)
async def test_what_isn_t_remote_write(headers: dict[str, str], code: str) -> None:
    async with serving() as served:
        answer = await served.http.post("/api/v1/write", content=b"x", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (415, code)


async def test_garbage_is_not_to_be_sent_again() -> None:
    async with serving() as served:
        for body in (b"", b"garbage", snappy(b"\x0a\xff\xff")):
            answer = await served.http.post("/api/v1/write", content=body, headers=HEADERS)
            assert answer.status_code == 400


async def test_who_sends_too_much_is_made_to_wait_and_not_to_drop() -> None:
    # Prometheus drops what is answered 429; it is told so before its body is read, and behind it.
    limits = Limits(past_seconds=1e11, samples_per_second=1.0)
    async with serving(limits=limits) as served:
        body = snappy(remote_write_1({"a": [(float(n), NOW + n) for n in range(100)]}))
        first = await served.http.post("/api/v1/write", content=body, headers=HEADERS)
        assert first.status_code == 204
        for headers in (HEADERS, V2):
            second = await served.http.post("/api/v1/write", content=body, headers=headers)
            assert (second.status_code, second.json()["code"]) == (503, "samples_per_second")
            assert int(second.headers["Retry-After"]) > 1
        assert (
            await served.metric(
                'pushsvc_requests_refused_total{code="samples_per_second",format="remote_write"}'
            )
            == 2
        )


async def test_a_body_that_comes_too_slowly_is_to_be_sent_again() -> None:
    async with serving(stream=Pacing(body_timeout=0.2)) as served:
        head = "\r\n".join(f"{name}: {value}" for name, value in HEADERS.items())
        head = f"POST /api/v1/write HTTP/1.1\r\nHost: x\r\n{head}\r\nContent-Length: 9\r\n\r\n"
        answer = b""
        async with await trio.open_tcp_stream(served.host, served.port) as stream:
            await stream.send_all(head.encode())
            async for part in stream:
                answer += part
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"body_timeout" in answer


@pytest.mark.parametrize("headers", [HEADERS, V2])
async def test_how_much_was_written_is_said_where_part_was_refused(headers: dict[str, str]) -> None:
    make = remote_write_2 if headers is V2 else remote_write_1
    async with serving(limits=Limits(past_seconds=1e11, series=2)) as served:
        body = snappy(make({name: [(1.0, NOW)] for name in ("a", "b", "c")}))
        answer = await served.http.post("/api/v1/write", content=body, headers=headers)
        assert answer.status_code == 400
        assert answer.headers["X-Prometheus-Remote-Write-Samples-Written"] == "2"
        assert (
            await served.metric('pushsvc_refused_total{code="series_limit",format="remote_write"}')
            == 1
        )


async def test_exemplars_that_are_passed_over_count_as_written() -> None:
    async with serving(limits=WIDE) as served:
        request: Any = Request.FromString(remote_write_2({"a": [(1.0, NOW)], "b": [(1.0, NOW)]}))
        for series in request.timeseries:
            series.exemplars.add(timestamp=NOW)
        answer = await served.http.post(
            "/api/v1/write", content=snappy(request.SerializeToString()), headers=V2
        )
        assert answer.status_code == 204
        assert answer.headers["X-Prometheus-Remote-Write-Exemplars-Written"] == "2"
        assert answer.headers["X-Prometheus-Remote-Write-Samples-Written"] == "2"


# -- the real thing -------------------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


@contextlib.contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            yield child
        finally:
            # Told to end, Prometheus first sends what it has: to this very thread, which waits.
            child.kill()


CONFIGURATION = """
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: node
    static_configs:
      - targets: ["127.0.0.1:{exporter}"]
remote_write:
  - url: {url}/api/v1/write
    queue_config:
      batch_send_deadline: 1s
      min_backoff: 100ms
      max_backoff: 500ms
    metadata_config:
      send_interval: 2s
"""


def prometheus_2() -> str:
    return program("prometheus", "prometheus")


def prometheus_3() -> str:
    path = golang.prometheus()
    if not path.exists():
        pytest.skip("no Prometheus 3 here: python -m tests.golang compiles it")
    return str(path)


VERSIONS = pytest.mark.parametrize(
    "version", [prometheus_2, pytest.param(prometheus_3, marks=pytest.mark.long)]
)


@contextlib.asynccontextmanager
async def prometheus(version: Callable[[], str], url: str, folder: Path) -> AsyncIterator[str]:
    """Prometheus, scraping a node exporter and writing to `url`; gives where it listens."""
    exporter, port = free_port(), free_port()
    file = folder / "prometheus.yml"
    file.write_text(CONFIGURATION.format(exporter=exporter, url=url))
    with (
        process(
            program("prometheus-node-exporter", "prometheus-node-exporter"),
            f"--web.listen-address=127.0.0.1:{exporter}",
        ),
        process(
            version(),
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ),
    ):
        yield f"http://127.0.0.1:{port}"


@VERSIONS
async def test_a_real_prometheus(version: Callable[[], str], tmp_path: Path) -> None:
    async with serving() as served:
        async with (
            prometheus(version, served.url, tmp_path),
            served.documents("text/event-stream", select="node_load1") as documents,
        ):
            with trio.fail_after(60):
                values: list[Any] = []
                while len(values) < 2:  # live: one scrape after the other
                    async for document in documents:
                        if document.get("points"):
                            values += document["points"]
                            break
            assert values[-1][1] > values[0][1]
            with trio.fail_after(30):
                while True:
                    listed = (
                        await served.http.get("/v1/series?select=node_cpu_seconds_total")
                    ).json()
                    if listed["series"] and "help" in listed["series"][0]:
                        break
                    await trio.sleep(0.2)
            one = listed["series"][0]
            assert one["kind"] == "counter"
            assert one["help"] == "Seconds the CPUs spent in each mode."
            assert one["labels"]["job"] == "node"
            assert await served.metric("pushsvc_series") > 100
            assert await served.metric("pushsvc_remote_write_refused_total") == 0


@pytest.mark.long
@VERSIONS
async def test_a_real_prometheus_that_was_made_to_wait_delivers_all(
    version: Callable[[], str], tmp_path: Path
) -> None:
    pacing = Pacing(ingest_wait=0.01)
    limits = Limits(ingest_queue=1, samples_per_second=1e9)
    async with serving(stream=pacing, limits=limits) as served:
        async with prometheus(version, served.url, tmp_path) as url:
            refused = await refuse_for_a_while(served, 4.0)
            assert refused > 0
            async with httpx.AsyncClient(base_url=url, timeout=10, verify=TRUST) as client:
                with trio.fail_after(60):
                    while True:
                        ours = await history(served)
                        if len(ours) >= 8:
                            break
                        await trio.sleep(0.5)
                query = {"query": "up[1m]"}
                result = (await client.get("/api/v1/query", params=query)).json()["data"]["result"]
                theirs = [round(float(time) * 1000) for time, _ in result[0]["values"]]
        # Every scrape that Prometheus has, up to the newest here, is here too.
        expected = [time for time in theirs if time <= ours[-1]]
        assert len(expected) >= 8
        assert ours == expected


@VERSIONS
async def test_a_real_prometheus_beyond_its_share_drops_nothing(
    version: Callable[[], str], tmp_path: Path
) -> None:
    """It scrapes far more at once than it may send: it is told to wait, and catches up."""
    limits = Limits(samples_per_second=200)
    async with (
        serving(limits=limits) as served,
        prometheus(version, served.url, tmp_path) as url,
        httpx.AsyncClient(base_url=url, timeout=10, verify=TRUST) as client,
    ):
        with trio.fail_after(90):
            while await served.metric("pushsvc_producers_refused_total") < 3:
                await trio.sleep(0.2)
        told = (await client.get("/metrics")).text
        dropped = re.findall(
            r"^prometheus_remote_storage_samples_(?:failed|dropped)_total.* (.+)$",
            told,
            re.MULTILINE,
        )
        assert dropped
        assert not any(float(number) for number in dropped), told


async def refuse_for_a_while(served: Served, seconds: float) -> float:
    """Keep the ingest channel full, so that everyone is told to wait; how often that was."""
    until = trio.current_time() + seconds
    async with trio.open_nursery() as nursery:
        for _ in range(32):
            nursery.start_soon(flood, served, until)
    return await served.metric("pushsvc_ingest_overloaded_total")


async def flood(served: Served, until: float) -> None:
    # Few enough not to be decoded in a thread, one after the other.
    body = msgspec.json.encode({"samples": [{"name": f"f{n}", "value": n} for n in range(3_000)]})
    headers = {"Content-Type": "application/json"}
    while trio.current_time() < until:
        await served.http.post("/v1/samples", content=body, headers=headers)


async def history(served: Served) -> list[int]:
    """The times of all samples of `up` here."""
    answer = (await served.http.get("/v1/history?select=up&window=10m")).json()
    return [time for series in answer["series"] for time, _ in series["points"]]
