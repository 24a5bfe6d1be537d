"""Many dashboards in one process, each of which writes down what it is given and comes back with
its cursor whenever its stream ends."""

from __future__ import annotations

import random
import resource
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import msgspec
import trio

from tests.bench.transport import Broken, Head, reader, request
from tests.proxies.record import faults, is_live, is_through

TRANSPORTS = ("websocket", "sse", "ndjson", "longpoll")
_PATIENCE = 30.0
"""Seconds for a connection, and for an answer to begin: asking again sooner would make a busy
machine busier."""
_DEAD = 45.0
"""Seconds without a byte after which a stream is taken for dead: three heartbeats."""
_SPARE_FILES = 500
_ENDS = (OSError, trio.BrokenResourceError, trio.TooSlowError, Broken)


class _Document(msgspec.Struct):
    type: str
    id: str = ""
    points: list[tuple[int, int, float]] = []
    retry: int = 0


class _Answer(msgspec.Struct):
    """To a poll."""

    id: str
    documents: list[_Document]


class Refused(Exception):
    """There was no stream to be had."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        """`wait` is for how many seconds, where that was said."""
        super().__init__(why)
        self.wait = wait


class Silent(Broken):
    """Nothing came for as long as one waits."""


class Dashboard:
    """Follows the series `n`, and comes back when it is told to, or by itself."""

    def __init__(
        self,
        port: int,
        transport: str,
        *,
        max_hz: float = 10,
        poll_pause: float = 0.0,
        address: str = "127.0.0.1",
    ) -> None:
        """`poll_pause` is how many seconds one who polls is content with what it was given."""
        self.transport = transport
        self.values: list[int] = []
        """All that it was given, as it came."""
        self.gaps: set[str] = set()
        self.returns: list[float] = []
        """When it asked for a stream again, by Trio's clock."""
        self.told = 0
        """How often it was asked to go."""
        self.cut: list[str] = []
        """How streams ended without that."""
        self.refusals: list[str] = []
        """How it was to come back later, or found nobody."""
        self.silence = 0.0
        """Seconds for which nothing came, at the longest. One who polls asks all that time."""
        self.trail: deque[str] = deque(maxlen=12)
        """How streams ended: after how many values, at which cursor."""
        self.told_last: deque[str] = deque(maxlen=4)
        """The last documents, by type, cursor and values."""
        self.doing = "begins"
        self._since = 0.0
        self._heard: float | None = None
        self._port = port
        self._poll_pause = poll_pause
        self._address = address
        self._query = f"/v1/stream?select=n&merge=all&max_hz={max_hz:g}"
        self._cursor = ""
        self._decode = msgspec.json.Decoder(_Document).decode

    async def run(self) -> None:
        """Follow until cancelled."""
        follow = self._poll if self.transport == "longpoll" else self._stream
        while True:
            wait, why = None, "told to go"
            try:
                wait = await follow()
            except Refused as refused:
                why = str(refused)
                self.refusals.append(f"{self.transport}: {refused}")
                wait = refused.wait
            except _ENDS as error:
                why = str(error) or type(error).__name__
                self.cut.append(f"{self.transport}: {str(error) or type(error).__name__}")
            self.trail.append(f"{len(self.values)} values, {self._cursor}: {why}")
            if wait is None:
                wait = random.uniform(0.5, 2.0)
            self._do(f"waits {wait:.1f} s to come back")
            await trio.sleep(wait)
            self.returns.append(trio.current_time())

    def story(self) -> str:
        """What it is about, and how that came."""
        now = trio.current_time()
        heard = "nothing yet" if self._heard is None else f"news {now - self._heard:.1f} s ago"
        return (
            f"{self.transport}: {len(self.values)} values, ... {self.values[-9:]}, at "
            f"{self._cursor or 'no cursor'}; {heard}; {self.doing} since "
            f"{now - self._since:.1f} s; last told {', '.join(self.told_last) or 'nothing'}; "
            f"streams ended: {', '.join(self.trail) or 'none'}; refused: {self.refusals[-5:]}; "
            f"cut: {self.cut[-5:]}"
        )

    async def ask_again(self) -> str:
        """What a new connection is given for its cursor: if that is what it lacks, then its own
        stream was not given it, and if it isn't, nobody would be."""
        other = Dashboard(self._port, "longpoll", address=self._address)
        other._query, other._cursor = f"{self._query}&wait=0", self._cursor
        try:
            async with other._connected() as stream:
                data = await other._ask(stream)
                text, _, body = data.partition(b"\r\n\r\n")
                head = Head(text)
                while len(body) < int(head.fields.get(b"content-length", b"0")):
                    with trio.fail_after(_PATIENCE):
                        more = await stream.receive_some()
                    if not more:
                        break
                    body += more
        except (Refused, *_ENDS) as error:
            return f"asked again: {error!r}"
        return f"asked again, it is given HTTP {head.status} {body[:600].decode(errors='replace')}"

    def _do(self, what: str) -> None:
        self.doing, self._since = what, trio.current_time()

    def _note(self) -> None:
        now = trio.current_time()
        if self._heard is not None:
            self.silence = max(self.silence, now - self._heard)
        self._heard = now

    async def _stream(self) -> float | None:
        """One stream; the seconds that it was asked to wait, if it was."""
        async with self._connected() as stream:
            incoming = reader(self.transport)
            data = await self._ask(stream)
            _admit(Head(data.partition(b"\r\n\r\n")[0]))
            greeted = False
            while data:
                for document in map(self._decode, incoming.feed(data)):
                    if document.type == "hello":
                        greeted = True
                    elif document.type == "goaway":
                        # A stream that begins with it is how an EventSource is refused.
                        if not greeted:
                            raise Refused("goaway", document.retry / 1000)
                        self.told += 1
                        return document.retry / 1000
                    else:
                        self._take(document)
                if replies := incoming.replies():
                    await stream.send_all(replies)
                with _patience(_DEAD, "a stream without a byte"):
                    data = bytes(await stream.receive_some())
        raise Broken("it ended")

    async def _poll(self) -> float | None:
        """One poll after another, over one connection to the proxy."""
        async with self._connected() as stream:
            first = True
            while True:
                try:
                    data = await self._ask(stream, _DEAD)
                except Silent:
                    raise
                except Broken:
                    # A connection that was used before may end with nothing said: RFC 9112, 9.3.1.
                    if first:
                        raise
                    raise Refused("the connection was closed") from None
                first = False
                text, _, body = data.partition(b"\r\n\r\n")
                head = Head(text)
                _admit(head)
                while len(body) < int(head.fields[b"content-length"]):
                    with _patience(_PATIENCE, "an answer that isn't whole"):
                        more = await stream.receive_some()
                    if not more:
                        raise Broken("an answer that isn't whole")
                    body += more
                answer = msgspec.json.decode(body, type=_Answer)
                for document in answer.documents:
                    if document.type == "goaway":
                        self._cursor = answer.id
                        self.told += 1
                        return document.retry / 1000
                    self._take(document)
                self._cursor = answer.id
                self._do(f"pauses for {self._poll_pause:.1f} s")
                await trio.sleep(self._poll_pause)
                self._heard = trio.current_time()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[trio.SocketStream]:
        self._do("connects")
        try:
            with _patience(_PATIENCE, "no connection"):
                sock = trio.socket.socket()
                try:
                    await sock.bind((self._address, 0))
                    await sock.connect(("127.0.0.1", self._port))
                except BaseException:
                    sock.close()
                    raise
        except (OSError, Broken) as error:
            raise Refused(str(error) or "no connection") from None
        async with trio.SocketStream(sock) as stream:
            yield stream

    async def _ask(self, stream: trio.SocketStream, patience: float = _PATIENCE) -> bytes:
        """Ask for what comes after the cursor; the answer's head, and what came with it."""
        target = f"{self._query}&since={self._cursor}" if self._cursor else self._query
        self._do("asks")
        await stream.send_all(request(self.transport, target, "dashboards"))
        data = b""
        with _patience(patience, "no answer"):
            while b"\r\n\r\n" not in data:
                more = await stream.receive_some()
                if not more:
                    raise Broken("no answer")
                data += more
        self._do("has its answer")
        return data

    def _take(self, document: _Document) -> None:
        values = [int(value) for _, _, value in document.points]
        self.told_last.append(f"{document.type} {document.id} {values[-6:]}")
        self._cursor = document.id or self._cursor
        if document.type == "gap":
            self.gaps.add(document.id)
        elif document.points:
            self._note()
            self.values.extend(values)


