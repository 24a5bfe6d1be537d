"""No text of a stranger reaches a terminal or a log with what would move, colour or turn it."""

from __future__ import annotations

import ast
import io
import json
import logging
from pathlib import Path

import click
import httpx
import pytest
import structlog
from click.testing import CliRunner
from rich.console import Console

import pushsvc
from pushsvc.cli import main
from pushsvc.cli.options import fail
from pushsvc.cli.tail import _lines
from pushsvc.cli.tail.table import _Board
from pushsvc.client import Points, Sample, Series
from pushsvc.client.stream import Statistics
from pushsvc.doctor.findings import Finding, Report
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


def test_what_a_service_answers_to_health(monkeypatch: pytest.MonkeyPatch) -> None:
    for status in (200, 503):
        said = httpx.Response(status, text=EVIL)
        monkeypatch.setattr("httpx.Client.get", lambda *_, said=said, **__: said)
        result = CliRunner().invoke(main, ["health", "--url", "http://127.0.0.1:1"])
        assert "\\u001b[31m" in result.output
        assert not UNSAFE & set(result.output)


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_the_doctor_s_report(more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    finding = Finding("total", "problem", f"{EVIL} said so")
    report = Report("http://a", False, 1.0, 1.0, (finding,), (EVIL,), ())

    async def examined(*_: object) -> Report:
        return report

    monkeypatch.setattr("pushsvc.doctor.examine.examine", examined)
    result = CliRunner().invoke(main, ["doctor", "http://127.0.0.1:1", *more])
    assert "\\u001b[31m" in result.output
    assert not UNSAFE & set(result.output)
    if more:
        assert json.loads(result.output)["seen"] == [EVIL]


CLI = Path(pushsvc.__file__).parent / "cli"
COMMANDS = sorted(CLI.rglob("*.py"))
WRITERS = {"echo", "secho", "print", "write", "writelines", "echo_via_pager", "pager", "dup2"}
MAY = {
    "terminal.py": WRITERS,
    "tail/__init__.py": {"dup2"},  # to nowhere, when the reader has gone
}


def written_by(source: str) -> set[str]:
    """By what the functions of a module write."""
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    names = {
        func.attr if isinstance(func, ast.Attribute) else func.id
        for func in calls
        if isinstance(func, ast.Attribute | ast.Name)
    }
    return names & WRITERS


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.relative_to(CLI).as_posix())
def test_commands_write_by_what_escapes(path: Path) -> None:
    name = path.relative_to(CLI).as_posix()
    by = written_by(path.read_text()) - MAY.get(name, set())
    assert not by, f"{name} writes by {by}: use pushsvc/cli/terminal.py"


def test_a_command_that_would_write_otherwise_is_found() -> None:
    for line in ("click.echo(x)", "print(x)", "sys.stdout.buffer.write(x)", "console.print(x)"):
        assert written_by(f"def command(x):\n    {line}\n")
    assert not written_by("def command(x):\n    say(x)\n    text.append(x)\n")
