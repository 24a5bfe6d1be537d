"""`POST /v1/metrics`: encodings, partial success, and what makes an exporter wait."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest
import trio
from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from pushsvc.core.resources.limits import Limits, Pacing
from tests.ingest.test_otlp import buckets, gauge, histogram, point, request, total
from tests.serving import Served, serving

JSON = {"Content-Type": "application/json"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}


def encoded(document: dict[str, Any], headers: dict[str, str]) -> bytes:
    if headers == JSON:
        return json.dumps(document).encode()
    return json_format.ParseDict(document, ExportMetricsServiceRequest()).SerializeToString()


def now(**members: Any) -> dict[str, Any]:
    return point(timeUnixNano="0", **members)


async def export(served: Served, document: dict[str, Any], headers: dict[str, str]) -> Any:
    """The answer to a request that must be applied, as the JSON of either encoding."""
    answer = await served.http.post(
        "/v1/metrics", content=encoded(document, headers), headers=headers
    )
    assert answer.status_code == 200, answer.content
    assert answer.headers["content-type"] == headers["Content-Type"]
    if headers == JSON:
        return answer.json()
    return json_format.MessageToDict(ExportMetricsServiceResponse.FromString(answer.content))


def status_of(answer: httpx.Response) -> tuple[int, str]:
    """The google.rpc.Status in an answer."""
    if answer.headers["content-type"] == "application/json":
        status = json_format.Parse(answer.content, Status())
    else:
        assert answer.headers["content-type"] == "application/x-protobuf"
        status = Status.FromString(answer.content)
    return status.code, status.message


async def values(served: Served) -> dict[str, Any]:
    listed = (await served.http.get("/v1/series")).json()["series"]
    return {one["name"]: (one["kind"], one["value"]) for one in listed}


@pytest.mark.parametrize("headers", [JSON, PROTOBUF], ids=["json", "protobuf"])
async def test_a_request_is_applied_and_answered_in_its_encoding(headers: dict[str, str]) -> None:
    async with serving() as served:
        document = request(
            gauge("temp", now()), total("hits", now()), resource={"service.name": "shop"}
        )
        assert await export(served, document, headers) == {}
        assert await values(served) == {
            "temp": ("gauge", 1.0),
            "hits_total": ("counter", 1.0),
        }
        assert await export(served, {}, headers) == {}


@pytest.mark.parametrize("headers", [JSON, PROTOBUF], ids=["json", "protobuf"])
async def test_what_is_refused_is_told_and_the_rest_applied(headers: dict[str, str]) -> None:
    async with serving(limits=Limits(series=4)) as served:
        await served.publish({"name": "a", "value": 1, "kind": "counter"})
        document = request(
            gauge("a", now(), now()),
            gauge("b", now()),
            gauge("no value", point(None, timeUnixNano="0")),
            histogram("h", buckets(timeUnixNano="0"), buckets(timeUnixNano="0")),
            gauge("c", now()),
        )
        answer = await export(served, document, headers)
        partial = answer["partialSuccess"]
        assert partial["rejectedDataPoints"] == "6"
        for reason in ("a is a counter", "neither", "limits.series", "c would be a new series"):
            assert reason in partial["errorMessage"]
        # The first new series that fit are taken: b, and two buckets.
        assert set(await values(served)) == {"a", "b", "h_bucket"}
        assert await served.metric("pushsvc_otlp_points_refused_total") == 6


@pytest.mark.parametrize("headers", [JSON, PROTOBUF], ids=["json", "protobuf"])
async def test_a_request_that_can_not_be_read_gets_a_status(headers: dict[str, str]) -> None:
    async with serving(limits=Limits(body_bytes=2000, batch_samples=3)) as served:
        post = served.http.post
        bad = await post("/v1/metrics", content=b"\x07{", headers=headers)
        assert bad.status_code == 400
        assert status_of(bad) == (3, status_of(bad)[1])
        assert "ExportMetricsServiceRequest" in status_of(bad)[1]
        big = await post("/v1/metrics", content=bytes(2001), headers=headers)
        assert big.status_code == 413
        assert status_of(big)[0] == 8
        assert "limits.body_bytes" in status_of(big)[1]
        many = encoded(request(gauge("a", now(), now(), now(), now())), headers)
        crowd = await post("/v1/metrics", content=many, headers=headers)
        assert crowd.status_code == 413
        assert "limits.batch_samples" in status_of(crowd)[1]
        bomb = {**headers, "Content-Encoding": "gzip"}
        bombed = await post("/v1/metrics", content=gzip.compress(bytes(10**6)), headers=bomb)
        assert bombed.status_code == 413
        assert "inflated" in status_of(bombed)[1]
        assert await values(served) == {}


async def test_content_codings() -> None:
    async with serving() as served:
        body = gzip.compress(encoded(request(gauge("a", now())), PROTOBUF))
        answer = await served.http.post(
            "/v1/metrics", content=body, headers={**PROTOBUF, "Content-Encoding": "gzip"}
        )
        assert (answer.status_code, answer.content) == (200, b"")
        refused = await served.http.post(
            "/v1/metrics", content=body, headers={**PROTOBUF, "Content-Encoding": "br"}
        )
        assert refused.status_code == 415
        assert "gzip, zstd, deflate" in status_of(refused)[1]


async def test_other_media_types_are_refused() -> None:
    async with serving() as served:
        answer = await served.http.post(
            "/v1/metrics", content=b"a 1", headers={"Content-Type": "text/plain"}
        )
        assert answer.status_code == 415
        assert "application/x-protobuf" in answer.json()["detail"]


async def test_an_exporter_is_told_to_come_back_when_the_hub_is_behind() -> None:
    limits = Limits(ingest_queue=1)
    async with serving(limits=limits, stream=Pacing(ingest_wait=0.001)) as served:
        answers: list[httpx.Response] = []

        async def push(name: str) -> None:
            points = [now() for _ in range(5_000)]
            body = encoded(request(gauge(name, *points)), PROTOBUF)
            answers.append(await served.http.post("/v1/metrics", content=body, headers=PROTOBUF))

        async def flood() -> None:
            samples = [{"name": "flood", "value": i} for i in range(50_000)]
            await served.http.post("/v1/samples", json={"samples": samples})

        async with trio.open_nursery() as nursery:
            for i in range(6):
                nursery.start_soon(flood)
                nursery.start_soon(push, f"m{i}")
        refused = [answer for answer in answers if answer.status_code == 503]
        assert len(refused) + len([a for a in answers if a.status_code == 200]) == 6
        for answer in refused:
            assert int(answer.headers["retry-after"]) >= 1
            assert status_of(answer)[0] == 14


@pytest.mark.parametrize("headers", [JSON, PROTOBUF])
async def test_who_sends_too_much_is_told_so_in_the_words_of_otlp(headers: dict[str, str]) -> None:
    async with serving(limits=Limits(samples_per_second=0.1)) as served:
        document = request(gauge("a", *[now(labels={"n": str(n)}) for n in range(9)]))
        await export(served, document, headers)
        answer = await served.http.post(
            "/v1/metrics", content=encoded(document, headers), headers=headers
        )
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 1
        code, message = status_of(answer)
        assert code == 14
        assert "limits.samples_per_second" in message


async def test_points_that_are_refused_are_counted_by_reason() -> None:
    async with serving() as served:
        await export(served, request(gauge("a", now(value=None), now())), JSON)
        assert await served.metric('pushsvc_refused_total{code="value",format="otlp"}') == 1
