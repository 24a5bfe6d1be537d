"""The description of the API and the API, held together."""

from __future__ import annotations

import re

import jsonschema
import openapi_spec_validator
import pytest

from pushsvc.app import create_app
from pushsvc.app.http.described import description_of
from pushsvc.core.resources.limits import Pacing
from tests.described import DOCUMENT, SPEC, check, validator
from tests.serving import next_of, serving
from tests.test_hazards import context


async def test_every_route_is_described_and_nothing_else() -> None:
    async with context(Pacing()) as parts:
        app = create_app(parts)
    routes = set()
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            routes.add((path, method.lower()))
    page = {(path, "get") for path in ("/", "/d/{name}", "/doctor", "/clients", "/docs", "/{name}")}
    described = {(path, method) for path, item in SPEC["paths"].items() for method in item}
    assert routes - page == described


def test_a_route_that_is_not_described_says_what_to_do() -> None:
    async def things() -> None: ...

    with pytest.raises(LookupError, match=r"things isn't described: put @described"):
        description_of(things)


def test_structures_have_one_name_each() -> None:
    """Of two with the same name both would be called by their modules' as well."""
    assert [name for name in SPEC["components"]["schemas"] if "." in name] == []


def test_it_is_a_valid_description() -> None:
    openapi_spec_validator.validate(SPEC)
    for path, item in SPEC["paths"].items():
        for method, operation in item.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            names = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert names == set(re.findall(r"{(\w+)}", path)), where
    for schema in SPEC["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for reference in re.findall(r'"#/components/schemas/([^"]+)"', DOCUMENT.decode()):
        assert reference in SPEC["components"]["schemas"]


async def test_what_is_answered_is_what_is_described() -> None:
    async with serving() as served:
        http = served.http
        sample = {"name": "a", "labels": {"b": "c"}, "value": 1, "unit": "bytes", "help": "A."}
        validator({"$ref": "#/components/schemas/Samples"}).validate({"samples": [sample]})
        applied = await http.post("/v1/samples", json={"samples": [sample]})
        check("/v1/samples", "post", 200, "application/json", applied.json())
        lines = {"Content-Type": "application/x-ndjson"}
        report = await http.post("/v1/samples", content=b'{"name":"a","value":2}\n', headers=lines)
        check("/v1/samples", "post", 200, "application/json", report.json())
        for content, headers, status in (
            (b"{", {}, 400),
            (b'{"name":"","value":1}', {}, 422),
            (b"x\n", lines, 422),
            (b"", {"Content-Type": "text/csv"}, 415),
            (b"{}", {"Content-Encoding": "br"}, 415),
            (b'{"name":"a","value":1}', {"Idempotency-Key": '""'}, 400),
        ):
            refused = await http.post("/v1/samples", content=content, headers=headers)
            assert refused.status_code == status
            check("/v1/samples", "post", status, "application/problem+json", refused.json())
        otlp = {"Content-Type": "application/json"}
        exported = await http.post("/v1/metrics", content=b"{}", headers=otlp)
        check("/v1/metrics", "post", 200, "application/json", exported.json())
        unread = await http.post("/v1/metrics", content=b"{", headers=otlp)
        check("/v1/metrics", "post", 400, "application/json", unread.json())
        plain = await http.get("/v1/publish")
        assert plain.headers["upgrade"] == "websocket"
        check("/v1/publish", "get", 426, "application/problem+json", plain.json())
        for path in ("/v1/series", "/v1/history"):
            answer = await http.get(path)
            check(path, "get", 200, "application/json", answer.json())
            bad = await http.get(f"{path}?select=%7B")
            check(path, "get", 400, "application/problem+json", bad.json())
        listed = await http.get("/v1/subscribers?limit=5")
        check("/v1/subscribers", "get", 200, "application/json", listed.json())
        senders = await http.get("/v1/producers?limit=5")
        check("/v1/producers", "get", 200, "application/json", senders.json())
        poll = await http.get("/v1/stream", headers={"Accept": "application/json"})
        check("/v1/stream", "get", 200, "application/json", poll.json())
        nothing = await http.get("/v1/stream", headers={"Accept": "image/png"})
        check("/v1/stream", "get", 406, "application/problem+json", nothing.json())
        document = validator({"$ref": "#/components/schemas/Document"})
        async with served.documents("text/event-stream") as documents:
            hello = await next_of(documents, "hello")
            document.validate(hello)
            document.validate(await next_of(documents, "points"))
            path = f"/v1/stream/{hello['session']}"
            watch = {"type": "watch", "select": ["a"], "max_hz": 2}
            validator({"$ref": "#/components/schemas/Watch"}).validate(watch)
            granted = await http.post(path, json=watch)
            check("/v1/stream/{session}", "post", 200, "application/json", granted.json())
        assert (await http.get("/openapi.json")).json() == SPEC
        assert (await http.get("/livez")).text == "ok\n"
        assert (await http.get("/readyz")).text == "ok\n"


async def test_other_methods_and_paths_are_problems_too() -> None:
    async with serving() as served:
        answer = await served.http.delete("/v1/samples")
        assert answer.status_code == 405
        assert "POST" in answer.headers["allow"]
        assert answer.json()["code"] == "method_not_allowed"
        missing = await served.http.get("/v2/nothing")
        assert (missing.status_code, missing.json()["code"]) == (404, "path")


async def test_draining_shows_in_readiness() -> None:
    async with context(Pacing()) as parts:
        app = create_app(parts)
        await app.startup()
        client = app.test_client()
        assert (await client.get("/readyz")).status_code == 200
        parts.draining.set()
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/livez")).status_code == 200
        refused = await client.get("/v1/stream", headers={"Accept": "application/x-ndjson"})
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] in ("1", "2")
