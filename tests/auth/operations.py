"""Every operation of the service, with a request that only those are refused who may not do it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import trio
from trio_websocket import ConnectionClosed

from pushsvc.ingest import grpc
from pushsvc.ingest.grpc import Code
from pushsvc.pipeline import now_ms
from tests.auth.credentials import Carried
from tests.calls import call_by_hand
from tests.ingest.samples import remote_write_1, snappy
from tests.serving import Served

Attempt = Callable[[Served, Carried], Awaitable[int]]
"""Sends the request; tells 200, 401 or 403."""


class Operation(msgspec.Struct, frozen=True):
    """`endpoint` is the route's name, `need` what the request needs."""

    name: str
    endpoint: str
    need: str
    attempt: Attempt


def _http(
    method: str,
    path: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    good: int = 200,
) -> Attempt:
    async def attempt(served: Served, carried: Carried) -> int:
        # A connection each, so that a fast path may take each. By hand: there are thousands, and a
        # client library takes longer for one than the service.
        host = {"Host": f"{served.host}:{served.port}", "Connection": "close"}
        fields = {**host, **(headers or {}), **carried.headers}
        if body or method in ("POST", "PUT"):
            fields["Content-Length"] = str(len(body))
        url = f"{path}{'&' if '?' in path else '?'}{carried.query}" if carried.query else path
        lines = [f"{method} {url} HTTP/1.1", *(f"{name}: {fields[name]}" for name in fields)]
        async with await served.raw("\r\n".join([*lines, "", ""]).encode() + body) as stream:
            status = b""
            with trio.fail_after(30):
                while b"\r\n" not in status:
                    part = await stream.receive_some()
                    assert part, status
                    status += part
        code = int(status.split()[1])
        return 200 if code == good else code

    return attempt


def _websocket(path: str, say: str) -> Attempt:
    """A WebSocket whose first message says whether one was let in; `say` is said first."""

    async def attempt(served: Served, carried: Carried) -> int:
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

    return attempt


def _grpc() -> Attempt:
    async def attempt(served: Served, carried: Carried) -> int:
        end = await call_by_hand(
            served, grpc.message(b""), query=carried.query, headers=carried.headers
        )
        code = int(end["grpc-status"])
        return {Code.OK: 200, Code.UNAUTHENTICATED: 401, Code.PERMISSION_DENIED: 403}[Code(code)]

    return attempt


_JSON = {"Content-Type": "application/json"}
_SAMPLE = b'{"name":"a","value":1}'
_HELLO = '{"type":"hello"}'
_STREAM = "/v1/stream"
_OTLP = "/v1/metrics"
_GROUP = "/metrics/job/a"
_INFLUX = "/api/v2/write"
_LINES = {"Content-Type": "application/x-ndjson"}
_WRITE = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}


