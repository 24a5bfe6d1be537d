"""The descriptions of the API, and what is checked against them."""

from __future__ import annotations

from typing import Any

import jsonschema
import msgspec
import trio

from pushsvc.app import create_app
from pushsvc.app.pages.asyncapi import asyncapi
from pushsvc.app.pages.openapi import openapi
from pushsvc.core.resources.limits import Pacing
from tests.test_hazards import context


async def _describe() -> tuple[bytes, bytes]:
    async with context(Pacing()) as parts:
        app = create_app(parts)
        return openapi(app), asyncapi(app)


DOCUMENT, _SOCKETS = trio.run(_describe)
SPEC: dict[str, Any] = msgspec.json.decode(DOCUMENT)
SOCKETS: dict[str, Any] = msgspec.json.decode(_SOCKETS)


def validator(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({**schema, "components": SPEC["components"]})


def schema_of(path: str, method: str, status: int, media_type: str) -> dict[str, Any]:
    answer = SPEC["paths"][path][method]["responses"][str(status)]
    schema: dict[str, Any] = answer["content"][media_type]["schema"]
    return schema


def check(path: str, method: str, status: int, media_type: str, body: Any) -> None:
    validator(schema_of(path, method, status, media_type)).validate(body)