@contextmanager
def _patience(seconds: float, what: str) -> Iterator[None]:
    """Wait no longer than this. Raises Broken with what there was instead."""
    try:
        with trio.fail_after(seconds):
            yield
    except trio.TooSlowError:
        raise Silent(f"{what} for {seconds:.0f} s") from None


def _admit(head: Head) -> None:
    if head.status not in (101, 200):
        after = head.fields.get(b"retry-after")
        raise Refused(f"HTTP {head.status}", None if after is None else float(after))


class Hiccups:
    """When this process didn't get to run: what was due then comes at once, and is counted so."""

    _STEP = 0.05

    def __init__(self) -> None:
        self.found: list[tuple[float, float]] = []
        """When such a pause ended, and its seconds."""

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            due = trio.current_time() + self._STEP
            await trio.sleep_until(due)
            late = trio.current_time() - due
            if late > self._STEP:
                self.found.append((trio.current_time(), late))

    def within(self, begin: float, end: float) -> float:
        """Seconds of them that ended between two moments."""
        return sum(late for at, late in self.found if begin <= at <= end)


def peak(moments: Iterable[float], hiccups: Hiccups) -> float:
    """The most of them in any one second, by the time that there was to count them."""
    ordered = sorted(moments)
    most, start = 0.0, 0
    for end, moment in enumerate(ordered):
        while moment - ordered[start] > 1.0:
            start += 1
        count = end - start + 1
        if count > most:
            most = max(most, count / (1.0 + hiccups.within(moment - 1.5, moment)))
    return most


