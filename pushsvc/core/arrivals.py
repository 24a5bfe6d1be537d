"""When batches arrived: ages are counted by the server's clock, never by a producer's."""

from __future__ import annotations

from collections import deque


class Arrivals:
    """How far the seq had got, noted about once a second."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()  # (now, seq)

    def __len__(self) -> int:
        return len(self._marks)

    def mark(self, now: float, seq: int) -> None:
        """Note that batch `seq` is the newest now."""
        if not self._marks or (now - self._marks[-1][0] >= 1.0 and self._marks[-1][1] < seq):
            self._marks.append((now, seq))

    def before(self, time: float) -> int:
        """Seq of the newest batch known to have arrived before `time`; -1 if there is none."""
        newest = -1
        for at, seq in self._marks:
            if at > time:
                break
            newest = seq
        return newest

    def forget(self, time: float) -> None:
        """Drop the notes that no question about `time` or later needs."""
        while len(self._marks) > 1 and self._marks[1][0] <= time:
            self._marks.popleft()