def operations() -> list[Operation]:
    """All of them."""
    remote = snappy(remote_write_1({"a": [(1.0, now_ms())]}))
    get, post = "GET", "POST"
    sse = {"Accept": "text/event-stream"}
    return [
        Operation("SSE", "stream", "read", _http(get, _STREAM, headers=sse)),
        Operation(
            "NDJSON",
            "stream",
            "read",
            _http(get, _STREAM, headers={"Accept": "application/x-ndjson"}),
        ),
        Operation(
            "long poll",
            "stream",
            "read",
            _http(get, f"{_STREAM}?wait=0", headers={"Accept": "application/json"}),
        ),
        Operation("HEAD", "stream", "read", _http("HEAD", _STREAM, headers={"Accept": "*/*"})),
        Operation("WebSocket", "stream_websocket", "read", _websocket(_STREAM, "")),
        Operation(
            "companion",
            "companion",
            "read",
            _http(post, f"{_STREAM}/none", body=b"{}", headers=_JSON, good=404),
        ),
        Operation("series", "series", "read", _http(get, "/v1/series")),
        Operation("names of labels", "label_names", "read", _http(get, "/v1/label_names")),
        Operation(
            "values of a label", "label_values", "read", _http(get, "/v1/label_values?label=x")
        ),
        Operation("history", "history", "read", _http(get, "/v1/history")),
        *(
            Operation(f"Prometheus' {name}", f"prometheus_{name}", "read", _http(get, path))
            for name, path in (
                ("query", "/api/v1/query?query=x"),
                ("query_range", "/api/v1/query_range?query=x&start=1&end=2&step=1"),
                ("series", "/api/v1/series?match[]=x"),
                ("labels", "/api/v1/labels"),
                ("label_values", "/api/v1/label/x/values"),
                ("metadata", "/api/v1/metadata"),
                ("buildinfo", "/api/v1/status/buildinfo"),
                ("format_query", "/api/v1/format_query?query=x"),
                ("exemplars", "/api/v1/query_exemplars?query=x"),
                ("rules", "/api/v1/rules"),
                ("alerts", "/api/v1/alerts"),
            )
        ),
        Operation(
            "a query in a form", "prometheus_query", "read", _http(post, "/api/v1/query?query=x")
        ),
        Operation("dashboards", "dashboards", "read", _http(get, "/v1/dashboards")),
        Operation("dashboard", "dashboard", "read", _http(get, "/v1/dashboards/none", good=404)),
        Operation(
            "importing a dashboard",
            "import_dashboard",
            "read",
            _http(post, "/v1/dashboards/import", body=b'{"title":"a","panels":[]}', headers=_JSON),
        ),
        Operation(
            "saving a dashboard",
            "save_dashboard",
            "operator",
            _http("PUT", "/v1/dashboards/none", good=428),
        ),
        Operation(
            "deleting a dashboard",
            "delete_dashboard",
            "operator",
            _http("DELETE", "/v1/dashboards/none", good=428),
        ),
        Operation("ticket", "tickets", "read", _http(post, "/v1/tickets")),
        Operation("subscribers", "subscribers", "operator", _http(get, "/v1/subscribers")),
        Operation("producers", "producers", "operator", _http(get, "/v1/producers")),
        Operation("metrics", "metrics", "operator", _http(get, "/metrics")),
        Operation("doctor's echo", "doctor_echo", "read", _http(get, "/v1/doctor/echo")),
        Operation("doctor's drip", "doctor_drip", "read", _http(get, "/v1/doctor/drip?lines=1")),
        Operation(
            "doctor's socket", "doctor_socket", "read", _websocket("/v1/doctor/echo", _HELLO)
        ),
        Operation(
            "doctor's upload", "doctor_upload", "read", _http(post, "/v1/doctor/upload", body=b"a")
        ),
        Operation(
            "doctor's report",
            "doctor_report",
            "read",
            _http(post, "/v1/doctor/report", body=b"{}", headers=_JSON, good=400),
        ),
        Operation(
            "batch", "samples", "write", _http(post, "/v1/samples", body=_SAMPLE, headers=_JSON)
        ),
        Operation(
            "batch, not on the fast path",
            "samples",
            "write",
            _http(post, "/v1/samples", body=_SAMPLE, headers={**_JSON, "Expect": ""}),
        ),
        Operation(
            "lines", "samples", "write", _http(post, "/v1/samples", body=_SAMPLE, headers=_LINES)
        ),
        Operation("publish", "publish", "write", _websocket("/v1/publish", _SAMPLE.decode())),
        Operation(
            "remote write",
            "remote_write",
            "write",
            _http(post, "/api/v1/write", body=remote, headers=_WRITE, good=204),
        ),
        Operation("OTLP", "otlp_metrics", "write", _http(post, _OTLP, body=b"{}", headers=_JSON)),
        Operation("OTLP by gRPC", "grpc", "write", _grpc()),
        Operation(
            "InfluxDB 2",
            "influx_v2",
            "write",
            _http(post, _INFLUX, body=b"a b=1", good=204),
        ),
        Operation(
            "text",
            "import_prometheus",
            "write",
            _http(post, "/api/v1/import/prometheus", body=b"a 1", good=204),
        ),
        Operation(
            "InfluxDB 1", "influx_v1", "write", _http(post, "/write", body=b"a b=1", good=204)
        ),
        Operation("replace a group", "replace_group", "write", _http("PUT", _GROUP, body=b"a 1\n")),
        Operation("add to a group", "add_to_group", "write", _http(post, _GROUP, body=b"a 1\n")),
        Operation("delete a group", "delete_group", "write", _http("DELETE", _GROUP, good=202)),
    ]


OPEN = frozenset(
    (
        *("livez", "readyz", "index", "asset", "login", "logout", "plain"),
        *(
            "openapi_json",
            "asyncapi_json",
            "doctor_page",
            "clients_page",
            "dashboard_page",
            "docs_page",
        ),
        *("influx_ping", "influx_health", "dashboard_schema"),
    )
)
"""Endpoints that are meant to be open: probes, the page and what says how to come in."""
