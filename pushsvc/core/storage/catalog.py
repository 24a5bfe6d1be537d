"""All series of the hub, and the index from labels to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from math import inf
from typing import ClassVar, Protocol

from pushsvc.core.model.series import Columns, Identity, Kind, Rows, shorten
from pushsvc.core.query.scope import EVERYTHING, Scope
from pushsvc.core.query.selector import Matcher, Selector
from pushsvc.core.storage.history import History

_CLAIMS = 8
"""The highest count of claims for a series' kind. Each claim to the contrary takes one off."""
_DISPUTE = 1.0
"""Seconds between two claims to the contrary that both count."""


def unfounded(rows: Rows) -> str | None:
    """Why no series can begin with `rows`; None when one can.

    A text is taken as a state only if the sample says `kind: state`. Most other texts were meant to
    be numbers ("NaN", "12"), and a series that began with one would refuse numbers from then on.
    """
    if type(rows.values[0]) is float or rows.kind is not None:
        return None  # the usual case
    value = next((value for value in rows.values if value is not None), None)
    if type(value) is not str:
        return None
    return (
        f"{rows.identity.text} is new, and its value {shorten(value)} a text: a state says "
        "kind state, and where there is no number the value is null"
    )


class Watcher(Protocol):
    """Something that shows series: a view, as far as this module needs to know it."""

    dirty: dict[int, Series]
    """Series with news that it hasn't given out yet, by ref."""

    @property
    def subscribers(self) -> Sized:
        """Those who watch it."""

    def dismiss(self, series: Series, seq: int) -> None:
        """Let go of a series that is gone with batch `seq`."""

    def mark(
        self,
        seq: int,
        columns: Columns,
        series: Mapping[int, Series],
        places: Sequence[int] | None,
    ) -> None:
        """Note that each of these series (by ref, in the order of the columns) has one more row,
        from batch `seq`: in the columns at `places`, or in all of them."""

    def plan_tick(self) -> None:
        """Plan the tick in which its news is given out, if there is any."""


class Series:
    """One series: what it is called, what its values mean, its past, and the views that show it.

    The kind of a series of numbers is what its producers claim. Until one claims something it is
    `gauge`, which is a guess; if the first claim is another kind, the next one may change it back.
    From then on a batch that claims another kind is refused, and takes one off the count of claims
    for the present kind, once a second at the most. The count is eight at the most. At 0 the next
    batch changes the kind. So a single wrong sample can't keep out the producers that a series
    belongs to. (It is the majority vote of Boyer and Moore, "MJRTY", 1981.) Numbers never become
    states, nor states numbers.
    """

    derived: ClassVar[bool] = False
    """Whether it is the result of an expression, and in no catalog."""

    __slots__ = (
        "claims",
        "described_seq",
        "disputed_at",
        "help",
        "history",
        "identity",
        "kind",
        "listed",
        "ref",
        "stateful",
        "unit",
        "views",
    )

    def __init__(
        self,
        ref: int,
        identity: Identity,
        kind: Kind,
        unit: str,
        help: str,  # noqa: A002 - the field's word
        *,
        seq: int,
        claims: int,
        stateful: bool,
        history_limit: int,
    ) -> None:
        self.ref = ref
        self.identity = identity
        self.stateful = stateful
        """Whether its values are those of a state rather than numbers; that never changes."""
        self.claims = claims
        """How many more batches claimed this kind than another one, up to eight; -1 for a guess."""
        self.kind: Kind = kind
        self.disputed_at = -_DISPUTE
        self.unit = unit
        self.help = help
        self.described_seq = seq
        """The batch that last changed what a client must be told: creation, kind, unit or help."""
        self.history = History(history_limit, stateful=stateful)
        self.views: list[Watcher] = []
        self.listed = False
        """Whether a catalog has it."""

    @classmethod
    def founded(cls, ref: int, rows: Rows, seq: int, history_limit: int) -> Series:
        """The series that begins with `rows` of batch `seq`."""
        stateful = rows.stateful is True
        return cls(
            ref,
            rows.identity,
            rows.kind or ("state" if stateful else "gauge"),
            rows.unit or "",
            rows.help or "",
            seq=seq,
            claims=-1 if rows.kind is None else 1,
            stateful=stateful,
            history_limit=history_limit,
        )

    def conflict(self, rows: Rows, now: float = inf) -> str | None:
        """Why `rows` can't belong to this series; None when they can. `now` is as for `dispute`."""
        if (rows.kind is None or rows.kind == self.kind) and (
            type(rows.values[0]) is float and not self.stateful
        ):
            return None  # the usual case
        stateful = rows.stateful
        if stateful is not self.stateful and stateful is not None:
            got = "a state (a string or boolean)" if stateful else "a number"
            if stateful and any(type(value) is str for value in rows.values):
                got += "; where there is no number the value is null"
            return f"{self.identity.text} is a {self.kind}, the sample's value is {got}"
        if rows.kind is None or rows.kind == self.kind:
            return None
        if (rows.kind == "state") is not self.stateful or self.stateful:
            return f"{self.identity.text} is a {self.kind}, the sample says {rows.kind}"
        if self.claims <= 0 and now - self.disputed_at >= _DISPUTE:
            return None
        return (
            f"{self.identity.text} is a {self.kind}, the sample says {rows.kind}; if that is what "
            f"it is, say so for {max(self.claims, 1)} more seconds and the kind changes"
        )

    def takes_as_it_is(self, kind: Kind | None) -> bool:
        """Whether a number that claims this kind (None: no kind) is certain to be taken and changes
        nothing but the history. That stays so until a batch is refused or says something else."""
        return not self.stateful and (
            kind is None or (kind == self.kind and self.claims == _CLAIMS)
        )

    def append(self, seq: int, rows: Rows) -> int:
        """Take in the rows of batch `seq`, and what they say of kind, unit and help; tells how many
        rows are new."""
        if rows.kind is not None and (rows.kind != self.kind or self.claims != _CLAIMS):
            self._claim(seq, rows.kind)
        if rows.unit is not None and rows.unit != self.unit:
            self.unit = rows.unit
            self.described_seq = seq
        if rows.help is not None and rows.help != self.help:
            self.help = rows.help
            self.described_seq = seq
        return self.history.extend(seq, rows.times, rows.values, rows.given, rows.starts)

    def _claim(self, seq: int, kind: Kind) -> None:
        if kind == self.kind:
            self.claims = min(max(self.claims, 0) + 1, _CLAIMS)
        else:
            self.kind = kind
            self.claims = 0 if self.claims < 0 else 1
            self.described_seq = seq

    def dispute(self, now: float) -> None:
        """Note that a batch was refused for the kind that it claims. Several within a second, such
        as the lines of one upload, count as one."""
        if now - self.disputed_at >= _DISPUTE:
            self.disputed_at = now
            self.claims = max(self.claims - 1, 0)

    def window_start(self, time: int) -> int:
        """Ordinal of the first sample that is needed to show the series from `time` (ms) on.

        A state lasts until the next one. So the window of a state begins with the sample before
        `time`.
        """
        start = self.history.since(time)
        return max(self.history.first, start - 1) if self.stateful else start


