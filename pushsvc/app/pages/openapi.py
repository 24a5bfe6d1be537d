"""The description of the HTTP API, OpenAPI 3.1: the contract that clients are written against.

It is generated from the router's paths and methods, what each route declares
(`app/http/described.py`), what the guard requires, and the types that are encoded and decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_origin

import msgspec
from quart_trio import QuartTrio

from pushsvc.app.http.described import (
    Content,
    Operation,
    Parameter,
    Socket,
    description_of,
)
from pushsvc.app.http.guard import need_of
from pushsvc.app.http.problems import MEDIA_TYPE, ProblemDocument
from pushsvc.app.pages.schemas import Schemas
from pushsvc.auth.access import Need
from pushsvc.auth.credentials import COOKIE
from pushsvc.core.delivery.documents import Document
from pushsvc.version import __version__

NAMED: Final = {"Document": Document}
"""Types that have names of their own in the description."""

_TAGS: Final = {
    "producers": ("Producers", "Samples come in."),
    "dashboards": ("Dashboards", "Samples go out, and what they are shown on."),
    "operators": ("Operators", "What the service does, and who is connected."),
    "pages": ("Access", "Logging in, and these descriptions."),
}
"""By the folder of the route's module."""

SECURITY_SCHEMES: Final[dict[str, Any]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key or a JSON Web Token (with sub and exp), as auth.mode is. "
        "None with mode none.",
    },
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "Any user, and the token as password.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "From /v1/login. It reads, and never writes.",
    },
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "From /v1/tickets, for one request, or one stream of events.",
    },
}


def openapi(app: QuartTrio) -> bytes:
    """The description of this app's API. Raises LookupError for a route that isn't described."""
    schemas = Schemas()
    paths: dict[str, Any] = {}
    used = set()
    for path, method, endpoint, operation, room in _operations(app):
        described = _operation(schemas, operation)
        name, _ = _TAGS[room]
        used.add(room)
        others = paths.setdefault(path, {})
        head = {"operationId": f"{endpoint}_{method}" if others else endpoint, "tags": [name]}
        others[method] = {**head, **described}
        _lock(schemas, paths[path][method], _need(app, endpoint, path, method), method)
    for _, _, socket in sockets(app):
        for type_ in (*socket.sends.values(), *socket.takes.values()):
            schemas.of(type_)  # among the components
    components = schemas.finish(NAMED)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "pushsvc",
                "version": __version__,
                "description": "Real-time push service for dashboards. Answers come in gzip, zstd "
                "or br as Accept-Encoding says, streams of text in gzip or zstd; a GET for which "
                "not even the plain answer is acceptable gets 406. What goes over WebSockets is in "
                "/asyncapi.json.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            # Relative to where this document was found, under whatever path.
            "servers": [{"url": "./"}],
            "tags": [
                {"name": name, "description": text}
                for room, (name, text) in _TAGS.items()
                if room in used
            ],
            "paths": paths,
            "components": {"schemas": components, "securitySchemes": SECURITY_SCHEMES},
        }
    )


def sockets(app: QuartTrio) -> Iterator[tuple[str, str, Socket]]:
    """Path, endpoint and description of each WebSocket."""
    for rule in app.url_map.iter_rules():
        if rule.websocket:
            socket = description_of(app.view_functions[rule.endpoint])
            assert isinstance(socket, Socket), rule.rule
            yield template_of(rule.rule), rule.endpoint, socket


def template_of(rule: str) -> str:
    """A path of the router in the form of descriptions."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)


def names_of_security(need: Need, method: str) -> list[str]:
    """The security schemes by which a request may present its token."""
    if need in (Need.NOTHING, Need.PROBE):
        return []
    names = ["bearer", "basic"]
    if need is not Need.WRITE:
        names.append("session")
    if need is Need.READ and method == "get":
        names.append("ticket")
    return names


def _operations(app: QuartTrio) -> Iterator[tuple[str, str, str, Operation, str]]:
    """Path, method, endpoint, description and folder of each route."""
    for rule in app.url_map.iter_rules():
        if rule.websocket:
            continue
        function = app.view_functions[rule.endpoint]
        operation = description_of(function)
        if operation is None:
            continue
        assert isinstance(operation, Operation), rule.rule
        room = function.__module__.removeprefix("pushsvc.app.").split(".")[0]
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield template_of(rule.rule), method.lower(), rule.endpoint, operation, room


def _need(app: QuartTrio, endpoint: str, path: str, method: str) -> Need:
    """What an operation needs; for a handshake, what its WebSocket needs."""
    for of_socket, its_endpoint, _ in sockets(app):
        if method == "get" and of_socket == path:
            return need_of(its_endpoint, "GET")
    return need_of(endpoint, method.upper())


def _operation(schemas: Schemas, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {"summary": operation.summary}
    if operation.text:
        described["description"] = operation.text
    if operation.parameters:
        described["parameters"] = [_parameter(schemas, one) for one in operation.parameters]
    if operation.body is not None:
        body = _content(schemas, operation.body)
        described["requestBody"] = {"required": True, **body} if operation.body.required else body
    described["responses"] = {
        str(status): _answer(schemas, status, answer)
        for status, answer in sorted(operation.answers.items())
    }
    return described


def _parameter(schemas: Schemas, parameter: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.text,
        "schema": schemas.of(parameter.type),
    }
    if get_origin(parameter.type) is list:
        described |= {"style": "form", "explode": True}
    if parameter.required or parameter.where == "path":
        described["required"] = True
    return described


def _answer(schemas: Schemas, status: int, answer: Content | str) -> dict[str, Any]:
    if isinstance(answer, Content):
        return {"description": answer.text, **_content(schemas, answer)}
    if status < 400:
        return {"description": answer}
    return _problem(schemas, answer)


def _problem(schemas: Schemas, text: str) -> dict[str, Any]:
    return {"description": text, "content": {MEDIA_TYPE: {"schema": schemas.of(ProblemDocument)}}}


def _content(schemas: Schemas, content: Content) -> dict[str, Any]:
    described: dict[str, Any] = {"description": content.text} if content.text else {}
    described["content"] = {
        media_type: {"schema": schemas.of(type_)} for media_type, type_ in content.types.items()
    }
    return described


def _lock(schemas: Schemas, operation: dict[str, Any], need: Need, method: str) -> None:
    """Add to an operation what it needs of its caller, and how it refuses callers without that."""
    names = names_of_security(need, method)
    operation["security"] = [{name: []} for name in names]
    if not names:
        return
    what = "is not an operator's" if need is Need.OPERATOR else "doesn't grant this"
    answers: Mapping[str, str] = {
        "400": "The token can't be read, or there are several.",
        "401": "No token, or one that isn't good (any more).",
        "403": f"The token {what}, or the request comes from a page of another origin.",
    }
    for status, text in answers.items():
        operation["responses"].setdefault(status, _problem(schemas, text))
