"""Grafana's data source for Prometheus: how it is set up (docs/promql.md), and what it asks.

Grafana itself can't be run here. Its provisioning files and its requests are described from its
source: `pkg/services/provisioning/datasources/types.go`, `pkg/promlib` and
`packages/grafana-prometheus`.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, Final, Literal

import httpx
import jsonschema
import pytest
import yaml

from pushsvc.config import Auth
from pushsvc.config.settings import Recording
from pushsvc.core.query.selector import EVERY_SERIES
from tests import tokens
from tests.serving import Served, serving
from tests.tokens import bearer, token

PAGE: Final = Path(__file__).parents[1] / "docs" / "promql.md"

TEXT: Final = {"type": "string"}
SWITCH: Final = {"type": "boolean"}
NUMBER: Final = {"type": "integer"}
INTERVAL: Final = {"type": "string", "pattern": "^[0-9]+(ms|[smhdwMy])$"}
DATA_SOURCE: Final = {
    **dict.fromkeys(("name", "type", "url", "user", "database", "basicAuthUser", "uid"), TEXT),
    "orgName": TEXT,
    "access": {"enum": ["proxy", "direct"]},
    **dict.fromkeys(("basicAuth", "withCredentials", "isDefault", "editable"), SWITCH),
    "orgId": NUMBER,
    "version": NUMBER,
    "correlations": {"type": "array", "items": {"type": "object"}},
    "jsonData": {
        "type": "object",
        "properties": {
            "httpMethod": {"enum": ["GET", "POST"]},
            "prometheusType": {"enum": ["Cortex", "Mimir", "Prometheus", "Thanos"]},
            "cacheLevel": {"enum": ["Low", "Medium", "High", "None"]},
            "defaultEditor": {"enum": ["builder", "code"]},
            **dict.fromkeys(("timeInterval", "queryTimeout"), INTERVAL),
            "incrementalQueryOverlapWindow": INTERVAL,
            **dict.fromkeys(("prometheusVersion", "customQueryParameters"), TEXT),
            **dict.fromkeys(("disableMetricsLookup", "incrementalQuerying"), SWITCH),
            **dict.fromkeys(("disableRecordingRules", "seriesEndpoint", "manageAlerts"), SWITCH),
            "codeModeMetricNamesSuggestionLimit": NUMBER,
        },
        "patternProperties": {"^httpHeaderName[1-9][0-9]*$": TEXT},
        "additionalProperties": False,
    },
    "secureJsonData": {
        "type": "object",
        "patternProperties": {"^(httpHeaderValue[1-9][0-9]*|basicAuthPassword)$": TEXT},
        "additionalProperties": False,
    },
}
PROVISIONED: Final = {
    "type": "object",
    "required": ["apiVersion", "datasources"],
    "properties": {
        "apiVersion": {"const": 1},
        "datasources": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "type", "access", "url"],
                "properties": DATA_SOURCE,
                "additionalProperties": False,
            },
        },
        "deleteDatasources": {"type": "array"},
        "prune": SWITCH,
    },
    "additionalProperties": False,
}
"""A file of data sources, version 1. Grafana passes over what it doesn't know; here that is a
mistake."""


def test_the_file_that_sets_it_up() -> None:
    [block] = re.findall(r"```yaml\n(apiVersion.*?)```", PAGE.read_text(), re.DOTALL)
    given = yaml.safe_load(block)
    jsonschema.Draft202012Validator(PROVISIONED).validate(given)
    [source] = given["datasources"]
    assert source["type"] == "prometheus"
    # A header's value is of the number that its name has.
    named = {name[-1] for name in source["jsonData"] if name.startswith("httpHeaderName")}
    assert named == {name[-1] for name in source["secureJsonData"]}


class DataSource:
    """Asks as Grafana's backend does: with a form, and again in the URL where that is refused."""

    ONLY_GET = ("api/v1/label/", "api/v1/metadata")

    def __init__(
        self, served: Served, method: Literal["GET", "POST"], headers: dict[str, str] | None = None
    ) -> None:
        self._http = served.http
        self._method = method
        self._headers = {
            "User-Agent": "Grafana/12.1.0",
            "Accept-Encoding": "gzip",
            "X-Grafana-Org-Id": "1",
            "X-Dashboard-Uid": "a",
            "X-Panel-Id": "1",
            **(headers or {}),
        }

    async def send(self, method: str, path: str, given: dict[str, Any]) -> httpx.Response:
        if method == "GET":
            return await self._http.get(f"/{path}", params=given, headers=self._headers)
        form = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"}
        body = str(httpx.QueryParams(given))
        return await self._http.post(f"/{path}", content=body, headers=form)

    async def resource(self, path: str, **given: Any) -> Any:
        """`QueryResource` of pkg/promlib/client."""
        method = "GET" if path.startswith(self.ONLY_GET) else self._method
        answer = await self.send(method, path, given)
        if answer.status_code in (400, 405):
            answer = await self.send("GET", path, given)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["status"] == "success"
        return body["data"]

    async def query(self, path: str, **given: Any) -> Any:
        answer = await self.send(self._method, f"api/v1/{path}", given)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


