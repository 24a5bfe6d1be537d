"""The description of the WebSockets, AsyncAPI 3: what each sends and takes.

Like OpenAPI's it is generated from what the sockets declare, and from the types that they encode
and decode. `send` is what the service does.
"""

from __future__ import annotations

from typing import Any

import msgspec
from quart_trio import QuartTrio

from pushsvc.app.http.described import Socket
from pushsvc.app.http.guard import need_of
from pushsvc.app.pages.openapi import SECURITY_SCHEMES, names_of_security, sockets
from pushsvc.app.pages.schemas import Schemas
from pushsvc.version import __version__

_OF_SECURITY = {"bearer": "http", "basic": "http", "session": "httpApiKey", "ticket": "httpApiKey"}
"""AsyncAPI's names for the ways to present a token."""


def asyncapi(app: QuartTrio) -> bytes:
    """The description of this app's WebSockets."""
    schemas = Schemas()
    channels, operations = {}, {}
    for path, endpoint, socket in sockets(app):
        name = path.removeprefix("/v1/").replace("/", "_")
        channels[name] = _channel(schemas, path, socket)
        names = names_of_security(need_of(endpoint, "GET"), "get")
        for action, messages in (("send", socket.sends), ("receive", socket.takes)):
            operations[f"{name}_{action}"] = {
                "action": action,
                "channel": {"$ref": f"#/channels/{name}"},
                "summary": f"What the service {'sends' if action == 'send' else 'takes'}.",
                "messages": [{"$ref": f"#/channels/{name}/messages/{one}"} for one in messages],
                "security": [
                    {"$ref": f"#/components/securitySchemes/{scheme}"} for scheme in names
                ],
            }
    components = schemas.finish({})
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "pushsvc: WebSockets",
            "version": __version__,
            "description": "WebSockets of the real-time push service for dashboards: ws:// or "
            "wss:// at the address of this document. All else is in /openapi.json.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "schemas": components,
            "securitySchemes": {
                name: {**scheme, "type": _OF_SECURITY[name]}
                for name, scheme in SECURITY_SCHEMES.items()
            },
        },
    }
    return msgspec.json.encode(_in_draft_7(document))


def _channel(schemas: Schemas, path: str, socket: Socket) -> dict[str, Any]:
    messages = {
        name: {
            "name": name,
            "contentType": media_types[0],
            "payload": schemas.of(type_),
            **_also_as(media_types),
        }
        for types, media_types in (
            (socket.sends, socket.media_types[:1]),
            (socket.takes, socket.media_types),
        )
        for name, type_ in types.items()
    }
    channel: dict[str, Any] = {
        # Relative, since this document may be found under any path.
        "address": path.removeprefix("/"),
        "title": socket.summary,
        "description": socket.text,
        "messages": messages,
    }
    if socket.parameters:
        query = {
            one.name: {"description": one.text, "allOf": [schemas.of(one.type)]}
            for one in socket.parameters
        }
        channel["bindings"] = {
            "ws": {"method": "GET", "query": {"type": "object", "properties": query}}
        }
    return channel


def _also_as(media_types: tuple[str, ...]) -> dict[str, Any]:
    return {"description": f"Also as {media_types[1]}."} if len(media_types) > 1 else {}


def _in_draft_7(schema: Any) -> Any:
    """Schemas in draft 7 of JSON Schema, which AsyncAPI uses: tuples are `items`, and a
    discriminator is only a name."""
    if isinstance(schema, list):
        return [_in_draft_7(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    older = {name: _in_draft_7(one) for name, one in schema.items()}
    if "prefixItems" in older:
        older["items"], older["additionalItems"] = older.pop("prefixItems"), False
    if isinstance(older.get("discriminator"), dict):
        del older["discriminator"]  # `type` has one value in each schema, which means the same
    return older
