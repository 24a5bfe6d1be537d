"""When batches arrived: ages are counted by the journal's clock, never by a producer's."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import inf


class Arrivals:
    """How far the seq had got at the end of each second in which something arrived.

    Times are seconds of the journal's clock, rounded down to whole ones. So the marks are the same
    at whichever entry of the log one began to set them.
    """

    def __init__(self) -> None:
        self._marks: list[tuple[int, int]] = []  # (second, seq)
        self.whole = True
        """Whether it has marks for all batches since the log began: none was forgotten or left
        out."""

    def __len__(self) -> int:
        return len(self._marks)

    def mark(self, time: float, seq: int) -> None:
        """Note that batch `seq` arrived at this time, which is never earlier than the last."""
        second = int(time)
        if self._marks and self._marks[-1][0] >= second:
            self._marks[-1] = (self._marks[-1][0], seq)
        else:
            self._marks.append((second, seq))

    def before(self, time: float) -> int:
        """Seq of the newest batch that came in a second which was over at `time`; -1 if there is
        none."""
        over = bisect_right(self._marks, (time - 1, inf))
        return self._marks[over - 1][1] if over else -1

    def cuts(self, times: Sequence[int]) -> list[tuple[int, int]]:
        """For each of these seconds, which must ascend: the seq of the newest batch that came
        before it (-1 if there is none), and the second in which the next batch came (the asked one
        itself if none has come yet)."""
        found = []
        marks = iter(self._marks)
        newest, following = -1, next(marks, None)
        for time in times:
            while following is not None and following[0] < time:
                newest, following = following[1], next(marks, None)
            found.append((newest, time if following is None else following[0]))
        return found

    def second_of(self, seq: int) -> int | None:
        """The second in which batch `seq` came; None if that isn't known."""
        before = -1
        for second, last in self._marks:
            if last >= seq:
                return second if before >= 0 or seq == last else None
            before = last
        return None

    @property
    def first(self) -> int | None:
        """The first second that is known."""
        return self._marks[0][0] if self._marks else None

    @property
    def newest(self) -> int:
        """The last second that is known; 0 if there is none."""
        return self._marks[-1][0] if self._marks else 0

    def forget(self, time: float) -> None:
        """Drop the marks that no question about `time` or later needs."""
        over = bisect_right(self._marks, (time - 1, inf))
        if over > 1:
            del self._marks[: over - 1]
            self.whole = False

    def dump(self) -> list[tuple[int, int]]:
        """The marks, for `load`."""
        return list(self._marks)

    def load(self, marks: list[tuple[int, int]]) -> None:
        self._marks = list(marks)
        self.whole = False
