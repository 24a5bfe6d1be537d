"""Access control for every route, checked in one place before any route runs.

A route that isn't in the table below needs a token that may read, or write if it takes a POST: a
route that is added later is protected unless the table says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from quart import Response, g, request, websocket
from quart.wrappers import Request, Websocket
from quart_trio import QuartTrio

from pushsvc.app.http import problems
from pushsvc.app.http.base_path import root_seen_from
from pushsvc.app.http.context import Context
from pushsvc.app.http.login_page import FORM, login_page
from pushsvc.auth.access import AccessDecision, AccessRequest, Need
from pushsvc.auth.origins import ALWAYS, SAFE_METHODS
from pushsvc.auth.principal import Principal
from pushsvc.core.delivery import wire
from pushsvc.core.delivery.negotiate import Transport, choose, choose_subprotocol
from pushsvc.errors import Forbidden, Problem, TooMany, Unauthorized
from pushsvc.listen.address import plain
from pushsvc.listen.connection import Slot, connection_of
from pushsvc.log import get_logger

_log = get_logger("pushsvc.auth")

NEEDS: Final = {
    "livez": Need.PROBE,
    "readyz": Need.PROBE,
    "openapi_json": Need.NOTHING,
    "asyncapi_json": Need.NOTHING,
    "index": Need.NOTHING,  # the page, or the form to log in
    "asset": Need.NOTHING,
    "login": Need.NOTHING,
    "logout": Need.NOTHING,
    "influx_ping": Need.NOTHING,
    "influx_health": Need.NOTHING,
    "dashboard_schema": Need.NOTHING,
    "plain": Need.NOTHING,  # it answers that a WebSocket is needed
    "publish": Need.WRITE,
    "tickets": Need.READ,
    "companion": Need.READ,
    "doctor_page": Need.NOTHING,  # like the index
    "clients_page": Need.NOTHING,
    "dashboard_page": Need.NOTHING,
    "docs_page": Need.NOTHING,  # like the descriptions that it shows
    "save_dashboard": Need.OPERATOR,  # everybody sees it
    "delete_dashboard": Need.OPERATOR,
    "metrics": Need.OPERATOR,
    "subscribers": Need.OPERATOR,
    "producers": Need.OPERATOR,
}
"""What routes need, by endpoint."""

UNCHANGING: Final = frozenset(
    (
        "doctor_report",
        "doctor_upload",
        "import_dashboard",
        "prometheus_query",
        "prometheus_query_range",
        "prometheus_series",
        "prometheus_labels",
        "prometheus_format_query",
        "prometheus_exemplars",
    )
)
"""Routes that take a POST only because they need a body, and change nothing: tokens that may read
are enough, and requests from any origin are accepted."""
_MOST_TOLD: Final = 100


def need_of(endpoint: str, method: str) -> Need:
    """What a request to this endpoint needs."""
    reads = method in SAFE_METHODS or endpoint in UNCHANGING
    return NEEDS.get(endpoint, Need.READ if reads else Need.WRITE)


def principal_of_request() -> Principal:
    """The principal of this request. Call it only in a route, which runs after the guard."""
    principal = g.principal
    assert isinstance(principal, Principal)
    return principal


def admitted_request() -> tuple[AccessRequest, AccessDecision]:
    """This request and the decision on it. Call it only in a route, which runs after the guard."""
    return g.admitted  # type: ignore[no-any-return]


def access_request_of(asked: Request | Websocket) -> AccessRequest:
    """The parts of a request that decide whether it is allowed."""
    headers: dict[str, str] = {}
    for raw, value in asked.headers.items():
        name = raw.lower()
        if name in headers:
            value = headers[name] + ("; " if name == "cookie" else ", ") + value
        headers[name] = value
    scope = asked.scope
    client = scope.get("client")
    tickets = asked.args.getlist("ticket")
    ticketed = bool(tickets) and _is_event_source(asked, headers)
    return AccessRequest(
        asked.method,
        headers,
        tickets,
        plain(client[0]) if client else "",
        {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"]),
        isinstance(asked, Websocket),
        asked.query_string,
        asked.query_string.decode("latin-1") if ticketed else None,
    )


def _is_event_source(asked: Request | Websocket, headers: Mapping[str, str]) -> bool:
    if asked.endpoint != "stream" or "accept" not in headers:
        return False
    try:
        return choose(headers["accept"]).transport is Transport.SSE
    except Problem:
        return False


def install(app: QuartTrio, context: Context) -> None:
    access = context.access
    refusal_log = _RefusalLog()

    def settle_connection(asked: Request | Websocket, decision: AccessDecision) -> None:
        connection = connection_of(asked.scope)
        if connection is not None:
            try:
                settle(context, decision, connection.slot)
            except TooMany:
                _keep(asked)
                raise

    @app.before_request
    async def guard() -> Response | None:
        access_request = access_request_of(request)
        if request.endpoint in UNCHANGING:
            access_request = msgspec.structs.replace(access_request, method="GET")
        preflight = "access-control-request-method" in access_request.headers
        if request.method == "OPTIONS" and preflight:
            return Response(b"", status=204)
        if request.endpoint is None:
            _keep(request)
            return None  # no such route: the framework answers
        try:
            decision = await access.admit(access_request, need_of(request.endpoint, request.method))
        except Problem as problem:
            _keep(request)
            refusal_log.tell(problem, access_request)
            if request.endpoint == "login" and request.mimetype == FORM:
                # A person looks at the form, and has to read why it can't be used.
                return login_page(access.origins, root_seen_from(request.path), problem)
            raise
        settle_connection(request, decision)
        g.principal = decision.principal
        g.admitted = access_request, decision
        request.remote_addr = decision.client.address
        return None

    @app.before_websocket
    async def guard_socket() -> Response | None:
        if websocket.endpoint is None:
            _keep(websocket)
            return None  # no such route: the framework answers
        access_request = access_request_of(websocket)
        try:
            decision = await access.admit(access_request, need_of(websocket.endpoint, "GET"))
        except Problem as problem:
            _keep(websocket)
            refusal_log.tell(problem, access_request)
            if not isinstance(problem, Unauthorized | Forbidden) or problem.code == "origin":
                raise
            # A page can't read the status of a refused handshake, so the problem is sent on the
            # open socket.
            await websocket.accept(subprotocol=choose_subprotocol(websocket.requested_subprotocols))
            said = wire.error(problem.code, problem.detail, **problem.extra)
            await websocket.send(said.json.decode())
            await websocket.close(problem.close_code, problem.code)
            return Response(b"")
        settle_connection(websocket, decision)
        g.principal = decision.principal
        g.admitted = access_request, decision
        websocket.remote_addr = decision.client.address
        return None

    @app.after_request
    async def label(response: Response) -> Response:
        for name, value in ALWAYS.items():
            response.headers.setdefault(name, value)
        access_request = access_request_of(request)
        preflight = request.method == "OPTIONS" and response.status_code == 204
        for name, value in access.origins.cors(access_request.headers, preflight=preflight).items():
            if name == "Vary":
                response.vary.add(value)
            else:
                response.headers[name] = value
        return response


def settle(context: Context, decision: AccessDecision, slot: Slot) -> None:
    """Count a connection with the others of its identity, once a request on it has shown one: then
    it no longer counts with its address, which neighbours may share.

    A trusted proxy's connections carry requests of many clients. Raises TooMany, after which the
    connection is to be closed.
    """
    whose = decision.account
    most = context.limits.connections_per_identity
    if whose.identified and not decision.client.believed and not slot.move(whose, most):
        raise TooMany(
            problems.CROWDED,
            f"{most} connections are open, the limit (limits.{problems.CROWDED}), of {whose.whose}",
            limit=problems.CROWDED,
            **whose.members,
            retry_after=5.0,
        )


def _keep(asked: Request | Websocket) -> None:
    """Keep the connection of a refused stream with the server, like any other."""
    connection = connection_of(asked.scope)
    if connection is not None:
        connection.keep()


class _RefusalLog:
    """Logs refusals. Those that a proxy's settings often cause are warnings, each once; others are
    logged for debugging."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, problem: Problem, access_request: AccessRequest) -> None:
        wrong = problem.code in ("origin", "host") and "origin" in access_request.headers
        if wrong and problem.detail not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(problem.detail)
            _log.warning(
                "refused", code=problem.code, reason=problem.detail, peer=access_request.peer
            )
        else:
            _log.debug("refused", code=problem.code, peer=access_request.peer)
