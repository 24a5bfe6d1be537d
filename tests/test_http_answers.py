"""What RFC 9110 asks of answers, over all routes: lengths, statuses, what they vary by."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pushsvc.config import Auth, Dashboards
from pushsvc.core.resources.limits import Limits
from tests.described import SPEC
from tests.serving import detach, next_of, serving
from tests.tokens import SECRET, token

_BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
DASHBOARD = {"title": "One", "panels": []}
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def _paths() -> dict[str, set[str]]:
    """Each path of the API with an example in place of its parameters, and its methods."""
    described = {
        path: {name.upper() for name in entry} & set(_METHODS)
        for path, entry in SPEC["paths"].items()
    }
    return {
        re.sub(r"\{[^}]*\}", "none", path): set().union(
            has,
            *(
                other
                for pattern, other in described.items()
                if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", pattern), path)
            ),
        )
        for path, has in described.items()
    }


async def test_every_path_refuses_other_methods_and_says_which_it_has() -> None:
    paths = _paths()
    assert len(paths) > 10
    async with serving() as served:
        for path, has in paths.items():
            for method in _METHODS:
                if method in has:
                    continue
                answer = await served.http.request(method, path)
                assert answer.status_code == 405, (method, path)
                assert has <= set(answer.headers["Allow"].replace(" ", "").split(",")), path


async def test_a_path_that_is_not_there_is_not_found_by_any_method() -> None:
    async with serving() as served:
        for path in ("/v1/none", "/none", "/assets/none.js", "/v1/stream/a/b"):
            for method in _METHODS:
                answer = await served.http.request(method, path)
                assert (answer.status_code, answer.json()["code"]) == (404, "path"), (method, path)


async def test_an_answer_without_content_has_neither_length_nor_type(tmp_path: Path) -> None:
    lines = {"content": b"cpu,host=a load=1"}
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("OPTIONS", "/v1/samples", {"headers": {"Access-Control-Request-Method": "POST"}}),
        ("POST", "/api/v2/write", lines),
        ("POST", "/write", lines),
        ("POST", "/api/v1/import/prometheus", {"content": b"load 1"}),
        ("GET", "/ping", {}),
        ("HEAD", "/ping", {}),
        ("POST", "/v1/logout", {}),
        (
            "POST",
            "/api/v1/write",
            {
                "content": b"\0",
                "headers": {
                    "Content-Type": "application/x-protobuf",
                    "Content-Encoding": "snappy",
                },
            },
        ),
        ("DELETE", "/v1/dashboards/a", {"headers": {"If-Match": "*"}}),
    ]
    async with serving(dashboards=Dashboards(directory=str(tmp_path))) as served:
        await served.http.put("/v1/dashboards/a", json=DASHBOARD, headers={"If-None-Match": "*"})
        for method, path, options in asked:
            answer = await served.http.request(method, path, **options)
            assert answer.status_code == 204, (method, path, answer.text)
            for name in ("Content-Length", "Content-Type", "Transfer-Encoding"):
                assert name not in answer.headers, (method, path)


async def test_what_depends_on_accept_says_so_when_it_is_refused() -> None:
    async with serving() as served:
        answer = await served.http.get("/v1/stream", headers={"Accept": "image/png"})
        assert answer.status_code == 406
        assert "Accept" in answer.headers["Vary"]


@pytest.mark.parametrize("path", ["/none<b>", "/v1/history?select=%7B%3Cb%3E", "/v1/dashboards/no"])
async def test_a_person_is_told_in_html_and_a_program_in_json(path: str) -> None:
    async with serving() as served:
        page = await served.http.get(path, headers={"Accept": _BROWSER})
        plain = await served.http.get(path)
        assert page.status_code == plain.status_code >= 400
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert int(page.headers["Content-Length"]) == len(page.content)
        assert "<b>" not in page.text
        assert plain.headers["Content-Type"] == "application/problem+json"
        for answer in (page, plain):
            assert "Accept" in answer.headers["Vary"]


@pytest.mark.parametrize("detached", [True, False])
async def test_a_full_house_is_told_in_html_to_a_person_and_in_json_to_a_program(
    detached: bool,
) -> None:
    detach.set(detached)
    async with serving(limits=Limits(subscribers=1)) as served:
        async with served.documents("application/x-ndjson") as documents:
            await next_of(documents, "hello")
            for accept, media_type in (
                (_BROWSER, "text/html; charset=utf-8"),
                ("application/x-ndjson", "application/problem+json"),
            ):
                answer = await served.http.get("/v1/stream", headers={"Accept": accept})
                assert answer.status_code == 503
                assert answer.headers["Content-Type"] == media_type
                assert "limits.subscribers" in answer.text
                assert "Accept" in answer.headers["Vary"]
                assert int(answer.headers["Retry-After"]) > 0
                assert answer.headers["X-Content-Type-Options"] == "nosniff"


TEXT = {"Content-Type": "text/plain;charset=UTF-8"}
"""What a browser's `fetch` says of a string."""


async def test_json_that_a_browser_calls_text_is_json(tmp_path: Path) -> None:
    jwt = Auth(mode="jwt", secret=SECRET)
    dashboards = Dashboards(directory=str(tmp_path))
    async with serving(auth=jwt, dashboards=dashboards) as served:
        mine = {**TEXT, "Authorization": f"Bearer {token('HS256')}", "Origin": served.url}
        asked: list[tuple[str, str, Any, dict[str, str], int]] = [
            ("POST", "/v1/samples", {"name": "up", "value": 1}, {}, 200),
            ("PUT", "/v1/dashboards/a", DASHBOARD, {"If-None-Match": "*"}, 201),
        ]
        for method, path, body, headers, status in asked:
            content = json.dumps(body)
            answer = await served.http.request(
                method, path, content=content, headers={**mine, **headers}
            )
            assert answer.status_code == status, answer.text
        login = json.dumps({"token": token("HS256")})
        own = {**TEXT, "Origin": served.url}
        answer = await served.http.post("/v1/login", content=login, headers=own)
        assert answer.status_code == 204
        # A page of another site may send text without asking first, and gets nowhere with it.
        for strange in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = await served.http.post("/v1/login", content=login, headers={**TEXT, **strange})
            assert (answer.status_code, answer.json()["code"]) == (403, "origin")
            assert "Set-Cookie" not in answer.headers
