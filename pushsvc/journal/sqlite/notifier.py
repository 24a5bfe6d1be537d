"""How processes that share a file tell each other what they have appended: by a datagram, which
contains the entries if they are small.

A process that receives the next entries this way needn't read the file. A lost datagram does no
harm: its entries are in the file, and the file is read when entries are missing, when a datagram
may have been lost, and from time to time. Without a notifier the file is polled all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from pushsvc.journal.datagrams import Datagrams
from pushsvc.journal.keeping import Mark


class News(msgspec.Struct, array_like=True, frozen=True):
    """The entries of one append, or only that there was one."""

    epoch: str
    horizon: Mark
    end: Mark
    """The end of the log after it."""
    entries: Sequence[tuple[int, int, bytes]] = ()
    """For each the first seq, the stamp and the bytes; empty if they are too large."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(News).decode


class AppendNotifier:
    """The notifier of one of `count` processes, which all use `folder`."""

    def __init__(self, folder: Path, index: int, count: int) -> None:
        self._datagrams = Datagrams(folder, index, count)

    def notify(self, news: News) -> None:
        """Tell the other processes. One that isn't running, or whose queue is full, is skipped."""
        data = _encode(news)
        if len(data) > self._datagrams.most:
            data = _encode(News(news.epoch, news.horizon, news.end))
        self._datagrams.send(data)

    async def wait(self) -> list[News]:
        """Wait for news from other processes, and return all that has come. If that is more than
        one, others may have been lost: a process is only skipped if its queue is full."""
        first = await self._datagrams.wait()
        return [_read(data) for data in (first, *self._datagrams.take())]

    def close(self) -> None:
        self._datagrams.close()


def _read(data: bytes) -> News:
    try:
        return _decode(data)
    except msgspec.DecodeError:
        return News("", Mark(), Mark())  # an epoch that no reader has
