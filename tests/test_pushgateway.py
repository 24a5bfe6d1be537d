"""Prometheus' own client pushes as to a Pushgateway."""

from __future__ import annotations

import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Summary,
    delete_from_gateway,
    push_to_gateway,
    pushadd_to_gateway,
)
from prometheus_client.exposition import basic_auth_handler

from pushsvc.config import Auth, Keeping
from pushsvc.core.resources.limits import Limits
from pushsvc.pipeline import now_ms
from tests import tokens
from tests.serving import Served, next_of, serving


async def there(served: Served) -> dict[str, Any]:
    """Values of series that haven't ended, by name and labels; without when was pushed."""
    listed = (await served.http.get("/v1/series")).json()["series"]
    return {
        series["name"] + "".join(f"|{k}={v}" for k, v in sorted(series["labels"].items())): series
        for series in listed
        if "ended" not in series and not series["name"].startswith("push_")
    }


async def values(served: Served) -> dict[str, float]:
    return {name: series["value"] for name, series in (await there(served)).items()}


def registry(**gauges: float) -> CollectorRegistry:
    made = CollectorRegistry()
    for name, value in gauges.items():
        Gauge(name, f"The {name}.", registry=made).set(value)
    return made


async def run(function: Callable[..., None], *args: Any, **named: Any) -> None:
    with trio.fail_after(30):
        await trio.to_thread.run_sync(lambda: function(*args, **named))


