"""What RFC 9110 asks of answers, over all routes: lengths, statuses, what they vary by."""

from __future__ import annotations

import json
import re

import pytest

from pushsvc.app.openapi import DOCUMENT
from tests.serving import serving

_BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def _paths() -> dict[str, set[str]]:
    """Each path of the API with an example in place of its parameters, and its methods."""
    described = {
        path: {name.upper() for name in entry} & set(_METHODS)
        for path, entry in json.loads(DOCUMENT)["paths"].items()
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


async def test_an_answer_without_content_has_no_length() -> None:
    async with serving() as served:
        preflight = await served.http.options(
            "/v1/samples", headers={"Access-Control-Request-Method": "POST"}
        )
        lines = await served.http.post("/api/v2/write", content=b"cpu,host=a load=1")
        for answer in (preflight, lines):
            assert answer.status_code == 204
            assert "Content-Length" not in answer.headers


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


async def test_json_from_a_browser_that_calls_it_text_is_json() -> None:
    async with serving() as served:
        answer = await served.http.post(
            "/v1/samples",
            content=b'{"name":"up","value":1}',
            headers={"Content-Type": "text/plain;charset=UTF-8"},
        )
        assert answer.status_code == 200
