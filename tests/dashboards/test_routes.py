"""Dashboards over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pushsvc.config import ConfigError, Dashboards, Settings
from pushsvc.service import open_library
from tests.dashboards.grafana_files import HOSTS
from tests.described import check
from tests.serving import serving

DASHBOARD: dict[str, Any] = {
    "title": "Hosts",
    "panels": [{"id": "a", "kind": "line", "select": "up"}],
}
ONE = "/v1/dashboards/{name}"


async def test_save_read_replace_delete(tmp_path: Path) -> None:
    async with serving(dashboards=Dashboards(directory=str(tmp_path))) as served:
        http, url = served.http, "/v1/dashboards/hosts"
        made = await http.put(url, json=DASHBOARD, headers={"If-None-Match": "*"})
        assert made.status_code == 201
        check(ONE, "put", 201, "application/json", made.json())
        got = await http.get(url)
        assert got.json() == DASHBOARD
        etag = got.headers["etag"]
        assert etag == made.headers["etag"] == made.json()["etag"]
        assert (await http.get(url, headers={"If-None-Match": etag})).status_code == 304
        changed = {**DASHBOARD, "title": "All hosts"}
        put = await http.put(url, json=changed, headers={"If-Match": etag})
        assert put.status_code == 200
        late = await http.put(url, json=DASHBOARD, headers={"If-Match": etag})
        assert (late.status_code, late.json()["etag"]) == (412, put.headers["etag"])
        check(ONE, "put", 412, "application/problem+json", late.json())
        listed = (await http.get("/v1/dashboards")).json()
        check("/v1/dashboards", "get", 200, "application/json", listed)
        assert listed["writable"] is True
        assert [one["title"] for one in listed["dashboards"] if one["source"] == "saved"] == [
            "All hosts"
        ]
        assert (await http.delete(url)).status_code == 428
        gone = await http.delete(url, headers={"If-Match": put.headers["etag"]})
        assert gone.status_code == 204
        assert (await http.get(url)).status_code == 404


async def test_what_cannot_be_saved_is_told(tmp_path: Path) -> None:
    new = {"If-None-Match": "*"}
    async with serving(dashboards=Dashboards(directory=str(tmp_path))) as served:
        for name, body, headers, status in (
            ("a", b"{}", {"Content-Type": "image/png"}, 415),
            ("a", b"{}", {"Content-Type": "text/plain"}, 422),
            ("a", b"{", {"Content-Type": "application/json"}, 400),
            ("a", b"{}", {"Content-Type": "application/json"}, 422),
            ("A", b"{}", {"Content-Type": "application/json"}, 400),
            ("a", b" " * 300_000, {"Content-Type": "application/json"}, 413),
        ):
            url = f"/v1/dashboards/{name}"
            refused = await served.http.put(url, content=body, headers={**new, **headers})
            assert refused.status_code == status
            check(ONE, "put", status, "application/problem+json", refused.json())
        listed = (await served.http.get("/v1/dashboards")).json()["dashboards"]
        assert {one["source"] for one in listed} == {"shipped"}
    async with serving() as served:
        off = await served.http.put("/v1/dashboards/a", json=DASHBOARD, headers=new)
        assert (off.status_code, off.json()["code"]) == (403, "saving_off")
        assert (await served.http.get("/v1/dashboards")).json()["writable"] is False
        described = await served.http.get("/v1/dashboards/schema.json")
        assert described.json()["title"] == "A dashboard of pushsvc"


def test_a_directory_that_cannot_be_is_told_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match=r"dashboards\.directory"):
        open_library(Settings(dashboards=Dashboards(directory=str(file / "x"))).dashboards)


async def test_a_file_of_grafana_s_is_read_and_not_saved(tmp_path: Path) -> None:
    url = "/v1/dashboards/import"
    async with serving(dashboards=Dashboards(directory=str(tmp_path))) as served:
        http = served.http
        found = await http.post(url, json=HOSTS)
        assert found.status_code == 200
        check(url, "post", 200, "application/json", found.json())
        told = found.json()
        assert (told["source"], told["panels"], told["taken"]) == ("grafana", 5, 4)
        put = await http.put(
            "/v1/dashboards/hosts", json=told["dashboard"], headers={"If-None-Match": "*"}
        )
        assert put.status_code == 201
        for body, kind, status in (
            (b"{", "application/json", 400),
            (b"{}", "text/plain", 422),
            (b"{}", "image/png", 415),
            (b'{"elements":{}}', "application/json", 422),
            (b" " * 3_000_000, "application/json", 413),
        ):
            refused = await http.post(url, content=body, headers={"Content-Type": kind})
            assert refused.status_code == status
            check(url, "post", status, "application/problem+json", refused.json())
        names = {one["name"] for one in (await http.get("/v1/dashboards")).json()["dashboards"]}
        assert "import" not in names
