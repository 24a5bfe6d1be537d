"""OpenTelemetry's names, units and attributes in the Prometheus data model.

The rules are those of OpenTelemetry's specification, "Prometheus and OpenMetrics Compatibility"
(https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/), with the
words for units that the Prometheus server and the SDKs' exporters use.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from functools import lru_cache
from math import isfinite, isnan
from typing import Any, NamedTuple

import msgspec
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue

from pushsvc.core.model.series import shorten
from pushsvc.errors import Rejected

_NOT_IN_METRICS = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_IN_LABELS = re.compile(r"[^a-zA-Z0-9]+")
_ANNOTATION = re.compile(r"\{[^}]*\}")

_UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds",
    "us": "microseconds", "ns": "nanoseconds",
    "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes",
    "TiBy": "tibibytes", "kBy": "kilobytes", "KBy": "kilobytes", "MBy": "megabytes",
    "GBy": "gigabytes", "TBy": "terabytes",
    "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams",
    "Cel": "celsius", "Hz": "hertz", "%": "percent", "1": "",
}  # fmt: skip
_PER = {
    "s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month",
    "y": "year",
}  # fmt: skip


class Unit(NamedTuple):
    """A unit in Prometheus' words, such as bytes per second; empty where there is none."""

    main: str
    per: str = ""

    @property
    def text(self) -> str:
        per = f"per_{self.per}" if self.per else ""
        return f"{self.main}_{per}" if self.main and per else self.main or per


def read_unit(ucum: str, *, gauge: bool = False) -> Unit:
    """A UCUM unit in words. Annotations in braces are ignored; `1` is a ratio for a gauge, and no
    unit for other kinds."""
    if gauge and ucum == "1":
        return Unit("ratio")
    main, _, per = _ANNOTATION.sub("", ucum).partition("/")
    main, per = main.strip(), per.strip()
    return Unit(_plain(_UNITS.get(main, main)), _plain(_PER.get(per, per)))


def metric_name(name: str, unit: Unit, *, total: bool = False) -> str:
    """The Prometheus name of a metric: with its unit, unless the name contains it already, and with
    `_total` at the end for a counter. Empty if no part of the name can be kept."""
    parts = [part for part in _NOT_IN_METRICS.sub("_", name).split("_") if part]
    if not parts:
        return ""
    if total:
        parts = [part for part in parts if part != "total"]
    if unit.main == "ratio":
        parts = [part for part in parts if part != "ratio"]
    if unit.main and unit.main not in parts:
        parts.append(unit.main)
    if unit.per and unit.per not in parts:
        parts += ["per", unit.per]
    if total:
        parts.append("total")
    joined = "_".join(parts)
    return f"_{joined}" if joined[0].isdigit() else joined


@lru_cache(maxsize=4096)
def label_name(key: str) -> str:
    """The label name of an attribute; characters that it may not have become `_`."""
    name = _NOT_IN_LABELS.sub("_", key)
    return f"key_{name}" if name[:1].isdigit() else name or "_"


def scope_labels(scope: InstrumentationScope) -> dict[str, str]:
    """The labels that a scope gives all its series."""
    found = {"otel_scope_name": scope.name, "otel_scope_version": scope.version}
    return {label: text for label, text in found.items() if text}


def label_text(value: AnyValue) -> str:
    """An attribute's value as a label value: text unchanged, bytes in base64, other values as
    JSON."""
    if value.WhichOneof("value") == "string_value":
        return value.string_value
    plain = _plain_value(value)
    return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()


def fits(value: AnyValue, most: int) -> bool:
    """A quick check whether a value may be short enough for a label of `most` bytes."""
    which = value.WhichOneof("value")
    if which == "string_value":
        return len(value.string_value) <= most
    if which in ("array_value", "kvlist_value", "bytes_value"):
        return _size(value, most) <= most
    return True


def _as_it_is(key: str) -> str:
    """The label name of an attribute where names aren't translated, except reserved and empty
    ones."""
    return label_name(key) if key.startswith("__") or not key else key


def labels(
    attributes: Iterable[KeyValue], most: int, *, as_they_are: bool = False
) -> dict[str, str]:
    """Attributes as labels. Where two keys become one label, their values are joined by `;`, in
    the order of the keys. Raises Rejected for an array, a map or bytes certain to exceed `most`
    bytes."""
    attributes = list(attributes)
    label_of = _as_it_is if as_they_are else label_name
    found: dict[str, str] = {}
    for attribute in attributes:
        value = attribute.value
        if value.WhichOneof("value") == "string_value":
            text = value.string_value
        elif fits(value, most):
            text = label_text(value)
        else:
            raise Rejected(
                "label",
                f"value of attribute {shorten(attribute.key)} is longer than {most} bytes "
                "(limits.value_bytes)",
                limit="value_bytes",
            )
        found[label_of(attribute.key)] = text
    if len(found) < len(attributes):
        gathered: dict[str, list[str]] = {}
        for attribute in sorted(attributes, key=lambda attribute: attribute.key):
            label = label_of(attribute.key)
            gathered.setdefault(label, []).append(label_text(attribute.value))
        found = {label: ";".join(texts) for label, texts in gathered.items()}
    return found


def _size(value: AnyValue, most: int) -> int:
    """The least size of a value as JSON; counting stops beyond `most`."""
    which = value.WhichOneof("value")
    if which == "array_value":
        size = 0
        for inner in value.array_value.values:
            size += 1 + _size(inner, most - size)
            if size > most:
                break
        return size
    if which == "kvlist_value":
        size = 0
        for pair in value.kvlist_value.values:
            size += 4 + len(pair.key) + _size(pair.value, most - size)
            if size > most:
                break
        return size
    if which == "string_value":
        return len(value.string_value)
    return len(value.bytes_value) if which == "bytes_value" else 1


def _plain(text: str) -> str:
    return _NOT_IN_LABELS.sub("_", text).strip("_")


def _plain_value(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_plain_value(inner) for inner in value.array_value.values]
    if which == "kvlist_value":
        return {inner.key: _plain_value(inner.value) for inner in value.kvlist_value.values}
    if which == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    if which == "double_value" and not isfinite(value.double_value):
        if isnan(value.double_value):
            return "NaN"
        return "Infinity" if value.double_value > 0 else "-Infinity"
    if which in ("string_value", "bool_value", "int_value", "double_value"):
        return getattr(value, which)
    return ""
