"""The service within servers of others: beside the routes of a Quart-Trio app, and by itself."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urljoin

import anycorn
import httpx
import hypercorn
import hypercorn.trio
import pytest
import trio
from hypercorn.middleware.dispatcher import TrioDispatcherMiddleware
from quart_trio import QuartTrio

from pushsvc import AsgiApp, Points, Service, create_app, mount, open_service
from pushsvc.client import connect, open_publisher
from tests.serving import TRUST, Served, next_of


@asynccontextmanager
async def served(app: AsgiApp, by: Any = hypercorn) -> AsyncGenerator[str]:
    """An app on the own server of Hypercorn or Anycorn, as a stranger runs it; gives its URL."""
    config = by.Config()
    serve = hypercorn.trio.serve if by is hypercorn else by.serve
    config.bind = ["127.0.0.1:0"]
    config.graceful_timeout = 1
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        [url] = await nursery.start(partial(serve, app, config, shutdown_trigger=stop.wait))
        yield url
        stop.set()


def app_of_a_stranger() -> QuartTrio:
    app = QuartTrio("stranger")

    @app.get("/")
    async def index() -> str:
        return "a page of its own"

    @app.get("/pushed")
    async def pushed() -> str:
        return "not below the prefix"

    return app


def beside(service: Service) -> AsgiApp:
    app = app_of_a_stranger()
    mount(app, "/push", service)
    return app


def dispatched(service: Service) -> AsgiApp:
    """As Hypercorn itself mounts apps: by `root_path`, with the path as it was."""
    mounts = {"/push": create_app(service), "/": app_of_a_stranger()}
    return TrioDispatcherMiddleware(mounts)  # type: ignore[arg-type]


def stripped(service: Service) -> AsgiApp:
    """As servers do that take the path off and say so."""
    below, others = create_app(service), app_of_a_stranger()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if path.startswith("/push/"):
            scope = {**scope, "path": path.removeprefix("/push"), "root_path": "/push"}
            await below(scope, receive, send)
        else:
            await others(scope, receive, send)

    return app


def alone(service: Service) -> AsgiApp:
    return create_app(service)


WAYS = [
    *((way, "/push", hypercorn) for way in (beside, dispatched, stripped)),
    (alone, "", hypercorn),
    (beside, "/push", anycorn),
]


@pytest.mark.parametrize(
    ("way", "prefix", "by"), WAYS, ids=lambda value: getattr(value, "__name__", "")
)
async def test_all_of_it_works_below_a_prefix(
    way: Callable[[Service], AsgiApp], prefix: str, by: Any
) -> None:
    async with (
        open_service() as service,
        served(way(service), by) as root,
        httpx.AsyncClient(verify=TRUST) as http,
    ):
        url = root + prefix
        for path in ("/", "/d/host", "/doctor", "/docs"):
            page = await http.get(url + path)
            assert page.status_code == 200
            assert "connect-src 'self'" in page.headers["content-security-policy"]
            [base] = re.findall(r'<base href="([^"]+)"', page.text)
            assert urljoin(url + path, base) == f"{url}/"
            below = page.text.partition("<base ")[2].partition(">")[2]
            for each in re.findall(r'(?:href|src)="([^"]*)"', below):
                found = urljoin(urljoin(url + path, base), each)
                if "/v1/stream" not in found:
                    assert (await http.get(found)).status_code == 200, found
        for path in ("/livez", "/v1/series", "/openapi.json", "/asyncapi.json", "/metrics"):
            assert (await http.get(url + path)).status_code == 200, path
        async with open_publisher(url) as publisher:
            assert (await publisher.publish([{"name": "n", "value": 1}]))["applied"] == 1
        async with connect(url, ["n"]) as stream:
            async for event in stream:
                assert isinstance(event, Points)
                assert [sample.value for sample in event.samples] == [1.0]
                break
        host = Served(url, http, trio.Event())
        for accept in ("text/event-stream", "application/x-ndjson"):
            request = f"GET {prefix}/v1/stream HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n"
            async with await host.raw(request.encode()) as raw:
                text = b""
                while b'"points"' not in text:
                    part = await raw.receive_some()
                    assert part, text
                    text += part
        poll = await http.get(f"{url}/v1/stream", headers={"Accept": "application/json"})
        assert poll.json()["documents"][0]["points"][0][2] == 1.0


async def test_it_listens_where_that_is_asked_for() -> None:
    config = {"server": {"port": 0, "base_path": "/push"}}
    async with (
        open_service(config, listen=True) as service,
        httpx.AsyncClient(verify=TRUST) as http,
    ):
        [url] = service.urls
        assert url.endswith("/push")
        async with connect(url, "n") as stream, service.open_producer() as batches:
            await batches.send([{"name": "n", "value": 1}])
            with trio.fail_after(30):
                assert isinstance(await anext(stream), Points)
        # It may be mounted elsewhere as well.
        async with served(beside(service)) as other:
            for place in (url, f"{other}/push"):
                assert (await http.get(f"{place}/v1/series?select=n")).json()["series"]
        port = int(url.split("/")[2].rpartition(":")[2])
    with pytest.raises(OSError, match="connect"):
        await trio.open_tcp_stream("127.0.0.1", port)


async def test_routes_of_the_app_stay_its_own() -> None:
    async with (
        open_service() as service,
        served(beside(service)) as url,
        httpx.AsyncClient(verify=TRUST) as http,
    ):
        assert (await http.get(url)).text == "a page of its own"
        assert (await http.get(f"{url}/pushed")).text == "not below the prefix"
        assert (await http.get(f"{url}/v1/series")).status_code == 404
        answer = await http.get(f"{url}/push?window=5m")
        assert (answer.status_code, answer.headers["location"]) == (308, "push/?window=5m")


@pytest.mark.parametrize("prefix", ["", "/", "push", "/push/"])
async def test_a_prefix_is_a_path(prefix: str) -> None:
    async with open_service() as service:
        with pytest.raises(ValueError, match="a prefix is a path such as /push"):
            mount(app_of_a_stranger(), prefix, service)


async def test_streams_are_told_when_the_service_is_closed() -> None:
    app: list[AsgiApp] = []
    told: list[str] = []
    body = {"name": "n", "value": 2}

    async def whichever(scope: Any, receive: Any, send: Any) -> None:
        await app[0](scope, receive, send)

    async def watch(served: Served, task_status: trio.TaskStatus[None]) -> None:
        async with served.documents("application/x-ndjson") as documents:
            await next_of(documents, "points")
            task_status.started()
            told.extend([document["type"] async for document in documents])

    async with served(whichever) as url, httpx.AsyncClient(verify=TRUST, base_url=url) as http:
        async with open_service() as service:
            app.append(create_app(service))
            await service.publish([{"name": "n", "value": 1}])
            with trio.fail_after(30):
                async with trio.open_nursery() as nursery:
                    await nursery.start(watch, Served(url, http, trio.Event()))
                    await service.drain()
            assert told[-1] == "goaway"
            # What is asked from then on is answered, and samples are taken.
            assert (await http.get("/readyz")).status_code == 503
            assert (await http.get("/v1/stream")).status_code == 503
            assert (await http.post("/v1/samples", json=body)).status_code == 200
        assert (await http.post("/v1/samples", json=body)).status_code == 503
        assert (await http.get("/v1/stream")).status_code == 503
        assert (await http.get("/livez")).status_code == 200


async def test_without_a_lock_only_this_machine_is_let_in() -> None:
    async def ask(service: Service, peer: str) -> int:
        """Ask as a server does that listens on all addresses."""
        status: list[int] = []
        asked, answered = False, trio.Event()

        async def receive() -> Any:
            nonlocal asked
            if asked:
                await trio.sleep_forever()
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                status.append(message["status"])
                answered.set()

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/v1/series",
            "raw_path": b"/v1/series",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"10.0.0.1")],
            "client": (peer, 4000),
            "server": ("10.0.0.1", 80),
        }
        with trio.fail_after(30):
            await create_app(service)(scope, receive, send)
        return status[0]

    async with open_service() as service:
        assert await ask(service, "127.0.0.1") == 200
        assert await ask(service, "10.0.0.2") == 403
    async with open_service({"auth": {"insecure_no_auth": True}}) as service:
        assert await ask(service, "10.0.0.2") == 200
