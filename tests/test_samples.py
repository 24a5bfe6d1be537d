"""`POST /v1/samples`: what a producer sends, and what it is told."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import msgspec
import pytest
import trio

from pushsvc.core.resources.limits import Limits, Pacing
from tests.ingest.test_inflate import DEFLATE
from tests.serving import next_of, serving

NDJSON = {"Content-Type": "application/x-ndjson"}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def test_one_sample_a_batch_and_lines() -> None:
    async with serving() as served:
        one = await served.http.post("/v1/samples", json={"name": "up", "value": 1})
        assert one.status_code == 200
        assert one.json()["applied"] == 1
        batch = await served.publish(
            {
                "name": "up",
                "labels": {"host": "a"},
                "value": 0.5,
                "time": now_ms() - 1000,
                "kind": "gauge",
                "unit": "ratio",
                "help": "Whether it is up.",
            },
            {"name": "mode", "value": "idle", "kind": "state"},
            {"name": "mode", "value": "busy"},
            {"name": "ok", "value": True},
        )
        assert batch["applied"] == 4
        lines = b'{"name":"up","value":2}\n\n{"name":"up","value":3}'
        upload = await served.http.post("/v1/samples", content=lines, headers=NDJSON)
        assert upload.status_code == 200
        assert upload.json() == {
            "applied": 2,
            "rejected": 0,
            "id": upload.json()["id"],
            "watchers": 0,
            "errors": [],
        }
        series = (await served.http.get("/v1/series")).json()["series"]
        assert {(s["name"], s["kind"], s["value"]) for s in series} == {
            ("up", "gauge", 3.0),
            ("up", "gauge", 0.5),
            ("mode", "state", "busy"),
            ("ok", "state", True),
        }


@pytest.mark.parametrize("value", ["NaN", "Infinity", "12", "on"])
async def test_a_text_is_a_state_only_where_someone_says_so(value: str) -> None:
    async with serving() as served:
        sample = {"name": "a", "value": value}
        refused = await served.http.post("/v1/samples", json=sample)
        assert (refused.status_code, refused.json()["code"]) == (422, "kind")
        assert "kind state" in refused.json()["detail"]
        # Numbers are welcome: nothing was founded.
        assert (await served.publish({"name": "a", "value": 1}))["applied"] == 1
        refused = await served.http.post("/v1/samples", json=sample)
        assert refused.status_code == 422
        assert "where there is no number the value is null" in refused.json()["detail"]
        await served.publish({"name": "b", "value": "off", "kind": "state"})
        assert (await served.publish({"name": "b", "value": value}))["applied"] == 1


async def test_null_founds_nothing_and_ends_what_is_there() -> None:
    async with serving() as served:
        assert (await served.publish({"name": "a", "value": None}))["applied"] == 1
        assert (await served.http.get("/v1/series")).json() == {"series": []}
        await served.publish({"name": "a", "value": 1, "kind": "counter"})
        await served.publish({"name": "a", "value": None})
        [series] = (await served.http.get("/v1/series")).json()["series"]
        assert (series["kind"], series["value"]) == ("counter", 1.0)
        assert series["ended"] >= series["time"]


async def test_curl_data_without_a_media_type_is_json() -> None:
    async with serving() as served:
        response = await served.http.post(
            "/v1/samples",
            content=b'{"name":"up","value":1}',
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert response.status_code == 200


async def test_the_answer_counts_who_watches() -> None:
    async with serving() as served:
        assert (await served.publish({"name": "a", "value": 1}))["watchers"] == 0
        async with served.documents("text/event-stream", select="a") as documents:
            await next_of(documents, "points")
            assert (await served.publish({"name": "a", "value": 1}))["watchers"] == 1
            assert (await served.publish({"name": "b", "value": 1}))["watchers"] == 0


SMALL = Limits(
    body_bytes=20_000,
    line_bytes=500,
    batch_samples=50,
    labels=3,
    name_bytes=20,
    value_bytes=40,
    series=10,
)

BAD: list[tuple[str, bytes, int, str, str]] = [
    ("empty", b"", 400, "json", ""),
    ("truncated", b'{"samples":[', 400, "json", ""),
    ("not an object", b"[1]", 400, "schema", "object"),
    ("not UTF-8", b'{"name":"\xff","value":1}', 400, "json", ""),
    ("nested", b'{"name":"a","value":1,"labels":' + b"[" * 9_000, 400, "json", ""),
    ("unknown field", b'{"name":"a","value":1,"vaule":2}', 400, "schema", "vaule"),
    ("no name", b'{"value":1}', 400, "schema", "name"),
    ("no value", b'{"name":"a"}', 400, "schema", "value"),
    ("wrong type", b'{"name":"a","value":[1]}', 400, "schema", "value"),
    ("NaN", b'{"name":"a","value":NaN}', 400, "json", ""),
    ("infinity", b'{"name":"a","value":1e999}', 400, "schema", "range"),
    ("label not a string", b'{"name":"a","value":1,"labels":{"b":1}}', 400, "labels", "str"),
    ("bad name", b'{"name":"","value":1}', 422, "name", "empty"),
    ("empty name", b'{"name":"","value":1}', 422, "name", ""),
    ("long name", b'{"name":"%b","value":1}' % (b"a" * 21), 422, "name", "name_bytes"),
    ("bad label", b'{"name":"a","value":1,"labels":{"__c":"d"}}', 422, "label", "__c"),
    ("reserved", b'{"name":"a","value":1,"labels":{"__b":"d"}}', 422, "label", "reserved"),
    (
        "long value",
        b'{"name":"a","value":1,"labels":{"b":"%b"}}' % (b"x" * 41),
        422,
        "label",
        "value_bytes",
    ),
    ("surrogate", b'{"name":"a","value":1,"labels":{"b":"\\ud800"}}', 400, "json", ""),
    ("text for a gauge", b'{"name":"a","value":"x","kind":"gauge"}', 422, "value", "number"),
    ("number for a state", b'{"name":"a","value":1,"kind":"state"}', 422, "value", "state"),
    ("unknown kind", b'{"name":"a","value":1,"kind":"meter"}', 400, "schema", "kind"),
    ("far past", b'{"name":"a","value":1,"time":1000}', 422, "time", "past"),
    ("far future", b'{"name":"a","value":1,"time":99999999999999}', 422, "time", "ahead"),
    ("seconds", b'{"name":"a","value":1,"time":1732320000}', 422, "time", "milliseconds"),
    ("time not whole", b'{"name":"a","value":1,"time":1.5}', 400, "schema", "time"),
]


@pytest.mark.parametrize(
    ("body", "status", "code", "says"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
async def test_bad_samples_are_answered_and_lose_nothing(
    body: bytes, status: int, code: str, says: str
) -> None:
    async with serving(limits=SMALL) as served:
        response = await served.http.post("/v1/samples", content=body)
        assert_problem(response, status, code, says)
        assert (await served.http.get("/v1/series")).json() == {"series": []}


def assert_problem(response: httpx.Response, status: int, code: str, says: str = "") -> Any:
    assert response.headers["content-type"] == "application/problem+json", response.text
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code), problem
    assert problem["status"] == status
    assert says in problem["detail"], problem
    return problem


async def test_limits_are_named() -> None:
    async with serving(limits=SMALL) as served:
        big = await served.http.post("/v1/samples", content=b" " * 20_001)
        assert_problem(big, 413, "body", "limits.body_bytes")

        async def chunks() -> Any:
            for _ in range(30):
                yield b" " * 1000

        chunked = await served.http.post("/v1/samples", content=chunks())
        assert_problem(chunked, 413, "body", "limits.body_bytes")
        many = [{"name": "a", "value": 1}] * 51
        batch = await served.http.post("/v1/samples", json={"samples": many})
        assert_problem(batch, 413, "batch", "limits.batch_samples")
        labels = {f"l{i}": "x" for i in range(10_000)}
        sample = {"name": "a", "value": 1, "labels": {f"l{i}": "x" for i in range(4)}}
        assert_problem(
            await served.http.post("/v1/samples", json=sample), 422, "labels", "limits.labels"
        )
        crowd = [{"name": f"s{i}", "value": 1} for i in range(11)]
        series = await served.http.post("/v1/samples", json={"samples": crowd})
        assert_problem(series, 422, "series_limit", "limits.series")
        assert (await served.http.get("/v1/series")).json() == {"series": []}
    async with serving() as served:
        sample = {"name": "a", "value": 1, "labels": labels}
        response = await served.http.post("/v1/samples", json=sample)
        assert_problem(response, 422, "labels", "10000 labels")


async def test_names_are_any_text_and_are_quoted_in_selectors() -> None:
    async with serving() as served:
        labels = {"a.b": "c", "é": "1", "plain": "x"}
        name = "http.server.duration"
        async with served.documents(
            "text/event-stream", select='{"http.server.duration","a.b"="c"}'
        ) as documents:
            await next_of(documents, "points")
            await served.publish({"name": name, "labels": labels, "value": 1})
            points = await next_of(documents, "points")
            assert points["series"][0]["name"] == name
            assert points["series"][0]["labels"] == labels
        for select in ('{"http.server.duration"}', '{__name__="http.server.duration","é"=~"1|2"}'):
            answer = await served.http.get("/v1/series", params={"select": select})
            assert len(answer.json()["series"]) == 1
        assert (await served.http.get("/v1/series", params={"select": name})).status_code == 400


async def test_a_batch_is_all_or_nothing() -> None:
    async with serving() as served:
        samples = [
            {"name": "a", "value": 1},
            {"name": "b", "value": 1},
            {"name": "", "value": 1},
        ]
        response = await served.http.post("/v1/samples", json={"samples": samples})
        problem = assert_problem(response, 422, "name", "samples[2]")
        assert problem["index"] == 2
        assert (await served.http.get("/v1/series")).json() == {"series": []}


async def test_a_kind_is_kept() -> None:
    async with serving() as served:
        await served.publish({"name": "a", "value": 1, "kind": "counter"})
        other = await served.http.post(
            "/v1/samples", json={"name": "a", "value": 1, "kind": "gauge"}
        )
        assert_problem(other, 422, "kind", "a is a counter")
        text = await served.http.post("/v1/samples", json={"name": "a", "value": "x"})
        assert_problem(text, 422, "kind", "a is a counter")
        await served.publish({"name": "b", "value": 1})
        await served.publish({"name": "b", "value": 2, "kind": "counter", "unit": "bytes"})
        series = (await served.http.get("/v1/series?select=b")).json()["series"][0]
        assert (series["kind"], series["unit"]) == ("counter", "bytes")


async def test_lines_are_judged_one_by_one() -> None:
    async with serving(limits=SMALL) as served:
        lines = b"\n".join(
            [
                b'{"name":"a","value":1}',
                b"nonsense",
                b'{"name":"","value":1}',
                b"",
                b'{"name":"a","value":2}',
            ]
        )
        response = await served.http.post("/v1/samples", content=lines, headers=NDJSON)
        problem = assert_problem(response, 422, "lines", "2 of 4")
        assert (problem["applied"], problem["rejected"]) == (2, 2)
        assert [(error["line"], error["code"]) for error in problem["errors"]] == [
            (2, "json"),
            (3, "name"),
        ]
        long = b'{"name":"a","value":3}\n' + b" " * 600
        response = await served.http.post("/v1/samples", content=long, headers=NDJSON)
        problem = assert_problem(response, 413, "line", "limits.line_bytes")
        assert problem["applied"] == 1


async def test_a_line_the_hub_refuses_costs_only_itself() -> None:
    async with serving(limits=SMALL) as served:
        await served.publish({"name": "a", "value": 1, "kind": "counter"})
        lines = b"\n".join(
            [
                b'{"name":"b","value":1}',
                b'{"name":"a","value":2,"kind":"gauge"}',
                b'{"name":"a","value":3}',
                *(b'{"name":"s%d","value":1}' % i for i in range(10)),
                b'{"name":"b","value":2}',
            ]
        )
        response = await served.http.post("/v1/samples", content=lines, headers=NDJSON)
        problem = assert_problem(response, 422, "lines", "3 of 14")
        assert (problem["applied"], problem["rejected"]) == (11, 3)
        assert [(error["line"], error["code"]) for error in problem["errors"]] == [
            (2, "kind"),
            (12, "series_limit"),
            (13, "series_limit"),
        ]


async def test_an_upload_is_applied_as_it_arrives() -> None:
    async with serving() as served, served.documents("application/x-ndjson") as documents:
        await next_of(documents, "points")
        done = trio.Event()

        async def lines() -> Any:
            for value in range(3):
                yield json.dumps({"name": "a", "value": value}).encode() + b"\n"
                points = await next_of(documents, "points")
                assert points["points"][-1][2] == value
            done.set()

        response = await served.http.post("/v1/samples", content=lines(), headers=NDJSON)
        assert done.is_set()
        assert response.json()["applied"] == 3


async def test_an_unknown_media_type_is_refused() -> None:
    async with serving() as served:
        response = await served.http.post(
            "/v1/samples", content=b"a 1", headers={"Content-Type": "text/csv"}
        )
        assert_problem(response, 415, "media_type", "application/x-ndjson")


async def test_a_silent_upload_is_given_up() -> None:
    async with serving(stream=Pacing(body_timeout=0.2)) as served:
        stream = await served.raw(
            b"POST /v1/samples HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"
        )
        async with stream:
            with trio.fail_after(30):
                answer = bytes(await stream.receive_some())
        assert b"408" in answer.split(b"\r\n", 1)[0]


async def test_a_full_channel_makes_the_producer_wait_then_come_back() -> None:
    # A channel of one batch, hardly any patience, and a journal that stands still while many
    # producers push at once: some are told to come back, and what was answered 2xx is there.
    limits = Limits(ingest_queue=1, batch_samples=20_000)
    pacing = Pacing(ingest_wait=0.001)
    async with serving(limits=limits, stream=pacing) as served:
        answers: list[httpx.Response] = []

        async def push(name: str) -> None:
            samples = [{"name": name, "value": i} for i in range(20_000)]
            answers.append(await served.http.post("/v1/samples", json={"samples": samples}))

        async with trio.open_nursery() as nursery:
            for i in range(12):
                nursery.start_soon(push, f"s{i}")
        accepted = [answer for answer in answers if answer.status_code == 200]
        refused = [answer for answer in answers if answer.status_code == 503]
        assert len(accepted) + len(refused) == 12
        assert accepted
        for answer in refused:
            assert_problem(answer, 503, "ingest_queue", "limits.ingest_queue")
            assert int(answer.headers["retry-after"]) >= 1
        applied = await served.metric("pushsvc_samples_total")
        assert applied == sum(answer.json()["applied"] for answer in accepted)


async def test_a_producer_that_vanishes_mid_body_harms_nobody() -> None:
    async with serving() as served:
        stream = await served.raw(
            b"POST /v1/samples HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
            b'17\r\n{"name":"a","value":1}\n\r\n8\r\n{"name"'
        )
        await served.wait_metric("pushsvc_samples_total", 1)
        await stream.aclose()
        assert (await served.publish({"name": "a", "value": 2}))["applied"] == 1


@pytest.mark.parametrize("coding", ["gzip", "zstd", "deflate"])
async def test_bodies_may_be_compressed(coding: str) -> None:
    compress = DEFLATE[coding]
    async with serving(limits=Limits(body_bytes=10_000)) as served:
        post = served.http.post
        headers = {"Content-Encoding": coding}
        one = compress(b'{"name":"a","value":1}')
        answer = await post("/v1/samples", content=one, headers=headers)
        assert answer.json()["applied"] == 1
        lines = b"".join(b'{"name":"m%d","value":%d}\n' % (i % 7, i) for i in range(1_000))
        upload = await post("/v1/samples", content=compress(lines), headers={**headers, **NDJSON})
        assert upload.json()["applied"] == 1_000
        bomb = compress(b'{"name":"a","value":1,"help":"' + b"x" * 10_000_000)
        assert_problem(await post("/v1/samples", content=bomb, headers=headers), 413, "body")
        blank = compress(b'{"name":"b","value":1}\n' + b"\n" * 10_000_000)
        refused = await post("/v1/samples", content=blank, headers={**headers, **NDJSON})
        assert assert_problem(refused, 413, "body", "200 times")["applied"] == 1
        cut = await post("/v1/samples", content=one[:-3], headers=headers)
        assert_problem(cut, 400, "content_encoding", "ends before")
        other = await post("/v1/samples", content=b"x", headers={"Content-Encoding": "br"})
        assert_problem(other, 415, "content_encoding", "gzip, zstd")
        assert other.headers["accept-encoding"] == "gzip, zstd, deflate"


async def test_messagepack() -> None:
    async with serving() as served:
        for media_type in ("application/msgpack", "application/vnd.msgpack"):
            answer = await served.http.post(
                "/v1/samples",
                content=msgspec.msgpack.encode({"samples": [{"name": "a", "value": 1}] * 3}),
                headers={"Content-Type": media_type},
            )
            assert answer.json()["applied"] == 3
        bad = await served.http.post(
            "/v1/samples", content=b"\xc1", headers={"Content-Type": "application/msgpack"}
        )
        assert_problem(bad, 400, "messagepack")


async def test_a_batch_with_a_key_is_applied_once() -> None:
    async with serving(limits=Limits(idempotency_keys=2)) as served:

        async def post(key: str, **sample: Any) -> httpx.Response:
            return await served.http.post(
                "/v1/samples", json=sample, headers={"Idempotency-Key": key}
            )

        first = await post('"k"', name="a", value=1)
        assert first.status_code == 200
        for _ in range(3):
            again = await post('"k"', name="a", value=1)
            assert (again.status_code, again.json()) == (200, first.json())
        assert await served.metric("pushsvc_samples_total") == 1
        other = await post('"k"', name="a", value=2)
        assert_problem(other, 422, "idempotency_key", "another body")
        for _ in range(2):
            assert_problem(await post('"bad"', name="", value=1), 422, "name")
        assert (await post('"bad"', name="a", value=3)).status_code == 200
        full = await post('"more"', name="a", value=4)
        assert_problem(full, 503, "idempotency_keys", "limits.idempotency_keys")
        assert_problem(await post('""', name="a", value=1), 400, "idempotency_key")
        lines = await served.http.post(
            "/v1/samples", content=b"", headers={"Idempotency-Key": "x", **NDJSON}
        )
        assert_problem(lines, 400, "idempotency_key", "not with lines")
        assert await served.metric("pushsvc_samples_total") == 2
