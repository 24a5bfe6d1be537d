"""What a hub knows besides the past of its series, so that another can go on from there.

A hub that begins to read a log in its middle needs what the entries before have decided: which
series there are, their refs, their kinds and the claims for these, their last rows, and how far the
sweeping has got. The other rows come with the log: it is kept for longer than rows are, so that
none is missing in the end. (Meanwhile a sample of before the snapshot, other than those last rows,
is taken for a new one if it is published again.)
"""

from __future__ import annotations

from collections.abc import Generator
from itertools import islice
from typing import TypeVar

import msgspec

from pushsvc.core.model.series import Identity, Kind, Labels, Value, canonical
from pushsvc.core.storage.catalog import Catalog, Series
from pushsvc.core.storage.idempotency import IdempotencyKey
from pushsvc.core.storage.records import Record
from pushsvc.core.storage.sweeping import Round

_T = TypeVar("_T")

VERSION = 2
_WITHOUT_RECORDS = 1
"""The version of a snapshot without records, which is as it was before there were records."""
_SLICE = 500
"""Series that are written in one step."""

Row = tuple[int, int, Value, bool, int | None]
"""Seq, time, value (None for an ending), whether the time was given, start."""


class Known(msgspec.Struct, frozen=True, array_like=True):
    """One series."""

    ref: int
    name: str
    labels: Labels
    kind: Kind
    stateful: bool
    claims: int
    disputed_at: float
    unit: str
    help: str
    described_seq: int
    last_seq: int
    rows: list[Row]
    """What `History.ends` gave."""


class Snapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    version: int
    seq: int
    next_ref: int
    series: list[bytes]
    """Msgpack of a list of `Known` each."""
    ended: list[int]
    """Refs of the series that have ended, in the order in which they make room."""
    sweeping: Round
    once: list[IdempotencyKey]
    records: list[Record] = []
    heard: dict[int, int] = {}
    """The `heard_seq` of series, by ref, where it isn't the `last_seq`."""


class SnapshotError(Exception):
    """These bytes are no snapshot that this version can read."""


def write(
    seq: int,
    catalog: Catalog,
    ended: list[int],
    sweeping: Round,
    once: list[IdempotencyKey],
    records: list[Record],
) -> Generator[None, None, bytes]:
    """Write a snapshot, step by step. The caller may do other things between two steps, but take
    nothing in."""
    known, heard = [], {}
    everyone = iter(catalog)
    while some := [_known(series) for series in islice(everyone, _SLICE)]:
        known.append(msgspec.msgpack.encode(some))
        yield
    for series in catalog:
        if series.history.heard_seq != series.history.last_seq:
            heard[series.ref] = series.history.heard_seq
    version = VERSION if records else _WITHOUT_RECORDS
    return msgspec.msgpack.encode(
        Snapshot(version, seq, catalog.next_ref, known, ended, sweeping, once, records, heard)
    )


_whole = msgspec.msgpack.Decoder(Snapshot)
_part = msgspec.msgpack.Decoder(list[Known])


def _decode(decoder: msgspec.msgpack.Decoder[_T], data: bytes) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SnapshotError(f"a snapshot can't be read: {error}") from None


def read(body: bytes) -> Snapshot:
    """Raises SnapshotError."""
    snapshot = _decode(_whole, body)
    if not _WITHOUT_RECORDS <= snapshot.version <= VERSION:
        raise SnapshotError(
            f"a snapshot is of version {snapshot.version}, this reads up to {VERSION}"
        )
    return snapshot


def restore(snapshot: Snapshot, catalog: Catalog, history_limit: int) -> dict[int, Series]:
    """Fill an empty catalog; gives the series that have ended, by ref. Raises SnapshotError."""
    for part in snapshot.series:
        for known in _decode(_part, part):
            catalog.put(_series(known, history_limit))
    catalog.next_ref = snapshot.next_ref
    by_ref = {series.ref: series for series in catalog}
    for ref, seq in snapshot.heard.items():
        by_ref[ref].history.hear(seq)
    for ref in snapshot.ended:
        history = by_ref[ref].history
        history.endings = max(history.endings, 1)  # the row of the ending may have been evicted
    return {ref: by_ref[ref] for ref in snapshot.ended}


def _series(known: Known, history_limit: int) -> Series:
    identity = Identity(known.name, known.labels, canonical(known.name, known.labels))
    series = Series(
        known.ref,
        identity,
        known.kind,
        known.unit,
        known.help,
        seq=known.described_seq,
        claims=known.claims,
        stateful=known.stateful,
        history_limit=history_limit,
    )
    series.disputed_at = known.disputed_at
    series.history.begin(known.last_seq, known.rows)
    return series


def _known(series: Series) -> Known:
    return Known(
        series.ref,
        series.identity.name,
        series.identity.labels,
        series.kind,
        series.stateful,
        series.claims,
        series.disputed_at,
        series.unit,
        series.help,
        series.described_seq,
        series.history.last_seq,
        series.history.ends(),
    )
