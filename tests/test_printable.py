"""No text of a stranger reaches a terminal or a log with what would move, colour or turn it."""

from __future__ import annotations

import io
import json
import logging

import click
import pytest
import structlog
from rich.console import Console

from pushsvc.cli.options import fail
from pushsvc.cli.table import _Board
from pushsvc.cli.tail import _lines
from pushsvc.client import Points, Sample, Series
from pushsvc.client.stream import Statistics
from pushsvc.log import configure_logging
from pushsvc.printable import printable

EVIL = "a\x1b[31m\x07\x1b]0;t\x07\x9b2J\u202eb\u2066\r\n"
UNSAFE = set("\x1b\x07\x9b\u202e\u2066\r")


class _Stream:
    """A stream of one sample whose every text is hostile."""

    statistics = Statistics(phase="waiting", reason=EVIL, retry_in=1.0)

    def __init__(self) -> None:
        series = Series(ref=1, name=EVIL, labels={EVIL: EVIL}, kind="state", unit=EVIL)
        self.event = Points(cursor="a.1", samples=[Sample(series, 1, EVIL)])

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        yield self.event


def test_escapes_are_those_of_json_and_nothing_else_changes() -> None:
    assert not UNSAFE & set(printable(EVIL))
    assert json.loads(f'"{printable(EVIL)}"') == EVIL
    assert printable("Zürich 東京 שלום 🙂") == "Zürich 東京 שלום 🙂"


def test_the_table_of_tail() -> None:
    stream, board = _Stream(), _Board()
    board.take(stream.event)
    out = io.StringIO()
    console = Console(file=out, width=400, color_system=None)
    console.print(board.render(stream, "http://a", 20))  # type: ignore[arg-type]
    assert "\\u001b[31m" in out.getvalue()
    assert not UNSAFE & set(out.getvalue())


class _Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


async def test_lines_of_tail_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    monkeypatch.setattr("sys.stdout", _Terminal(out))
    await _lines(_Stream())  # type: ignore[arg-type]
    text = out.getvalue().decode()
    assert not UNSAFE & set(text)
    assert json.loads(text)["name"] == EVIL


def test_a_command_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fail(EVIL)
    assert click.unstyle(text := capsys.readouterr().err) == text
    assert not UNSAFE & set(text)


@pytest.mark.parametrize("format", ["console", "json"])
def test_the_log(format: str, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: A002
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        configure_logging("info", format)
        structlog.get_logger("a").warning("refused", reason=EVIL, several=[EVIL])
        logging.getLogger("b").warning("said %s", EVIL)
        try:
            raise ValueError(EVIL)
        except ValueError:
            structlog.get_logger("c").exception("failed")
    finally:
        root.handlers[:], root.level = before, level
        structlog.reset_defaults()
    text = capsys.readouterr().err
    assert text.count("b\\u2066") + text.count("\\u2066") >= 3
    assert not UNSAFE & set(text)