class Catalog:
    """Series by identity, by ref and by label."""

    def __init__(self) -> None:
        self._by_text: dict[str, Series] = {}
        self.get: Callable[[str], Series | None] = self._by_text.get
        """The series with this canonical identity. It is the dict's own method, as each sample
        calls it."""
        # label name -> value -> ref -> series; a dict of refs keeps the order of creation.
        self._index: dict[str, dict[str, dict[int, Series]]] = {}
        self.next_ref = 1
        self.version = 0
        """Changes when a series comes, goes or is described differently, or when its kind is
        disputed."""

    def __len__(self) -> int:
        return len(self._by_text)

    def __iter__(self) -> Iterator[Series]:
        return iter(self._by_text.values())

    def add(self, rows: Rows, seq: int, history_limit: int) -> Series:
        """Create the series of `rows`, which must not exist. It gets the next ref, never reused."""
        series = Series.founded(self.next_ref, rows, seq, history_limit)
        self.next_ref += 1
        self.put(series)
        return series

    def put(self, series: Series) -> None:
        """Add a series whose ref is higher than those of all others."""
        self.version += 1
        series.listed = True
        self._by_text[series.identity.text] = series
        for label, value in self._labels(series):
            self._index.setdefault(label, {}).setdefault(value, {})[series.ref] = series

    def remove(self, series: Series) -> None:
        """Forget a series."""
        self.version += 1
        series.listed = False
        del self._by_text[series.identity.text]
        for label, value in self._labels(series):
            values = self._index[label]
            del values[value][series.ref]
            if not values[value]:
                del values[value]
                if not values:
                    del self._index[label]

    def label_names(self) -> list[str]:
        """The names of all labels, `__name__` among them."""
        return list(self._index)

    def label_values(self, label: str) -> list[str]:
        """All values that a label has."""
        return list(self._index.get(label, ()))

    def select(self, selectors: Iterable[Selector], allowed: Scope = EVERYTHING) -> list[Series]:
        """The series that any of the selectors matches and the scope admits, in the order of their
        creation."""
        found = self._any(selectors)
        if allowed.selectors is not None:
            admitted = self._any(allowed.selectors)
            found = {ref: series for ref, series in found.items() if ref in admitted}
        return [found[ref] for ref in sorted(found)]

    def _any(self, selectors: Iterable[Selector]) -> dict[int, Series]:
        found: dict[int, Series] = {}
        for selector in selectors:
            found.update(self._select(selector))
        return found

    def _select(self, selector: Selector) -> dict[int, Series]:
        # A matcher that refuses '' needs the label to be there: its postings bound the answer. One
        # that takes '' also takes series without the label: it can only strike series out. The
        # parser has made sure that at least one refuses ''.
        found: dict[int, Series] | None = None
        for matcher in selector.matchers:
            if not matcher.matches(""):
                postings = self._admitted(matcher, admit=True)
                if found is None:
                    found = postings
                elif len(postings) < len(found):
                    kept = found
                    found = {ref: series for ref, series in postings.items() if ref in kept}
                else:
                    found = {ref: series for ref, series in found.items() if ref in postings}
        assert found is not None
        for matcher in selector.matchers:
            if matcher.matches(""):
                struck = self._admitted(matcher, admit=False)
                if struck:
                    found = {ref: series for ref, series in found.items() if ref not in struck}
        return found

    def _admitted(self, matcher: Matcher, *, admit: bool) -> dict[int, Series]:
        """Series whose label is there and whose value the matcher takes, or refuses."""
        values = self._index.get(matcher.name, {})
        listed = matcher.accepts if admit else None
        if listed is None:
            chosen = [
                postings for value, postings in values.items() if matcher.matches(value) is admit
            ]
        else:
            chosen = [values[value] for value in listed if value in values]
        if len(chosen) == 1:
            return chosen[0]
        found: dict[int, Series] = {}
        for postings in chosen:
            found.update(postings)
        return found

    @staticmethod
    def _labels(series: Series) -> Iterator[tuple[str, str]]:
        yield "__name__", series.identity.name
        yield from series.identity.labels