async def refused(function: Callable[..., None], *args: Any, **named: Any) -> int:
    """The status with which it is."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        await run(function, *args, **named)
    caught.value.close()
    return caught.value.code


async def test_what_is_put_replaces_the_group_and_what_is_added_its_metrics() -> None:
    async with serving() as served:
        url = served.url
        other = {"job": "other", "instance": "x"}
        await served.publish({"name": "a", "labels": {"job": "batch"}, "value": 7})
        async with served.documents("text/event-stream", select='{job=~"batch|other"}') as stream:
            await next_of(stream, "points")
            await run(push_to_gateway, url, "batch", registry(b=1, c=2))
            await run(push_to_gateway, url, "batch", registry(b=3), grouping_key={"instance": "x"})
            await run(push_to_gateway, url, "other", registry(b=4), grouping_key=other)
            await run(push_to_gateway, url, "batch", registry(b=5))
            while not (ended := (await next_of(stream, "points")).get("ended")):
                pass
            assert len(ended) == 1
        assert await values(served) == {
            "a|job=batch": 7,  # another producer's
            "b|job=batch": 5,
            "b|instance=x|job=batch": 3,
            "b|instance=x|job=other": 4,
        }
        await run(pushadd_to_gateway, url, "batch", registry(c=6))
        assert (await values(served))["b|job=batch"] == 5
        await run(delete_from_gateway, url, "batch")
        assert await values(served) == {
            "a|job=batch": 7,
            "b|instance=x|job=batch": 3,
            "b|instance=x|job=other": 4,
        }
        await run(delete_from_gateway, url, "batch")  # again
        await run(
            push_to_gateway, url, "batch", CollectorRegistry(), grouping_key={"instance": "x"}
        )
        assert set(await values(served)) == {"a|job=batch", "b|instance=x|job=other"}


async def test_kinds_help_and_what_is_said_of_a_group() -> None:
    made = CollectorRegistry()
    Counter("done", "What was done.", ["shard"], registry=made).labels('a\n"b"\\').inc(3)
    Histogram("took_seconds", "How long.", buckets=(0.1, 1), registry=made).observe(0.5)
    Summary("size_bytes", "How much.", registry=made).observe(5)
    async with serving() as served:
        await run(push_to_gateway, served.url, "a/b c", made, grouping_key={"empty": "", "u": "é"})
        found = await there(served)
        assert {name.partition("|")[0]: one["kind"] for name, one in found.items()} == {
            "done_total": "counter",
            "done_created": "gauge",
            "took_seconds_bucket": "counter",
            "took_seconds_sum": "counter",
            "took_seconds_count": "counter",
            "took_seconds_created": "gauge",
            "size_bytes_sum": "counter",
            "size_bytes_count": "counter",
            "size_bytes_created": "gauge",
        }
        assert {one["labels"]["job"] for one in found.values()} == {"a/b c"}
        assert {one["labels"]["u"] for one in found.values()} == {"é"}
        total = next(one for one in found.values() if one["name"] == "done_total")
        assert (total["help"], total["value"]) == ("What was done.", 3)
        assert total["labels"]["shard"] == 'a\n"b"\\'
        listed = (await served.http.get("/v1/series")).json()["series"]
        said = {one["name"]: one["value"] for one in listed if one["name"].startswith("push_")}
        assert said["push_time_seconds"] > 1e9
        assert said["push_failure_time_seconds"] == 0


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("job/a", "x 1\nx{ 2", "line 2: not NAME{LABELS} VALUE"),
        ("job/a", "x 1\nx 2", 'x{job="a"} is there twice'),
        ("job/a", b"x 1 NOW", "has a time of its own"),
        ("job/a", "push_time_seconds 1", 'push_time_seconds{job="a"} is what is said here'),
        ("job/a", 'x{__y="1"} 1', "__y"),
        ("job/a", b'x{y="\xff"} 1', "not UTF-8"),
        ("job@base64/=", "x 1", "the job has no name"),
        ("nojob/a", "x 1", "a group is /metrics/job/JOB"),
        ("job/a/b", "x 1", "has no value in the path"),
        ("job/a/b//c/d", "x 1", "an empty value is written"),
        ("job@base64/%25", "x 1", "no base64"),
        ("job/a/__x/b", "x 1", "no name of a label"),
        ("job/a/job/b", "x 1", "two values in the path"),
    ],
)
async def test_what_is_wrong_is_refused_in_words_and_changes_nothing(
    path: str, body: str | bytes, told: str
) -> None:
    if isinstance(body, bytes):
        body = body.replace(b"NOW", b"%d" % now_ms())
    async with serving() as served:
        for method in ("PUT", "POST"):
            answer = await served.http.request(method, f"/metrics/{path}", content=body)
            assert answer.status_code == 400
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            assert told in answer.text
        assert await values(served) == {}
        assert (
            await served.metric(
                'pushsvc_requests_refused_total{code="%s",format="pushgateway"}'
                % ("group" if path != "job/a" else "lines")
            )
            == 2
        )


async def test_a_refusal_is_noted_with_the_group_and_a_kind_that_is_another() -> None:
    async with serving() as served:
        put = served.http.put
        answer = await put("/metrics/job/a", content="# TYPE x counter\nx 1\n")
        assert (answer.status_code, answer.content) == (200, b"")
        answer = await put("/metrics/job/a", content="# TYPE x gauge\ny 2\nx 1\n")
        assert answer.status_code == 400
        assert "is a counter" in answer.text
        assert await values(served) == {"x|job=a": 1}
        listed = (await served.http.get("/v1/series?select=push_failure_time_seconds")).json()
        assert listed["series"][0]["value"] > 1e9
        answer = await put(
            "/metrics/job/a",
            content=b"\x00",
            headers={"Content-Type": "application/vnd.google.protobuf"},
        )
        assert answer.status_code == 415
        assert (await served.http.get("/metrics/job/a")).status_code == 405
        assert (await put("/metrics", content="x 1")).status_code == 405


async def test_a_value_that_is_none_ends() -> None:
    async with serving() as served:
        await served.http.post("/metrics/job/a", content="x 1\ny 2")
        answer = await served.http.post("/metrics/job/a", content="x NaN\ny +Inf\nz 1")
        assert answer.status_code == 200
        assert await values(served) == {"z|job=a": 1, "x|job=a": 1, "y|job=a": 2}
        await served.http.put("/metrics/job/a", content="x NaN\nz 1")
        assert await values(served) == {"z|job=a": 1}


async def test_openmetrics_and_names_of_any_characters() -> None:
    text = (
        '# TYPE "http.wait" histogram\n# UNIT "http.wait" seconds\n# HELP "http.wait" Waits.\n'
        '{"http.wait_bucket",le="1","a.b"="c"} 2 # {trace="x"} 0.5\n{"http.wait_sum"} 1.5\n'
        "# TYPE hits counter\nhits_total 4\nhits_created 1.7e9\n# EOF\n"
    )
    async with serving() as served:
        answer = await served.http.put(
            "/metrics/job/a",
            content=text,
            headers={"Content-Type": "application/openmetrics-text; version=1.0.0"},
        )
        assert answer.status_code == 200, answer.text
        found = await there(served)
        assert found["http.wait_bucket|a.b=c|job=a|le=1"]["value"] == 2
        assert found["http.wait_bucket|a.b=c|job=a|le=1"]["unit"] == ""
        assert found["http.wait_sum|job=a"]["unit"] == "seconds"
        assert found["http.wait_sum|job=a"]["help"] == "Waits."
        assert found["hits_total|job=a"]["kind"] == "counter"
        # A metric is replaced: what has another bucket now ends.
        answer = await served.http.post(
            "/metrics/job/a",
            content='# TYPE "http.wait" histogram\n{"http.wait_bucket",le="2"} 2\n',
        )
        assert set(await values(served)) == {
            "http.wait_bucket|job=a|le=2",
            "http.wait_sum|job=a",
            "hits_total|job=a",
        }


async def test_groups_are_there_after_a_restart(tmp_path: Path) -> None:
    journal = Keeping(path=str(tmp_path / "log"))
    async with serving(journal=journal) as served:
        await run(push_to_gateway, served.url, "batch", registry(b=1, c=2))
    async with serving(journal=journal) as served:
        await run(push_to_gateway, served.url, "batch", registry(c=3))
        assert await values(served) == {"c|job=batch": 3}
        await run(delete_from_gateway, served.url, "batch")
        assert await values(served) == {}


async def test_a_token_pushes_what_it_may_write(tmp_path: Path) -> None:
    auth = Auth(
        mode="jwt",
        public_keys_file=tokens.write_public_key(tmp_path),
        issuer=tokens.ISSUER,
        audience=tokens.AUDIENCE,
    )
    grants = {"write": ['{__name__=~"b|c", job="batch"}'], "read": ['{__name__=~".+"}']}
    key = tokens.token(pushsvc=grants)

    def handler(url: str, method: str, timeout: Any, headers: Any, data: Any) -> Callable[[], None]:
        return basic_auth_handler(url, method, timeout, headers, data, "any", key)

    async with serving(auth=auth) as served:
        served.http.headers["Authorization"] = f"Bearer {key}"
        for function in (push_to_gateway, pushadd_to_gateway):
            await run(function, served.url, "batch", registry(b=1), handler=handler)
            for job, made in (("other", registry(b=1)), ("batch", registry(d=1))):
                assert await refused(function, served.url, job, made, handler=handler) == 403
        assert await values(served) == {"b|job=batch": 1}
        assert await refused(delete_from_gateway, served.url, "batch") == 401
        await run(delete_from_gateway, served.url, "batch", handler=handler)
        assert await values(served) == {}


async def test_limits_are_those_of_all_producers() -> None:
    async with serving(limits=Limits(batch_samples=2, body_bytes=100)) as served:
        put = served.http.put
        assert (await put("/metrics/job/a", content="x 1\ny 1\nz 1")).status_code == 413
        assert (await put("/metrics/job/a", content="x" * 200)).status_code == 413
        assert await values(served) == {}
