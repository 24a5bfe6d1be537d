"""What happened in a simulation, for who reads why it broke."""

from __future__ import annotations

import trio

_PAGE = 90


class Story:
    """Lines of who did what when."""

    def __init__(self) -> None:
        self.lines: list[tuple[float, str, str]] = []

    def tell(self, who: str, what: str) -> None:
        self.lines.append((trio.current_time(), who, what))

    def page(self, about: str = "") -> str:
        """All that the world did, and whom it is about; the last of it where that is too much."""
        kept = [line for line in self.lines if line[1] in ("world", "log", about)]
        kept = kept or self.lines
        left_out = len(kept) - _PAGE
        text = [f"{time:9.3f} s  {who:<12} {what}" for time, who, what in kept[-_PAGE:]]
        if left_out > 0:
            text.insert(0, f"... {left_out} lines before")
        return "\n".join(text)


class Broken(AssertionError):
    """A rule was broken; says which, and by whom."""

    def __init__(self, who: str, rule: str) -> None:
        super().__init__(f"{who}: {rule}")
        self.who = who
