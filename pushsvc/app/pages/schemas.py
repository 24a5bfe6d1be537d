"""JSON Schemas of the types that routes and sockets declare, with shared components."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import msgspec

_TEMPLATE = "#/components/schemas/{name}"


class Schemas:
    """Schemas that refer to each other; they are empty until `finish` fills them in."""

    def __init__(self) -> None:
        self._wanted: list[tuple[Any, dict[str, Any]]] = []

    def of(self, type_: Any) -> dict[str, Any]:
        """The schema of a type, or of any of a tuple of types; empty until `finish`."""
        if isinstance(type_, tuple):
            return {"anyOf": [self.of(one) for one in type_]}
        schema: dict[str, Any] = {}
        self._wanted.append((type_, schema))
        return schema

    def finish(self, named: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in all schemas, and return the components that they refer to: each structure under
        its name, and the types in `named` under the names given there."""
        types = [*(type_ for type_, _ in self._wanted), *named.values()]
        schemas, components = msgspec.json.schema_components(types, ref_template=_TEMPLATE)
        aliases = dict(zip(named, schemas[len(self._wanted) :], strict=True))
        for (_, wanted), schema in zip(self._wanted, schemas, strict=False):
            wanted.update(_tidied(schema, aliases))
        return {
            **{name: _tidied(schema, aliases) for name, schema in components.items()},
            **{name: _tidied(schema, {}) for name, schema in aliases.items()},
        }


def _tidied(schema: Any, aliases: Mapping[str, Any]) -> Any:
    """The same schema with docstrings as paragraphs, and with references to named types."""
    if isinstance(schema, list):
        return [_tidied(one, aliases) for one in schema]
    if not isinstance(schema, dict):
        return schema
    for name, alias in aliases.items():
        if schema == alias:
            return {"$ref": _TEMPLATE.format(name=name)}
    tidied = {name: _tidied(one, aliases) for name, one in schema.items()}
    if isinstance(text := tidied.get("description"), str):
        tidied["description"] = paragraphs(text)
    if tidied.get("required") == []:
        del tidied["required"]
    return tidied


def paragraphs(text: str) -> str:
    """A docstring without the line breaks that its indentation needed."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))
