"""Every door of the service, with a request for each that only who may not do it is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from trio_websocket import ConnectionClosed

from pushsvc.pipeline import now_ms
from tests.auth.presenting import Carried
from tests.ingest.samples import remote_write_1, snappy
from tests.serving import Served

Knock = Callable[[Served, Carried], Awaitable[int]]
"""Sends the request; tells 200, 401 or 403."""


class Door(msgspec.Struct, frozen=True):
    """`endpoint` is the route's name, `need` what the request needs."""

    name: str
    endpoint: str
    need: str
    knock: Knock


def _http(
    method: str,
    path: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    good: int = 200,
) -> Knock:
    async def knock(served: Served, carried: Carried) -> int:
        # A connection each, so that each may be taken by the short ways in.
        fields = {"Connection": "close", **(headers or {}), **carried.headers}
        url = f"{path}{'&' if '?' in path else '?'}{carried.query}" if carried.query else path
        request = served.http.build_request(method, url, content=body, headers=fields)
        answer = await served.http.send(request, stream=True)
        await answer.aclose()
        return 200 if answer.status_code == good else answer.status_code

    return knock


def _websocket(path: str, say: str) -> Knock:
    """A WebSocket whose first message says whether one was let in; `say` is said first."""

    async def knock(served: Served, carried: Carried) -> int:
        headers = dict(carried.headers)
        offered = headers.pop("Sec-WebSocket-Protocol", "")
        names = [name.strip() for name in offered.split(",") if name]
        async with served.websocket(carried.query, names, headers, path) as socket:
            try:
                if say:
                    await socket.send_message(say)
                first: dict[str, Any] = msgspec.json.decode(await socket.get_message())
                if first["type"] in ("hello", "applied"):
                    return 200
                await socket.get_message()
            except ConnectionClosed:
                assert socket.closed is not None
                return {4001: 401, 4003: 403}.get(socket.closed.code, socket.closed.code)
        raise AssertionError("it was refused, and not closed")

    return knock


_JSON = {"Content-Type": "application/json"}
_SAMPLE = b'{"name":"a","value":1}'
_HELLO = '{"type":"hello"}'
_STREAM = "/v1/stream"
_OTLP = "/v1/metrics"
_INFLUX = "/api/v2/write"
_LINES = {"Content-Type": "application/x-ndjson"}
_WRITE = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}


def doors() -> list[Door]:
    """All of them."""
    remote = snappy(remote_write_1({"a": [(1.0, now_ms())]}))
    get, post = "GET", "POST"
    sse = {"Accept": "text/event-stream"}
    return [
        Door("SSE", "stream", "read", _http(get, _STREAM, headers=sse)),
        Door(
            "NDJSON",
            "stream",
            "read",
            _http(get, _STREAM, headers={"Accept": "application/x-ndjson"}),
        ),
        Door(
            "long poll",
            "stream",
            "read",
            _http(get, f"{_STREAM}?wait=0", headers={"Accept": "application/json"}),
        ),
        Door("HEAD", "stream", "read", _http("HEAD", _STREAM, headers={"Accept": "*/*"})),
        Door("WebSocket", "stream_websocket", "read", _websocket(_STREAM, "")),
        Door(
            "companion",
            "companion",
            "read",
            _http(post, f"{_STREAM}/none", body=b"{}", headers=_JSON, good=404),
        ),
        Door("series", "series", "read", _http(get, "/v1/series")),
        Door("names of labels", "label_names", "read", _http(get, "/v1/label_names")),
        Door("values of a label", "label_values", "read", _http(get, "/v1/label_values?label=x")),
        Door("history", "history", "read", _http(get, "/v1/history")),
        Door("dashboards", "dashboards", "read", _http(get, "/v1/dashboards")),
        Door("dashboard", "dashboard", "read", _http(get, "/v1/dashboards/none", good=404)),
        Door(
            "saving a dashboard",
            "save_dashboard",
            "operator",
            _http("PUT", "/v1/dashboards/none", good=428),
        ),
        Door(
            "deleting a dashboard",
            "delete_dashboard",
            "operator",
            _http("DELETE", "/v1/dashboards/none", good=428),
        ),
        Door("ticket", "tickets", "read", _http(post, "/v1/tickets")),
        Door("subscribers", "subscribers", "operator", _http(get, "/v1/subscribers")),
        Door("metrics", "metrics", "operator", _http(get, "/metrics")),
        Door("doctor's echo", "doctor_echo", "read", _http(get, "/v1/doctor/echo")),
        Door("doctor's drip", "doctor_drip", "read", _http(get, "/v1/doctor/drip?lines=1")),
        Door("doctor's socket", "doctor_socket", "read", _websocket("/v1/doctor/echo", _HELLO)),
        Door(
            "doctor's upload", "doctor_upload", "read", _http(post, "/v1/doctor/upload", body=b"a")
        ),
        Door(
            "doctor's report",
            "doctor_report",
            "read",
            _http(post, "/v1/doctor/report", body=b"{}", headers=_JSON, good=400),
        ),
        Door("batch", "samples", "write", _http(post, "/v1/samples", body=_SAMPLE, headers=_JSON)),
        Door(
            "batch, the long way",
            "samples",
            "write",
            _http(post, "/v1/samples", body=_SAMPLE, headers={**_JSON, "Expect": ""}),
        ),
        Door("lines", "samples", "write", _http(post, "/v1/samples", body=_SAMPLE, headers=_LINES)),
        Door("publish", "publish", "write", _websocket("/v1/publish", _SAMPLE.decode())),
        Door(
            "remote write",
            "remote_write",
            "write",
            _http(post, "/api/v1/write", body=remote, headers=_WRITE, good=204),
        ),
        Door("OTLP", "otlp_metrics", "write", _http(post, _OTLP, body=b"{}", headers=_JSON)),
        Door(
            "InfluxDB 2",
            "influx_v2",
            "write",
            _http(post, _INFLUX, body=b"a b=1", good=204),
        ),
        Door("InfluxDB 1", "influx_v1", "write", _http(post, "/write", body=b"a b=1", good=204)),
    ]


OPEN = frozenset(
    (
        *("livez", "readyz", "index", "asset", "login", "logout", "plain"),
        *("openapi_json", "asyncapi_json", "doctor_page", "dashboard_page"),
        *("influx_ping", "influx_health", "dashboard_schema"),
    )
)
"""Endpoints that are meant to be open: probes, the page and what says how to come in."""
