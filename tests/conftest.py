"""Which tests are everyday ones, and in what order all of them run.

`real`: talks to a service over sockets, or runs programs. A module that imports what starts these
has the marker by that, so that none is forgotten. `long`: takes long by its nature, and is left to
`make test-long`; written where the test is.

Where `RERUNS` says so, a test that is `real` and fails is tried again: on a machine that others use
as well it may have failed for lack of time. Which did is told at the end, and written to
`artifacts/retried.txt`.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import pytest_timeout
import structlog

from tests.authority import Authority

STARTERS = (
    "tests.serving",
    "tests.cli.forked",
    "tests.proxies.",
    "tests.chaos.",
    "tests.bench.",
    "tests.k8s.",
    "tests.journal.valkey_server",
    "pushsvc.demo",
)
IMPORTS = re.compile(
    rf"^(?:from (?:{'|'.join(map(re.escape, STARTERS))})|import subprocess\b)", re.MULTILINE
)
"""Where the text of a module says as much, for who wants none of these: it isn't imported then."""

RERUNS = int(os.environ.get("RERUNS") or 0)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    unit = str(config.getoption("markexpr")).startswith("not real")
    if unit and collection_path.suffix == ".py" and IMPORTS.search(collection_path.read_text()):
        return True
    return None


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """`capture_logs` leaves structlog set up, and then nothing goes to the standard library's."""
    yield
    structlog.reset_defaults()


def starts_something(module: ModuleType) -> bool:
    assert module.__file__ is not None
    if IMPORTS.search(Path(module.__file__).read_text()):
        return True
    for value in vars(module).values():
        origin = getattr(value, "__module__", None) or getattr(value, "__name__", "")
        if value is subprocess or (isinstance(origin, str) and origin.startswith(STARTERS)):
            return True
    return False


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs for services that are tried over TLS."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    modules: dict[ModuleType, bool] = {}
    for item in items:
        module = item.getparent(pytest.Module)
        assert module is not None
        if modules.setdefault(module.obj, starts_something(module.obj)):
            item.add_marker("real")
            if RERUNS:
                # A hang leaves Trio's loop of this process where it was.
                item.add_marker(
                    pytest.mark.flaky(reruns=RERUNS, rerun_except="from pytest-timeout")
                )
    # Those that wait begin first: at the end nothing would be left to run beside them.
    items.sort(key=lambda item: item.get_closest_marker("real") is None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if getattr(item, "execution_count", 1) > 1:
        # pytest-timeout has one time for all tries, and stops it with the first failure.
        settings = pytest_timeout._get_item_settings(item)
        item.config.hook.pytest_timeout_set_timer(item=item, settings=settings)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if hasattr(terminalreporter.config, "workerinput"):  # what it knows is told by who started it
        return
    figures = [
        said
        for report in terminalreporter.getreports("passed")
        for name, said in report.user_properties
        if name == "figures" and report.when == "call"
    ]
    if figures:
        terminalreporter.section("figures")
        terminalreporter.write_line("\n".join(map(str, figures)))
    failed = {
        report.nodeid
        for outcome in ("failed", "error")
        for report in terminalreporter.getreports(outcome)
    }
    lines = []
    for report in terminalreporter.getreports("rerun"):
        if report.nodeid not in failed:
            terminalreporter.section(f"first try of {report.nodeid}")
            terminalreporter.write_line(report.longreprtext)
            # Without the frame that is drawn around groups of errors.
            said = [line.strip(" |+-") for line in report.longreprtext.splitlines()]
            errors = [line for line in said if re.match(r"[\w.]+(Error|Exception|Group)\b", line)]
            why = (errors or said)[-1]
            lines.append(f"passed at the second try: {report.nodeid}: {why}")
    if lines:
        terminalreporter.section("passed at the second try")
        terminalreporter.write_line("\n".join(lines))
        artifacts = terminalreporter.config.invocation_params.dir / "artifacts"
        artifacts.mkdir(exist_ok=True)
        with (artifacts / "retried.txt").open("a") as told:
            told.writelines(f"{line}\n" for line in lines)
