"""Prometheus' query API: as its clients ask, and as their errors read (docs/promql.md)."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException

from pushsvc.config import Auth
from pushsvc.core.resources.limits import Limits
from tests import debian, tokens
from tests.serving import Served, serving
from tests.tokens import bearer, token


async def counted(served: Served, seconds: int = 60) -> int:
    """Publish two counters, a sample a second; the time of the last in Unix seconds."""
    now = int(time.time())
    for job, step in (("a", 10), ("b", 1)):
        await served.publish(
            *(
                {
                    "name": "requests_total",
                    "labels": {"job": job},
                    "kind": "counter",
                    "value": step * place,
                    "time": (now - seconds + place) * 1000,
                }
                for place in range(seconds + 1)
            )
        )
    await served.publish({"name": "mode", "labels": {"job": "a"}, "kind": "state", "value": "busy"})
    return now


async def asked(served: Served, path: str, **parameters: Any) -> Any:
    answer = await served.http.get(f"/api/v1/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert list(body) == ["status", "data"]
    assert body["status"] == "success"
    return body["data"]


async def test_a_question_at_one_time() -> None:
    async with serving() as served:
        now = await counted(served)
        question = "sum by (job) (delta(requests_total[30s]) / 30)"
        found = await asked(served, "query", query=question, time=now)
        assert found["resultType"] == "vector"
        assert [one["metric"] for one in found["result"]] == [{"job": "a"}, {"job": "b"}]
        assert [one["value"][0] for one in found["result"]] == [now, now]
        rates = [float(one["value"][1]) for one in found["result"]]
        assert rates == pytest.approx([10, 1])
        form = {"query": question, "time": str(now), "limit": "1"}
        posted = (await served.http.post("/api/v1/query", data=form)).json()
        assert [one["metric"] for one in posted["data"]["result"]] == [{"job": "a"}]
        assert await asked(served, "query", query="1 / 0", time=now) == {
            "resultType": "scalar",
            "result": [now, "+Inf"],
        }
        text = await asked(served, "query", query='"x"', time="2026-01-02T03:04:05.5Z")
        assert text == {"resultType": "string", "result": [1767323045.5, "x"]}
        ranged = await asked(served, "query", query="requests_total{job='b'}[3s]", time=now)
        assert ranged["resultType"] == "matrix"
        assert ranged["result"][0]["values"] == [[now - 2, "58"], [now - 1, "59"], [now, "60"]]
        states = await asked(served, "query", query="mode")
        assert states["result"] == []  # a state is no number
        late = await asked(served, "query", query="requests_total", time=now + 301)
        assert late["result"] == []
        longer = {"query": "requests_total", "time": now + 301, "lookback_delta": "10m"}
        assert len((await asked(served, "query", **longer))["result"]) == 2


async def test_a_question_at_each_step() -> None:
    async with serving() as served:
        now = await counted(served)
        span = {"start": now - 10, "end": now, "step": "5"}
        assert await asked(served, "query_range", query="sum(requests_total)", **span) == {
            "resultType": "matrix",
            "result": [
                {
                    "metric": {},
                    "values": [[now - 10, "550"], [now - 5, "605"], [now, "660"]],
                }
            ],
        }
        hold = await asked(served, "query_range", query="requests_total > 560", **span)
        assert [one["metric"]["job"] for one in hold["result"]] == ["a"]
        assert hold["result"][0]["values"] == [[now, "600"]]
        number = await asked(served, "query_range", query="time()", **span)
        assert number["result"][0]["values"][0] == [now - 10, str(now - 10)]


async def test_what_may_be_wrong_with_a_question_is_annotated() -> None:
    async with serving() as served:
        now = await counted(served)
        for value in (1, 2):
            await served.publish({"name": "load", "value": value, "time": (now + value) * 1000})
        question: dict[str, Any] = {"query": "rate(load[1m]) or quantile(2, load)", "time": now + 2}
        body = (await served.http.get("/api/v1/query", params=question)).json()
        assert body["warnings"] == [
            "PromQL warning: quantile value should be between 0 and 1, got 2"
        ]
        assert body["infos"] == [
            "PromQL info: metric might not be a counter, name does not end in "
            '_total/_sum/_count/_bucket: "load"'
        ]
        span: dict[str, Any] = {"query": "rate(load[1m])", "start": now, "end": now + 2, "step": 1}
        body = (await served.http.get("/api/v1/query_range", params=span)).json()
        assert "warnings" not in body
        assert len(body["infos"]) == 1


async def test_an_ending_ends_a_series() -> None:
    async with serving() as served:
        now = await counted(served)
        ended = {"name": "requests_total", "labels": {"job": "a"}, "kind": "counter", "value": None}
        await served.publish({**ended, "time": now * 1000 + 500})
        found = await asked(served, "query", query="requests_total", time=now + 1)
        assert [one["metric"]["job"] for one in found["result"]] == ["b"]


@pytest.mark.parametrize(
    ("path", "parameters", "status", "kind", "said"),
    [
        ("query", {}, 400, "bad_data", "query is missing"),
        ("query", {"query": "sum("}, 400, "bad_data", "found the end at column 5"),
        ("query", {"query": "x", "time": "now"}, 400, "bad_data", "cannot parse"),
        ("query", {"query": "x", "lookback_delta": "0"}, 400, "bad_data", "zero or negative"),
        ("query", {"query": "info(requests_total)"}, 422, "execution", "info() isn't supported"),
        (
            "query",
            {"query": 'label_replace(requests_total, "job", "", "job", ".*")'},
            422,
            "execution",
            "same labelset",
        ),
        (
            "query",
            {"query": 'label_replace(requests_total, "x", "", "job", "(.{1000}){8}")'},
            422,
            "execution",
            "invalid regular expression in label_replace(): (.{1000}){8}",
        ),
        ("query", {"query": "x", "limit": "-1"}, 400, "bad_data", "limit must be"),
        ("query_range", {"query": "x[5m]"}, 400, "bad_data", "range vector"),
        ("query_range", {"query": "x", "start": 1, "end": 2}, 400, "bad_data", "step"),
        ("query_range", {"query": "x", "start": 2, "end": 1, "step": 1}, 400, "bad_data", "before"),
        (
            "query_range",
            {"query": "x", "start": 0, "end": 11_000, "step": 1},
            400,
            "bad_data",
            "11000 points",
        ),
        ("series", {}, 400, "bad_data", "no match[]"),
        ("series", {"match[]": "{"}, 400, "bad_data", "selector"),
        ("label/job/values", {"match[]": "{"}, 400, "bad_data", "selector"),
        ("format_query", {"query": "1 +"}, 400, "bad_data", ""),
    ],
)
async def test_what_is_wrong_is_said_in_its_words(
    path: str, parameters: dict[str, str], status: int, kind: str, said: str
) -> None:
    async with serving() as served:
        await counted(served, 1)
        answer = await served.http.get(f"/api/v1/{path}", params=parameters)
        assert answer.status_code == status, answer.text
        assert list(answer.json()) == ["status", "errorType", "error"]
        assert answer.json()["errorType"] == kind
        assert said in answer.json()["error"]


async def test_a_question_reads_no_more_than_it_may() -> None:
    limits = Limits(expression_series=2, expression_samples=150)
    async with serving(limits=limits) as served:
        now = await counted(served)
        for question, limit in (
            ('{job=~".+"} or {__name__=~".+"}', "expression_series"),
            ("sum(sum_over_time(requests_total[1m:1s]))", "expression_samples"),
            ("sum_over_time(vector(1)[365d:1ms])", "expression_samples"),
            ("sum_over_time(sum_over_time(requests_total[20s:1s])[20s:1s])", "expression_samples"),
        ):
            answer = await served.http.get("/api/v1/query", params={"query": question, "time": now})
            assert answer.status_code == 422, answer.text
            assert f"limits.{limit}" in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "question"),
    [
        ("query", "max_over_time(requests_total[100y:1ms])"),
        ("query", "1 + scalar(max_over_time(max_over_time(vector(1)[1y:1s])[1y:1s]))"),
        ("query_range", "max_over_time(requests_total[1y:1ms])"),
    ],
)
async def test_a_question_that_is_too_much_whatever_is_stored_takes_no_turn(
    path: str, question: str
) -> None:
    # So many samples take longer to count than this test may last.
    async with serving(limits=Limits(expression_samples=10**12)) as served:
        now = await counted(served, 1)
        answer = await served.http.get(
            f"/api/v1/{path}",
            params={"query": question, "time": now, "start": now - 100, "end": now, "step": 1},
        )
        assert answer.status_code == 422, answer.text
        assert "limits.expression_samples" in answer.json()["error"]


LONG = "max_over_time(up[{}s:1ms])"


@pytest.mark.parametrize(
    ("limits", "more"),
    [
        pytest.param(Limits(expression_seconds=0.01), {}, id="by the limit"),
        pytest.param(Limits(expression_seconds=0.01), {"timeout": "1h"}, id="not above the limit"),
        pytest.param(Limits(), {"timeout": "10ms"}, id="by its own wish"),
    ],
)
async def test_a_question_that_takes_too_long_is_given_up(
    limits: Limits, more: dict[str, str]
) -> None:
    async with serving(limits=limits) as served:
        asked = {"query": LONG.format(limits.expression_samples // 1000 - 1), **more}
        for _ in range(5):  # none of them keeps its turn
            answer = await served.http.get("/api/v1/query", params=asked)
            assert (answer.status_code, answer.json()["errorType"]) == (503, "timeout")
            assert "longer than 0.01 s" in answer.json()["error"]


async def test_a_timeout_that_is_none_is_refused() -> None:
    async with serving() as served:
        for text in ("soon", "-1s", "0"):
            answer = await served.http.get("/api/v1/query", params={"query": "1", "timeout": text})
            assert answer.status_code == 400, answer.text


async def test_a_tenant_asks_about_its_own_series(tmp_path: Path) -> None:
    auth = Auth(mode="jwt", public_keys_file=tokens.write_public_key(tmp_path))
    async with serving(auth=auth) as served:
        writer = bearer(token())
        samples = [
            {"name": "load", "labels": {"tenant": tenant}, "value": value}
            for tenant, value in (("a", 1), ("b", 2))
        ]
        published = await served.http.post("/v1/samples", json={"samples": samples}, headers=writer)
        assert published.status_code == 200, published.text
        reader = bearer(token(pushsvc={"read": ['{tenant="a"}']}))
        for question in ("sum(load)", 'sum(load{tenant=~"a|b"})', 'sum(load or {tenant="b"})'):
            answer = await served.http.get(
                "/api/v1/query", params={"query": question}, headers=reader
            )
            assert [one["value"][1] for one in answer.json()["data"]["result"]] == ["1"], question
        hidden = await served.http.get("/api/v1/label/tenant/values", headers=reader)
        assert hidden.json()["data"] == ["a"]
        nobody = await served.http.get("/api/v1/query", params={"query": "sum(load)"})
        assert nobody.status_code == 401
        assert nobody.json()["errorType"] == "unauthorized"


async def test_looking_around() -> None:
    async with serving() as served:
        await served.publish(
            {"name": "load", "labels": {"host": "a", "ünit": "x"}, "value": 1, "help": "How busy."},
            {"name": "up", "labels": {"host": "b"}, "value": 1},
        )
        assert await asked(served, "labels") == ["__name__", "host", "ünit"]
        assert await asked(served, "labels", **{"match[]": "up"}) == ["__name__", "host"]
        await served.publish({"name": "bare", "value": 1})
        assert await asked(served, "labels", **{"match[]": "bare"}) == ["__name__"]
        renamed = 'label_replace(up, "x", "${n}-$1-$$-$nothing", "host", "(?P<n>.)")'
        found = await asked(served, "query", query=renamed)
        assert found["result"][0]["metric"]["x"] == "b-b-$-"
        assert await asked(served, "label/host/values") == ["a", "b"]
        assert await asked(served, "label/host/values", limit=1) == ["a"]
        assert await asked(served, "label/U___fc_nit/values") == ["x"]
        assert await asked(served, "label/__name__/values") == ["bare", "load", "up"]
        found = await asked(served, "series", **{"match[]": ["load", "up"]})
        assert found == [
            {"__name__": "load", "host": "a", "ünit": "x"},
            {"__name__": "up", "host": "b"},
        ]
        described = await asked(served, "metadata", metric="load")
        assert described == {"load": [{"type": "gauge", "help": "How busy.", "unit": ""}]}
        assert (await asked(served, "metadata", metric="")).keys() == {"bare", "load", "up"}
        assert (await asked(served, "status/buildinfo"))["version"]
        assert await asked(served, "format_query", query="sum  by(a)(x)") == "sum by (a) (x)"


async def test_promtool_asks_as_it_asks_prometheus() -> None:
    promtool = debian.program("promtool", "prometheus")
    async with serving() as served:
        now = await counted(served)

        async def run(*arguments: str) -> str:
            done = await trio.run_process(
                [promtool, "query", *arguments],
                capture_stdout=True,
                stderr=subprocess.STDOUT,
                check=False,
            )
            return done.stdout.decode()

        assert "{} => 660 @" in await run("instant", served.url, "sum(requests_total)")
        ranged = await run(
            "range",
            f"--start={now - 2}",
            f"--end={now}",
            "--step=1s",
            "--format=json",
            served.url,
            "sum(requests_total)",
        )
        assert json.loads(ranged)[0]["values"] == [[now - 2, "638"], [now - 1, "649"], [now, "660"]]
        assert await run("labels", served.url, "job") == "a\nb\n"
        assert 'requests_total{job="a"}' in (
            await run("series", "--match=requests_total", served.url)
        ).replace('{__name__="requests_total", ', "requests_total{")
        assert "found the end at column 5" in await run("instant", served.url, "sum(")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_client_library_asks_as_it_asks_prometheus(method: str) -> None:
    async with serving() as served:
        now = await counted(served)
        named = {"name": "größe.total", "labels": {"für.wen": "x"}, "unit": "bytes", "help": "Big."}
        await served.publish({**named, "value": 7, "time": now * 1000})

        def ask(client: PrometheusConnect) -> None:
            assert client.check_prometheus_connection()
            at = {"time": now}
            [total] = client.custom_query("sum(requests_total)", params=at)
            assert total["value"] == [now, "660"]
            [one] = client.get_current_metric_value("requests_total", {"job": "b"}, params=at)
            assert one["value"] == [now, "60"]
            [one] = client.custom_query('{"größe.total", "für.wen"="x"}', params=at)
            assert one["metric"] == {"__name__": "größe.total", "für.wen": "x"}
            since, until = datetime.fromtimestamp(now - 10, UTC), datetime.fromtimestamp(now, UTC)
            found = client.custom_query_range("sum(requests_total)", since, until, "5")
            assert found[0]["values"] == [[now - 10, "550"], [now - 5, "605"], [now, "660"]]
            chunks = client.get_metric_range_data(
                "requests_total",
                {"job": "b"},
                start_time=since,
                end_time=until,
                chunk_size=timedelta(seconds=5),
            )
            values = [float(value) for chunk in chunks for _, value in chunk["values"]]
            assert values == list(range(51, 61))
            assert set(client.all_metrics()) == {"größe.total", "mode", "requests_total"}
            assert client.get_label_names() == ["__name__", "für.wen", "job"]
            assert client.get_label_names({"match[]": "mode"}) == ["__name__", "job"]
            assert client.get_label_values("job") == ["a", "b"]
            assert client.get_label_values("U__f_fc_r_2e_wen") == ["x"]
            series = client.get_series(since, until, {"match[]": ["mode", '{"für.wen"="x"}']})
            assert {one["__name__"] for one in series} == {"mode", "größe.total"}
            assert client.get_metric_metadata("größe.total", limit_per_metric=1) == [
                {"metric_name": "größe.total", "type": "gauge", "help": "Big.", "unit": "bytes"}
            ]
            for wrong, status, said in (
                ("sum(", 400, "bad_data"),
                ("info(requests_total)", 422, "execution"),
            ):
                with pytest.raises(PrometheusApiClientException, match=f"Code {status}.*{said}"):
                    client.custom_query(wrong)
            with pytest.raises(PrometheusApiClientException, match="404"):
                client.get_targets()  # nothing is scraped

        with PrometheusConnect(served.url, method=method) as client:
            await trio.to_thread.run_sync(ask, client)
