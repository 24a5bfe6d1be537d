"""What is pushed as to a Pushgateway: groups of series, each named by a few labels.

The labels of a group are in the path: `job/nightly/instance/a`, values also in base64 behind a name
that ends in `@base64`. Each series that is pushed has them. Which series a group has can't be told
from labels, since a series of another group, or of another producer, may have the same and more: so
that is kept, by metric (`Members`).

Source: https://github.com/prometheus/pushgateway#api
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from typing import Final

import msgspec

from pushsvc.core.model.series import Batch, Identity, Rows, canonical, identify
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Malformed
from pushsvc.ingest.prometheus_text.decoder import PrometheusTextDecoder

PUSHED_AT: Final = "push_time_seconds"
FAILED_AT: Final = "push_failure_time_seconds"
_OURS: Final = {
    PUSHED_AT: "When something was last pushed to this group, Unix time.",
    FAILED_AT: "When something that was pushed to this group was last refused, Unix time; or 0.",
}
"""Metrics that each group has, as at a Pushgateway, with their help."""
_BASE64: Final = "@base64"
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

Members = dict[str, list[str]]
"""The series of a group: by the names of their metrics, their canonical identities."""


class Group(msgspec.Struct, frozen=True):
    """A grouping key."""

    labels: dict[str, str]

    @property
    def name(self) -> str:
        """Of its record."""
        text = canonical("", sorted(self.labels.items()))
        return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


class Pushed(msgspec.Struct):
    """What a body has for its group."""

    batch: Batch
    members: Members
    passed_over: int = 0
    """Samples that are NaN or infinite."""


class _Kept(msgspec.Struct, array_like=True):
    """The value of a record."""

    labels: dict[str, str]
    members: Members


def read_group(path: str) -> Group:
    """The group that a path names, behind `/metrics/`. Raises Malformed."""
    parts = path.split("/")
    if parts[0] not in ("job", f"job{_BASE64}"):
        raise Malformed("group", "a group is /metrics/job/JOB, and /LABEL/VALUE for more labels")
    if len(parts) % 2:
        raise Malformed("group", f"the label {parts[-1]!r} has no value in the path")
    labels: dict[str, str] = {}
    for name, value in zip(parts[::2], parts[1::2], strict=True):
        label, encoded, _ = name.partition(_BASE64)
        if encoded:
            value = _decoded(value, label)
        elif not value:
            raise Malformed("group", f"an empty value is written /{label}{_BASE64}/=")
        if _LABEL.fullmatch(label) is None or label.startswith("__"):
            raise Malformed("group", f"{label!r} is no name of a label")
        if labels.get(label, value) != value:
            raise Malformed("group", f"the label {label!r} has two values in the path")
        labels[label] = value
    if not labels["job"]:
        raise Malformed("group", "the job has no name")
    return Group(labels)


def _decoded(value: str, label: str) -> str:
    stripped = value.rstrip("=")
    try:
        padded = stripped + "=" * (-len(stripped) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise Malformed("group", f"the value of {label!r} is no base64 of UTF-8") from None


def read_pushed(
    decoder: PrometheusTextDecoder,
    body: bytes,
    group: Group,
    now_ms: int,
    *,
    openmetrics: bool = False,
) -> Pushed:
    """The samples of a body, at the time `now_ms`, all or nothing. Raises Malformed, TooLarge."""
    decoded = decoder.decode(body, now_ms, openmetrics=openmetrics, labels=group.labels)
    if decoded.refusals.count:
        raise Malformed("lines", decoded.refusals.message())
    pushed = Pushed(decoded.batch, {}, decoded.passed_over)
    for rows in decoded.batch.rows:
        text = rows.identity.text
        if rows.given:
            raise Malformed("lines", f"{text} has a time of its own: leave it out")
        if len(rows.times) > 1:
            raise Malformed("lines", f"{text} is there twice")
        if rows.identity.name in _OURS:
            raise Malformed("lines", f"{text} is what is said here of each group")
        pushed.members.setdefault(rows.identity.name, []).append(text)
    return pushed


def said_of(group: Group, name: str, value: float, limits: Limits, now_ms: int) -> Rows:
    """A sample of one of the metrics that each group has."""
    identity = identify(name, group.labels, limits)
    return Rows(identity, [now_ms], [value], "gauge", "seconds", _OURS[name])


def members_after(before: Members, pushed: Members, *, whole: bool) -> Members:
    """The series of a group after a push: of the metrics that are pushed those that are, and the
    others as before unless the `whole` group is replaced. What is said of each group stays."""
    kept = {name: texts for name, texts in before.items() if not whole or name in _OURS}
    return kept | pushed


def together(one: Members, other: Members) -> Members:
    """The series that are in any of both."""
    return {
        name: [*dict.fromkeys((*one.get(name, ()), *other.get(name, ())))]
        for name in (*one, *(name for name in other if name not in one))
    }


def missing(before: Members, after: Members) -> list[str]:
    """The series that are no more."""
    there = {text for texts in after.values() for text in texts}
    return [text for texts in before.values() for text in texts if text not in there]


def write_members(group: Group, members: Members) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(_Kept(group.labels, members)), 1)


def read_members(value: bytes) -> Members:
    return msgspec.msgpack.decode(zlib.decompress(value), type=_Kept).members


def ending(identity: Identity, now_ms: int) -> Rows:
    """That a series has no value from now on."""
    return Rows(identity, [now_ms], [None])