class Crowd:
    """Dashboards on all transports in equal parts, each from an address of its own."""

    def __init__(
        self,
        ports: Sequence[int],
        size: int,
        *,
        max_hz: float,
        poll_pause: float,
        per_second: float,
        first: int = 0,
    ) -> None:
        """At these proxies' ports in turns; so many come each second. `first` is the number of
        its first, where there are several crowds. Raises what this process may open, if it is less
        than they need."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < size + _SPARE_FILES:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(size + _SPARE_FILES, hard), hard))
        self.hiccups = Hiccups()
        self._per_second = per_second
        self.watching = [
            Dashboard(
                ports[number // len(TRANSPORTS) % len(ports)],
                TRANSPORTS[number % len(TRANSPORTS)],
                max_hz=max_hz,
                poll_pause=poll_pause,
                address=f"127.1.{number // 250}.{number % 250 + 1}",
            )
            for number in range(first, first + size)
        ]

    async def run(self) -> None:
        """Come, and follow until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.hiccups.run)
            for number, one in enumerate(self.watching):
                nursery.start_soon(one.run)
                if number % 25 == 24:
                    await trio.sleep(25 / self._per_second)

    async def everyone_live(self, wanted: Sequence[int], seconds: float) -> None:
        """Wait until each was given something as new as these numbers. Raises AssertionError."""
        await self._all(lambda one: is_live(one.values, wanted), "aren't live", seconds)

    async def everyone_through(self, published: Sequence[int], seconds: float) -> None:
        """Wait until each was given the last of so many of each producer. Raises
        AssertionError."""
        await self._all(lambda one: is_through(one.values, published), "lack the end", seconds)

    async def _all(self, fine: Callable[[Dashboard], bool], what: str, seconds: float) -> None:
        late = self.watching
        with trio.move_on_after(seconds):
            while late := [one for one in late if not fine(one)]:
                await trio.sleep(0.1)
        if late:
            sorts = dict(Counter(one.transport for one in late))
            stories = [f"{one.story()}; {await one.ask_again()}" for one in late[:3]]
            raise AssertionError(
                f"{len(late)} of {len(self.watching)} {what} within {seconds:.0f} s ({sorts}); "
                + " | ".join(stories)
            )

    @property
    def cuts(self) -> Counter[str]:
        """How streams ended whose client wasn't told to go."""
        return Counter(cut for one in self.watching for cut in one.cut)

    @property
    def told(self) -> int:
        return sum(one.told for one in self.watching)

    @property
    def refusals(self) -> Counter[str]:
        """How dashboards were to come back later, or found nobody."""
        return Counter(why for one in self.watching for why in one.refusals)

    @property
    def slowest(self) -> Dashboard:
        """Who was without news for the longest."""
        return max(self.watching, key=lambda one: one.silence)

    def returns(self, since: float) -> list[float]:
        """When somebody came back, from a moment on."""
        return [at for one in self.watching for at in one.returns if at >= since]

    def faults(self, published: Sequence[int]) -> list[str]:
        """What records have otherwise than it was published, gaps included."""
        found = [
            f"{fault}; {one.story()}"
            for one in self.watching
            for fault in faults(one.values, published)
        ]
        return found + [
            f"{one.transport}: {len(one.gaps)} gaps" for one in self.watching if one.gaps
        ]
