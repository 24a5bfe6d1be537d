"""Bodies that real producers would send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cramjam

from pushsvc.ingest.remote_write.messages import Request, WriteRequest

NOW = 1_764_000_000_000
"""Unix milliseconds at which all of this happens."""

Points = Sequence[tuple[float, int]]


def remote_write_1(
    series: Mapping[str, Points], *, labels: Mapping[str, str] | None = None
) -> bytes:
    """A request of version 1.0, not compressed."""
    request: Any = WriteRequest()
    for name, points in series.items():
        one = request.timeseries.add()
        for label, value in sorted({"__name__": name, **(labels or {})}.items()):
            one.labels.add(name=label, value=value)
        for number, time in points:
            one.samples.add(value=number, timestamp=time)
    body: bytes = request.SerializeToString()
    return body


def remote_write_2(
    series: Mapping[str, Points],
    *,
    labels: Mapping[str, str] | None = None,
    metadata: tuple[int, str, str] = (0, "", ""),
) -> bytes:
    """A request of version 2.0, not compressed; metadata are type, help and unit."""
    request: Any = Request()
    symbols = {"": 0}

    def ref(text: str) -> int:
        return symbols.setdefault(text, len(symbols))

    for name, points in series.items():
        one = request.timeseries.add()
        for label, value in sorted({"__name__": name, **(labels or {})}.items()):
            one.labels_refs.extend((ref(label), ref(value)))
        one.metadata.type = metadata[0]
        one.metadata.help_ref, one.metadata.unit_ref = ref(metadata[1]), ref(metadata[2])
        for number, time in points:
            one.samples.add(value=number, timestamp=time)
    request.symbols.extend(symbols)
    body: bytes = request.SerializeToString()
    return body


def snappy(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))
