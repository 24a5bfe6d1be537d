"""Records: small named values that live with the log, so that every process on it has the same.

A record is changed by an entry, and whether a change is applied is decided when the entry is taken
in, in the log's order: a change says which version it is about, and of two about the same version
the first is applied and the other refused. A version is the seq of the entry that made it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final, TypeAlias

import msgspec

from pushsvc.errors import Rejected

MOST_NAME: Final = 200
"""Characters of a kind or a name."""


class Change(msgspec.Struct, frozen=True, array_like=True):
    """What is to become of a record."""

    kind: str
    """What sort of thing it is, such as `dashboard`. Names are unique within a kind."""
    name: str
    value: bytes | None
    """None: the record is to be deleted."""
    expected: int | None = None
    """The version that the record must have; 0: there must be none; None: any, or none."""
    until: int = 0
    """When it expires, Unix milliseconds by the journal's clock; 0 for never."""
    seen: bytes = b""
    """The `fingerprint` that the value must have; empty: any. A log that lost its end gives the
    same seqs again, so that a version alone doesn't identify a value."""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """A named value, and when it was set."""

    kind: str
    name: str
    value: bytes
    version: int
    """The seq of the entry that made it."""
    stamp: int
    """When that was, Unix milliseconds by the journal's clock."""
    until: int

    @property
    def weight(self) -> int:
        return len(self.value) + len(self.name)

    @property
    def fingerprint(self) -> bytes:
        """16 bytes that tell its value from others."""
        return hashlib.sha256(self.value).digest()[:16]


class Capacity(msgspec.Struct, frozen=True):
    """How much of one kind is kept."""

    count: int
    bytes: int
    """Of names and values together."""
    gives_way: bool = False
    """Whether the record that was changed longest ago is removed where a new one would be
    refused."""


CAPACITY: Final = {
    "dashboard": Capacity(500, 16 * 1024 * 1024),
    "imported": Capacity(1_000, 256 * 1024),
    "pushed": Capacity(5_000, 32 * 1024 * 1024),
    "ticket": Capacity(50_000, 16 * 1024 * 1024, gives_way=True),
}
"""By kind. What entries make of records depends on these: all processes that share a log must have
the same ones."""
_OTHERS: Final = Capacity(1_000, 1024 * 1024)
_STALE: Final = 1_000
"""How many more items than twice the records the heap of expiries may have, before it is made anew
without the outdated ones."""

Told: TypeAlias = Callable[[Record | None, str | None], None]
"""Called with a record that is new or changed; with None and a name if that record is gone; or with
None twice if any record of the kind may have changed."""


class Records:
    """All records there are, by kind and name."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, Record]] = {}
        self._weights: dict[str, int] = {}
        # A heap of (until, kind, name); outdated if the record was changed since.
        self._expiring: list[tuple[int, str, str]] = []
        self._watchers: dict[str, list[Told]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    @property
    def expires_at(self) -> int | None:
        """When the next may expire, Unix milliseconds by the journal's clock."""
        return self._expiring[0][0] if self._expiring else None

    def get(self, kind: str, name: str) -> Record | None:
        return self._kept.get(kind, {}).get(name)

    def of(self, kind: str) -> list[Record]:
        """All of one kind, in the order in which they were last changed."""
        return list(self._kept.get(kind, {}).values())

    def weight(self, kind: str) -> int:
        """Bytes of names and values of one kind."""
        return self._weights.get(kind, 0)

    def watch(self, kind: str, told: Told) -> None:
        """Have `told` called whenever records of a kind change."""
        self._watchers.setdefault(kind, []).append(told)

    def put(self, change: Change, seq: int, stamp: int) -> Record | None:
        """Apply a change, as entry `seq` of `stamp` (Unix milliseconds); gives what is there now.

        Raises Rejected, with `record_version` where the record has another version than the change
        is about, and with `records` where there is no room for it; then nothing is changed.
        """
        self.expire(stamp)
        kind, name = change.kind, change.name
        present = self.get(kind, name)
        version = 0 if present is None else present.version
        other = change.seen and present is not None and change.seen != present.fingerprint
        if change.expected is not None and (change.expected != version or other):
            raise Rejected(
                "record_version",
                f"the {kind} {name} is of another version than this change is about",
                version=version,
            )
        if change.value is None or 0 < change.until <= stamp:
            if present is not None:
                self._remove(present)
                self._tell(kind, None, name)
            return None
        record = Record(kind, name, change.value, seq, stamp, change.until)
        self._make_room(record, present)
        if present is not None:
            self._remove(present)
        self._keep(record)
        self._tell(kind, record, name)
        return record

    def expire(self, stamp: int) -> None:
        """Remove those that have expired at `stamp`, Unix milliseconds."""
        while self._expiring and self._expiring[0][0] <= stamp:
            until, kind, name = heappop(self._expiring)
            record = self.get(kind, name)
            if record is not None and record.until == until:
                self._remove(record)
                self._tell(kind, None, name)

    def dump(self) -> list[Record]:
        """All of them, for `load`."""
        return [record for kept in self._kept.values() for record in kept.values()]

    def load(self, records: list[Record]) -> None:
        """Have these records instead of all that there are."""
        self._kept.clear()
        self._weights.clear()
        self._expiring.clear()
        for record in records:
            self._keep(record)
        for kind in self._watchers:
            self._tell(kind, None, None)

    def _make_room(self, record: Record, present: Record | None) -> None:
        room = CAPACITY.get(record.kind, _OTHERS)
        if max(len(record.kind), len(record.name)) > MOST_NAME:
            raise Rejected(
                "records", f"the name of a {record.kind} has {MOST_NAME} characters at the most"
            )
        before = 0 if present is None else present.weight
        if record.weight > room.bytes:
            raise Rejected(
                "records", f"{record.name} has {record.weight} bytes, the most is {room.bytes}"
            )
        while True:
            count = len(self._kept.get(record.kind, ())) + (present is None)
            weight = self.weight(record.kind) + record.weight - before
            if count <= room.count and weight <= room.bytes:
                return
            oldest = next(one for one in self._kept[record.kind].values() if one is not present)
            if room.gives_way:
                self._remove(oldest)
                self._tell(record.kind, None, oldest.name)
            elif count > room.count:
                raise Rejected(
                    "records",
                    f"there are {room.count} of the kind {record.kind}, the most: delete one first",
                    limit="count",
                )
            else:
                raise Rejected(
                    "records",
                    f"all of the kind {record.kind} would have {weight} bytes together, the most "
                    f"is {room.bytes}: delete one first",
                )

    def _keep(self, record: Record) -> None:
        self._kept.setdefault(record.kind, {})[record.name] = record
        self._weights[record.kind] = self.weight(record.kind) + record.weight
        if record.until:
            if len(self._expiring) > 2 * len(self) + _STALE:
                self._expiring = [
                    (one.until, one.kind, one.name) for one in self.dump() if one.until
                ]
                heapify(self._expiring)
            else:
                heappush(self._expiring, (record.until, record.kind, record.name))

    def _remove(self, record: Record) -> None:
        kept = self._kept[record.kind]
        del kept[record.name]
        self._weights[record.kind] -= record.weight
        if not kept:
            del self._kept[record.kind], self._weights[record.kind]

    def _tell(self, kind: str, record: Record | None, name: str | None) -> None:
        for told in self._watchers.get(kind, ()):
            told(record, name)
