"""One dashboard: what it asks for, what it was given, and whether that is all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import trio

from tests.chaos.links import Document, Link, open_link
from tests.serving import Served

Row = tuple[str, float]
"""`("sample", value)` or `("end", time)`: no two of a series are equal."""


class Wrong(AssertionError):
    """What was given isn't what was owed."""


class Stretch:
    """What comes of one series for as long as it is watched."""

    def __init__(self) -> None:
        self.got: list[Row] = []

    def missing(self, published: Sequence[Row], name: str) -> tuple[int, int]:
        """How many rows are missing behind the first that came, and before it. Raises Wrong when
        what came isn't in order, or came twice."""
        place = {row: index for index, row in enumerate(published)}
        for sort in ("sample", "end"):
            at = [place[row] for row in self.got if row[0] == sort]
            if at != sorted(set(at)):
                raise Wrong(f"{name}: expected {published}, seen {self.got}")
        if not self.got:
            return 0, len(published)
        first = min(place[row] for row in self.got)
        return len(published) - first - len(self.got), first


class Dashboard:
    """Keeps to the protocol, whatever is done to it."""

    def __init__(self, served: Served, prefix: str) -> None:
        self._served = served
        self._prefix = prefix
        self._link: Link | None = None
        self._selectors: frozenset[str] = frozenset()
        self._hz = 20.0
        self._cursor: str | None = None
        self._names: dict[int, str] = {}
        self._described: set[int] = set()
        self._gaps: dict[str, int | None] = {}
        self._dropped: list[tuple[str, Stretch]] = []
        self._polls = False
        self._session: str | None = None
        self._owed: frozenset[str] | None = None  # asked for, and not yet greeted
        self.stretches: dict[str, Stretch] = {}

    @property
    def opened(self) -> bool:
        return bool(self._selectors)

    def _query(self, window: str | None = None) -> str:
        pairs = [("select", self._prefix + name) for name in sorted(self._selectors)]
        pairs += [("max_hz", str(self._hz))]
        if self._cursor is not None:
            pairs.append(("since", self._cursor))
        elif window is not None:
            pairs.append(("window", window))
        return urlencode(pairs)

    async def open(
        self, transport: str, names: frozenset[str], hz: float, window: str | None
    ) -> None:
        """Begin, from nothing."""
        self._selectors, self._hz = names, hz
        self.stretches = {name: Stretch() for name in names}
        await self._connect(transport, window)

    async def hop(self, transport: str) -> None:
        """Go on over another transport, or over a new connection of the same."""
        await self.cut()
        await self._connect(transport)

    async def _connect(self, transport: str, window: str | None = None) -> None:
        self._described.clear()
        self._polls = transport == "longpoll"
        self._link = await open_link(self._served, transport, self._query(window))
        if self._cursor is None:
            # A client without a cursor yet has nothing to come back with.
            with trio.fail_after(30):
                while self._cursor is None:
                    await self.take(1, 1.0)

    async def cut(self) -> None:
        """Lose the connection, with all that was on its way."""
        if self._link is not None:
            await self._link.close()
            self._link = None
            self._owed = None

    async def watch(self, names: frozenset[str], hz: float, window: str | None) -> None:
        """Ask a live stream for something else."""
        if self._link is None or self._polls:
            return
        message: Document = {
            "type": "watch",
            "select": [self._prefix + name for name in sorted(names)],
            "max_hz": hz,
        }
        if window is not None:
            message["window"] = window
        await self._link.watch(message)
        # What was on its way comes first: go on when it is said that the change was made.
        with trio.fail_after(30):
            while True:
                document = await self._link.next(5.0)
                if document is None:
                    continue
                if document["type"] == "hello" and document["granted"]["select"] == sorted(
                    message["select"]
                ):
                    break
                self._given(document)
        for name in self._selectors - names:
            self._dropped.append((name, self.stretches.pop(name)))
        for name in names - self._selectors:
            self.stretches[name] = Stretch()
        self._selectors, self._hz = names, hz
        self._given(document)

    async def take(self, most: int, seconds: float = 0.05) -> int:
        """Read so many documents, if they come, and tell how many did."""
        if self._link is None:
            return 0
        taken = 0
        while taken < most:
            document = await self._link.next(seconds)
            if document is None:
                break
            self._given(document)
            if document.get("empty"):
                break
            taken += document["type"] != "answer"
        return taken

    def _given(self, document: Document) -> None:
        sort = document["type"]
        if sort == "answer":
            self._described.clear()
            self._cursor = document["id"] or self._cursor
            return
        if document.get("id") is not None:
            self._not_back(document["id"])
        if sort == "points":
            for series in document.get("series", ()):
                self._names[series["ref"]] = series["name"].removeprefix(self._prefix)
                self._described.add(series["ref"])
            for ref, _, value in document["points"]:
                self._row(ref, ("sample", value))
            for ref, time in document.get("ended", ()):
                self._row(ref, ("end", time))
        elif sort == "gap":
            self._gaps[document["id"]] = document["lost"]
        elif sort == "error":
            raise Wrong(f"the service said {document}")

    def _not_back(self, cursor: str) -> None:
        before = self._cursor
        if before is not None and _order(cursor) < _order(before):
            raise Wrong(f"the id {cursor} came after {before}")
        self._cursor = cursor

    def _row(self, ref: int, row: Row) -> None:
        if ref not in self._described:
            raise Wrong(f"ref {ref} of {row} was not described")
        stretch = self.stretches.get(self._names[ref])
        if stretch is not None:
            stretch.got.append(row)

    async def finish(self, transport: str, published: Mapping[str, Sequence[Row]]) -> None:
        """Take all that there is, and compare."""
        if not self.opened:
            return
        if self._link is None:
            await self._connect(transport)
        quiet = 0
        while quiet < 2:
            quiet = 0 if await self.take(16, 0.3 + 1.2 / self._hz) else quiet + 1
            if self._whole(published):
                break
        await self.cut()
        self._check(published)

    def _whole(self, published: Mapping[str, Sequence[Row]]) -> bool:
        return all(
            bool(stretch.got) and stretch.got[-1] == published[name][-1]
            for name, stretch in self.stretches.items()
            if published[name]
        )

    def _check(self, published: Mapping[str, Sequence[Row]]) -> None:
        missing = before = abandoned = 0
        for name, stretch in self.stretches.items():
            behind, ahead = stretch.missing(published[name], name)
            missing, before = missing + behind, before + ahead
        for name, stretch in self._dropped:
            abandoned += sum(stretch.missing(published[name], name))
        told = [lost for lost in self._gaps.values() if lost is not None]
        unknown = len(told) < len(self._gaps)
        most = missing + before + abandoned
        if sum(told) > most or (not unknown and sum(told) < missing):
            raise Wrong(f"{missing} to {most} rows are missing, and the gaps say {self._gaps}")
        if unknown and not most:
            raise Wrong(f"nothing is missing, and the gaps say {self._gaps}")


def _order(cursor: str) -> int:
    """Documents of one stream come in this order; that is all that a test may know of a cursor."""
    return int(cursor.rpartition(".")[2])
