"""Prometheus' text format and OpenMetrics, pushed as the official client and curl would."""

from __future__ import annotations

import gzip

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from pushsvc.core.resources.limits import Limits
from tests.serving import serving

PATH = "/api/v1/import/prometheus"


@pytest.mark.parametrize("form", ["text", "openmetrics"])
async def test_what_the_official_client_shows(form: str) -> None:
    registry = CollectorRegistry()
    Counter("jobs", "Jobs done.", ["queue"], registry=registry).labels("mail").inc(17)
    if form == "text":
        body, type_ = generate_latest(registry), CONTENT_TYPE_LATEST
    else:
        body, type_ = generate_openmetrics(registry), OPENMETRICS  # type: ignore[no-untyped-call]
    headers = {"Content-Type": type_, "Content-Encoding": "gzip"}
    async with serving() as served:
        answer = await served.http.post(
            f"{PATH}?extra_label=job=batch", content=gzip.compress(body), headers=headers
        )
        assert (answer.status_code, answer.content) == (204, b"")
        listed = (await served.http.get("/v1/series", params={"select": "jobs_total"})).json()
        (series,) = listed["series"]
        assert series["labels"] == {"job": "batch", "queue": "mail"}
        assert (series["kind"], series["value"], series["help"]) == ("counter", 17, "Jobs done.")


async def test_a_bad_line_is_told_and_the_others_are_applied() -> None:
    async with serving() as served:
        answer = await served.http.post(PATH, content="good 1\nbad\n")
        assert answer.status_code == 400
        told = answer.json()
        assert (told["code"], told["applied"], told["refused"]) == ("partial", 1, 1)
        assert "line 2: " in told["detail"]
        assert await served.metric("pushsvc_text_lines_refused_total") == 1
        assert (await served.http.post(PATH, content="n NaN\n")).status_code == 204
        assert await served.metric("pushsvc_text_passed_over_total") == 1


@pytest.mark.parametrize(
    ("query", "type_", "status", "code"),
    [
        ("", "application/json", 415, "media_type"),
        ("", "application/vnd.google.protobuf", 415, "media_type"),
        ("", "application/openmetrics-text", 400, "eof"),
        ("?timestamp=soon", "text/plain", 400, "timestamp"),
        ("?timestamp=-1", "text/plain", 400, "timestamp"),
        ("?extra_label=x", "text/plain", 400, "extra_label"),
        ("?extra_label=__x=y", "text/plain", 400, "partial"),
    ],
)
async def test_what_cannot_be_read(query: str, type_: str, status: int, code: str) -> None:
    async with serving() as served:
        answer = await served.http.post(
            PATH + query, content="a 1\n", headers={"Content-Type": type_}
        )
        assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_beyond_the_limit_of_series_known_ones_flow() -> None:
    async with serving(limits=Limits(series=1)) as served:
        assert (await served.http.post(PATH, content="a 1\n")).status_code == 204
        answer = await served.http.post(PATH, content="a 2\nb 1\n")
        assert answer.status_code == 400
        assert "b would be a new series" in answer.json()["detail"]
        assert answer.json()["applied"] == 1
