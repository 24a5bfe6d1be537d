"""What a subscriber must receive: every sample that was published, once, in order per series.

Samples are numbered from 0 in the order they are published, the number is the sample's value, and
number N belongs to series N modulo the series. Where a subscriber stands is a *place*: for each
series the number that must come next. Subscribers stand at the same few places and get the same
bytes there, so a place remembers what came last and where that led: what one subscriber had parsed
and checked, the others only compare.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from urllib.parse import quote

import msgspec

_UNKNOWN = -1


class Disorder(Exception):
    """A subscriber was given a sample that isn't the next of its series, or something else."""


class Document(msgspec.Struct, frozen=True):
    """What a document says: the numbers of its samples, and a cursor if it has one."""

    numbers: list[int]
    cursor: str | None = None


class Hop:
    """The way from one place to the next: what was received on it."""

    __slots__ = ("cursor", "samples", "stamps", "target")

    def __init__(
        self, target: Place, stamps: dict[int, int], samples: int, cursor: str | None
    ) -> None:
        self.target = target
        self.stamps = stamps
        """How many of its samples were published when (monotonic ns)."""
        self.samples = samples
        self.cursor = cursor


class Place:
    """Where a subscriber stands in the stream."""

    __slots__ = ("document", "document_hop", "expected", "received", "received_hop")

    def __init__(self, expected: tuple[int, ...]) -> None:
        self.expected = expected
        """By series: the number that comes next; -1 while the series hasn't been met."""
        self.received: bytes | None = None
        """What someone who stood here received from the socket, framing and all."""
        self.received_hop: Hop | None = None
        self.document: bytes | None = None
        self.document_hop: Hop | None = None

    @property
    def complete(self) -> bool:
        """Whether every series has been met."""
        return _UNKNOWN not in self.expected


class Sequence:
    """The samples of one publisher, and the places of its subscribers."""

    def __init__(self, series: int, read: Callable[[bytes], Document]) -> None:
        """`read` tells what a document of this system says."""
        self.series = series
        self.stamps: list[int] = []
        """By number: when the sample was published (monotonic ns)."""
        self._read = read
        self._places: dict[tuple[int, ...], Place] = {}

    def publish(self, count: int, now: int) -> range:
        """Number the next samples."""
        first = len(self.stamps)
        self.stamps.extend([now] * count)
        return range(first, first + count)

    def start(self) -> Place:
        """Before everything: whatever number a series begins with is right."""
        return self._place((_UNKNOWN,) * self.series)

    def here(self) -> Place:
        """After everything that was published so far."""
        published = len(self.stamps)
        return self._place(
            tuple(published + (series - published) % self.series for series in range(self.series))
        )

    def forget(self) -> None:
        """Drop the places that no client is at any more."""
        self._places.clear()

    def read(self, place: Place, document: bytes) -> Hop:
        """Follow a document from a place. Raises Disorder."""
        hop = place.document_hop
        if hop is not None and document == place.document:
            return hop
        try:
            said = self._read(document)
        except (msgspec.DecodeError, ValueError) as error:
            raise Disorder(f"can't read {document[:200]!r}: {error}") from None
        expected = list(place.expected)
        stamps: Counter[int] = Counter()
        for number in said.numbers:
            series = number % self.series
            if expected[series] not in (number, _UNKNOWN):
                raise Disorder(f"series {series}: {number} came instead of {expected[series]}")
            if not 0 <= number < len(self.stamps):
                raise Disorder(f"series {series}: {number} was never published")
            expected[series] = number + self.series
            stamps[self.stamps[number]] += 1
        target = self._place(tuple(expected)) if said.numbers else place
        hop = Hop(target, dict(stamps), len(said.numbers), said.cursor)
        place.document, place.document_hop = document, hop
        return hop

    def _place(self, expected: tuple[int, ...]) -> Place:
        return self._places.setdefault(expected, Place(expected))


def join(hops: Iterable[Hop]) -> Hop:
    """Several hops, one after the other, as one. There must be at least one."""
    stamps: Counter[int] = Counter()
    samples = 0
    cursor = None
    for hop in hops:
        stamps.update(hop.stamps)
        samples += hop.samples
        cursor = hop.cursor or cursor
    return Hop(hop.target, dict(stamps), samples, cursor)


# -- what the documents of each system say ---------------------------------------------------------


class _Pushed(msgspec.Struct):
    type: str
    id: str | None = None
    points: list[list[float | None]] = []
    lost: int | None = 0


class _Polled(msgspec.Struct):
    id: str
    documents: list[_Pushed]


class _Sample(msgspec.Struct):
    value: float


class _Publication(msgspec.Struct):
    data: _Sample


class _Push(msgspec.Struct):
    pub: _Publication | None = None


_decode_push = msgspec.json.Decoder(_Push).decode
_decode_pushed = msgspec.json.Decoder(_Pushed).decode
_decode_polled = msgspec.json.Decoder(_Polled).decode
_decode_sample = msgspec.json.Decoder(_Sample).decode


def read_pushed(document: bytes) -> Document:
    """A document of wire protocol v1."""
    return Document(_numbers(_decode_pushed(document)))


def read_polled(document: bytes) -> Document:
    """The answer to a long poll of wire protocol v1."""
    polled = _decode_polled(document)
    numbers = [number for pushed in polled.documents for number in _numbers(pushed)]
    return Document(numbers, quote(polled.id, safe=""))


def read_sample(document: bytes) -> Document:
    """One sample, as services write it that send each by itself."""
    return Document([int(_decode_sample(document).value)])


def read_publication(document: bytes) -> Document:
    """What Centrifugo pushes over a unidirectional transport: a publication, that a stream begins,
    or an empty one, which is its ping."""
    push = _decode_push(document)
    return Document([] if push.pub is None else [int(push.pub.data.value)])


def _numbers(pushed: _Pushed) -> list[int]:
    if pushed.type not in ("hello", "points", "heartbeat"):
        raise ValueError(f"a {pushed.type} document has no place in a benchmark")
    numbers = []
    for point in pushed.points:
        value = point[2]
        if len(point) != 3 or value is None:
            raise ValueError(f"the point {point} stands for several samples")
        numbers.append(int(value))
    return numbers