async def goes_on(source: DataSource, now: int) -> None:
    """What it asks when it is saved, opened, edited in and shown."""
    # Saved: the health check, and whose API it is.
    health = await source.query("query", query="1+1", time="4")
    assert health == {"resultType": "scalar", "result": [4.0, "2"]}
    build = await source.resource("api/v1/status/buildinfo")
    assert not build.get("features")  # else it would be Mimir
    assert tuple(map(int, build["version"].split("."))) >= (2, 24)
    # Opened: rules to be expanded, and whether there are exemplars, asked for in ms.
    [group] = (await source.resource("api/v1/rules"))["groups"]
    assert [(one["type"], one["name"], one["query"]) for one in group["rules"]] == [
        ("recording", "job:load:sum", "sum by (job) (load)")
    ]
    assert (await source.resource("api/v1/alerts")) == {"alerts": []}
    span = {"start": str(now - 1800), "end": str(now)}
    ms = {name: f"{value}000" for name, value in span.items()}
    assert await source.resource("api/v1/query_exemplars", query="test", **ms) == []
    # The editor: names, labels and values, of a metric and a label in UTF-8, too.
    most = {"limit": "40000", **span}
    names = await source.resource("api/v1/label/__name__/values", **most)
    assert {"load", "größe.total"} <= set(names)
    assert (await source.resource("api/v1/metadata", limit="40000"))["load"] == [
        {"type": "gauge", "help": "How busy.", "unit": ""}
    ]
    assert "job" in await source.resource("api/v1/labels", **most)
    utf8 = {"match[]": '{"größe.total"}', **most}
    assert await source.resource("api/v1/labels", **utf8) == ["__name__", "für.wen"]
    assert await source.resource("api/v1/label/U__f_fc_r_2e_wen/values", **utf8) == ["x"]
    series = await source.resource("api/v1/series", **{**most, "match[]": '{__name__=~"load"}'})
    assert series == [{"__name__": "load", "job": "a"}]
    # A panel: steps that the range is aligned to, in seconds; then a stat, at a broken second.
    shown = await source.query(
        "query_range", query="sum(load)", start=str(now - 10), end=str(now), step="5", timeout="60s"
    )
    assert shown["resultType"] == "matrix"
    assert shown["result"][0]["values"][-1] == [now, "1"]
    stat = await source.query("query", query='{"größe.total"}', time=f"{now}.25")
    assert stat["result"] == [
        {"metric": {"__name__": "größe.total", "für.wen": "x"}, "value": [now + 0.25, "2"]}
    ]


async def filled(served: Served, headers: dict[str, str] | None = None) -> int:
    now = int(time.time())
    samples = [
        {
            "name": "load",
            "labels": {"job": "a"},
            "value": 1,
            "help": "How busy.",
            "time": (now - 20) * 1000,
        },
        {"name": "größe.total", "labels": {"für.wen": "x"}, "value": 2, "time": (now - 20) * 1000},
    ]
    answer = await served.http.post("/v1/samples", json={"samples": samples}, headers=headers)
    assert answer.status_code == 200, answer.text
    return now


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "expressions.toml"
    file.write_text(
        "[[record]]\nname = 'job:load:sum'\nexpression = 'sum by (job) (load)'\ninterval = '1h'\n"
    )
    return file


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_it_asks_is_answered(rules: Path, method: Literal["GET", "POST"]) -> None:
    async with serving(recording=Recording(file=str(rules))) as served:
        await goes_on(DataSource(served, method), await filled(served))


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_token_that_may_read_is_enough(
    rules: Path, tmp_path: Path, method: Literal["GET", "POST"]
) -> None:
    auth = Auth(mode="jwt", public_keys_file=tokens.write_public_key(tmp_path))
    async with serving(auth=auth, recording=Recording(file=str(rules))) as served:
        now = await filled(served, bearer(token()))
        reader = bearer(token(pushsvc={"read": [EVERY_SERIES]}))
        await goes_on(DataSource(served, method, reader), now)
        # A tenant isn't told what is recorded of others' series.
        tenant = DataSource(served, method, bearer(token(pushsvc={"read": ['{job="b"}']})))
        assert (await tenant.resource("api/v1/rules"))["groups"] == []
