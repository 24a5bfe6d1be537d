"""`python -m tests.bench`: run the benchmarks, and write what they measured."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.bench import (
    coding,
    decode,
    expressions,
    fanout,
    frames,
    growth,
    hostile,
    ingest,
    journal,
    memory,
    paint,
    pods,
    promql,
    rolling,
    soak,
    stalled,
    storm,
    tabs,
    tls,
    valkey,
    workers,
    yielding,
)
from tests.bench.coding import Codings
from tests.bench.decode import Decoders
from tests.bench.expressions import Expressions
from tests.bench.fanout import Fanout
from tests.bench.frames import Frames, FramesCase
from tests.bench.growth import Growth
from tests.bench.hostile import Hostile
from tests.bench.ingest import Ingest, IngestCase
from tests.bench.journal import Journal
from tests.bench.memory import Memory
from tests.bench.paint import Paint
from tests.bench.plot import Plot
from tests.bench.pods import Pods
from tests.bench.process import Failed
from tests.bench.promql import Promql
from tests.bench.report import Machine, Target, machine
from tests.bench.rolling import Rolled
from tests.bench.soak import Soak
from tests.bench.stalled import Stalled
from tests.bench.storm import Handshakes
from tests.bench.systems import BROADCAST, FLOOR_C, NAIVE, NCHAN, PUSHSVC, checkout
from tests.bench.tabs import Tabs
from tests.bench.tls import Tls, TlsCase
from tests.bench.valkey import Valkey
from tests.bench.workers import Workers
from tests.bench.yielding import Yielding, YieldingCase

# The cases by which the service is judged.
_BIG_BATCH = 10_000
_MANY = 1_000
_STEP_MS = {
    ("sum by (x) (rate(c[1m]))", 1_000): 3.0,
    ("sum by (x) (rate(c[1m]))", 10_000): 30.0,
    ("histogram_quantile(0.99, c)", 2_400): 2.0,
}


class _Case(Protocol):
    @property
    def title(self) -> str: ...

    @property
    def steps(self) -> int: ...

    def run(self, step: Any) -> Any: ...


class Failure(msgspec.Struct, frozen=True):
    """A case that could not be measured."""

    case: str
    reason: str


class Outcome(msgspec.Struct):
    """All that a run found out."""

    machine: Machine
    quick: bool
    fanout: list[Fanout] = []
    ingest: list[Ingest] = []
    decode: list[Decoders] = []
    expressions: list[Expressions] = []
    promql: list[Promql] = []
    hostile: list[Hostile] = []
    memory: list[Memory] = []
    frames: list[Frames] = []
    tls: list[Tls] = []
    coding: list[Codings] = []
    storm: list[Handshakes] = []
    stalled: list[Stalled] = []
    tabs: list[Tabs] = []
    paint: list[Paint] = []
    soak: list[Soak] = []
    journal: list[Journal] = []
    valkey: list[Valkey] = []
    pods: list[Pods] = []
    rolling: list[Rolled] = []
    growth: list[Growth] = []
    workers: list[Workers] = []
    yielding: list[Yielding] = []
    targets: list[Target] = []
    failures: list[Failure] = []
    seconds: float = 0.0
    complete: bool = False
    """Whether all cases were run."""


_BENCHMARKS: dict[str, ModuleType] = {
    each.__name__.rpartition(".")[2]: each
    for each in (
        decode,
        expressions,
        promql,
        hostile,
        ingest,
        memory,
        frames,
        tls,
        coding,
        fanout,
        storm,
        stalled,
        tabs,
        paint,
        soak,
        journal,
        valkey,
        pods,
        rolling,
        workers,
        yielding,
        growth,
    )
}
"""Modules of one kind of case each, by name and in the order they are run."""
_TITLES = {
    "fanout": "Fan-out of a dashboard of 50 series",
    "ingest": "Ingest",
    "decode": "Decoding, beside the library that each format has",
    "expressions": "A step of an expression, one second after the other",
    "promql": "One question, asked all the time",
    "hostile": "Hostile expressions, and who watches something else",
    "memory": "Memory",
    "frames": "One frame to one subscriber",
    "tls": "TLS that ends in the process, beside plain sockets",
    "coding": "Streams in a content coding, beside plain ones",
    "storm": "Handshakes",
    "stalled": "One client in ten is stalled",
    "tabs": "Tabs of a dashboard of 8 panels among 5,000 series",
    "paint": "First paint of a dashboard",
    "soak": "A page that is left open",
    "journal": "The journal, and that in a file of SQLite",
    "valkey": "A journal at a Valkey, between processes",
    "pods": "Three processes on one log at a Valkey, dashboards at one and producers at two",
    "workers": "Two workers beside one process",
    "growth": "How costs grow",
    "yielding": "Ingest beside dashboards, on one core",
    "rolling": "Three processes on one log at a Valkey, replaced while dashboards watch",
}


def _cases(names: Sequence[str], *, quick: bool, beside: Path | None) -> list[_Case]:
    other = None if beside is None else checkout(beside.resolve())
    return [
        msgspec.structs.replace(case, beside=other)
        if isinstance(case, FramesCase | TlsCase | IngestCase | YieldingCase)
        else case
        for name, module in _BENCHMARKS.items()
        if name in names
        for case in module.cases(quick=quick)
    ]


def _run(cases: Sequence[_Case], outcome: Outcome, console: Console) -> None:
    """Run the cases in order into the outcome, and tell how far it is."""
    with Progress(
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("", total=sum(case.steps for case in cases))
        for number, case in enumerate(cases, 1):
            progress.console.print(f"[{number}/{len(cases)}] {case.title}", markup=False)
            target = progress.tasks[0].completed + case.steps

            def step(description: str) -> None:
                progress.update(task, advance=1, description=description)

            try:
                found = case.run(step)
            except Failed as error:
                outcome.failures.append(Failure(case.title, str(error)))
                progress.console.print(f"    failed: {error}", markup=False, style="red")
            else:
                name = type(case).__module__.rpartition(".")[2]
                getattr(outcome, name).append(found)
            progress.update(task, completed=target)


def _targets(outcome: Outcome) -> Iterator[Target]:
    for batch in outcome.ingest:
        if batch.samples == _BIG_BATCH:
            what = f"ingest, samples/s of one core, batches of {batch.samples:,} of "
            what += f"{batch.series:,} series"
            yield Target(what, 200_000, batch.intakes[0].per_core.median)
    for decoders in outcome.decode:
        what = f"samples/s decoded by one core, {decoders.format}"
        yield Target(what, 300_000, decoders.ours.median)
    for asked in outcome.expressions:
        wanted = _STEP_MS.get((asked.expression, asked.series))
        if wanted is not None:
            what = f"ms of a step, {asked.expression}, {asked.series:,} series"
            yield Target(what, wanted, asked.step_ms.median, at_most=True)
    for asked_much in outcome.hostile:
        what = f"p99 of others in ms, {asked_much.what}, {asked_much.series:,} series"
        most = asked_much.p99_hostile_ms.median
        yield Target(what, hostile.WANTED_MS, most, at_most=True)
    for case in outcome.fanout:
        for delivery, times in zip(case.deliveries, case.times_ours(), strict=True):
            if case.clients < _MANY or delivery.system.startswith(PUSHSVC.name):
                continue
            what = f"50 series {case.pattern}, {case.transport}, {case.clients:,} subscribers: "
            wanted = 20 if delivery.system == NAIVE.name else 10
            yield Target(f"{what}{delivery.system} ÷ pushsvc", wanted, times)
    for sending in outcome.frames:
        for sent in sending.sent:
            if sent.system == PUSHSVC.name:
                what = f"CPU of a frame of {sending.size} bytes, {sending.transport}, "
                what += f"{sending.clients:,} subscribers: pushsvc ÷ floor"
                yield Target(what, 1.2, sent.times_floor.median, at_most=True)
    for over_tls in outcome.tls:
        of = f"{over_tls.transport}, frames of {over_tls.size} bytes"
        secured = over_tls.secured[1]
        times = secured.times_plain.median
        yield Target(f"CPU of a frame, TLS ÷ plain, {of}", 2.0, times, at_most=True)
        kib = secured.bytes_per_connection / 1024
        # OpenSSL's own connection takes 13.4.
        yield Target(f"KiB for a connection with TLS, {of}", 16, kib, at_most=True)
    for held in outcome.memory:
        if held.transport != "longpoll":
            what = f"KiB for an idle connection, {held.transport}, {held.clients:,} of them"
            kib = held.footprints[0].bytes_per_connection / 1024
            yield Target(what, 1.5, kib, at_most=True)
    for crowd in outcome.storm:
        what = f"µs of CPU for a handshake, {crowd.transport}, requests: {crowd.kind}"
        yield Target(what, storm.MOST_US[crowd.kind], crowd.answered[0].cpu_us.median, at_most=True)
    for stall in outcome.stalled:
        what = f"rise of the others' p99 while a tenth is stalled, {stall.transport}"
        yield Target(what, 0.25, stalled.change(stall.endured[0]), at_most=True)
    for opened in outcome.tabs:
        if opened.tabs == 1 and not outcome.quick:
            kilobytes = opened.asked[0].first_deflated / 1000
            yield Target("kB of a dashboard's first load", 300, kilobytes, at_most=True)
    for painted in outcome.paint:
        what = f"ms from the script to the picture, {painted.points:,} points"
        yield Target(what, 300, painted.painted_ms.median, at_most=True)
        yield Target("share of first pictures within 300 ms", 0.95, painted.share(300.0))
        yield Target("ms from nothing to the picture", 700, painted.cold_ms.median, at_most=True)
    for soaked in outcome.soak:
        page = soaked.runs[0]
        yield Target("CPU of the page, of one core", 0.15, page.cpu, at_most=True)
        yield Target("growth of the page's memory after a minute", 0.02, page.growth, at_most=True)
        what = f"frames a second, {page.in_sight} panels in sight"
        yield Target(what, 59, page.fps)
    yield from _journal_targets(outcome)
    yield from _valkey_targets(outcome)
    yield from _pods_targets(outcome)
    for shared in outcome.workers:
        [_, two] = shared.shared
        of = f"{shared.transport}, {shared.clients:,} subscribers"
        yield Target(f"CPU of a frame, 2 workers ÷ 1, {of}", 1.1, two.frame_times, at_most=True)
        times = two.handshake_times
        yield Target(f"CPU of a handshake, 2 workers ÷ 1, {of}", 1.1, times, at_most=True)
        most = max(two.spread) / shared.clients
        yield Target(f"share of the fuller of 2 workers, {of}", 0.55, most, at_most=True)
    for shared_core in outcome.yielding:
        ours = shared_core.beside[0]
        what = f"p99 in ms from POST to {shared_core.clients:,} dashboards at 10 Hz, beside "
        what += f"{yielding.OFFERED:,} samples/s offered in batches of {shared_core.samples:,}"
        yield Target(what, yielding.WANTED_MS, ours.p99_ms.median, at_most=True)
    for grown in outcome.growth:
        for line in grown.plot.lines:
            what = f"slope of the cost by {grown.axis}, {line.name}"
            yield Target(what, growth.STEEPEST, line.slope, at_most=True)
    for rolled in outcome.rolling:
        if not rolled.cut:
            what = f"dashboards asked back in a second, {rolled.what}, {rolled.clients:,} of them"
            yield Target(what, rolling.WANTED_PER_SECOND, rolled.asked, at_most=True)


def _journal_targets(outcome: Outcome) -> Iterator[Target]:
    for log in outcome.journal:
        of = f"batches of {log.shape.series:,} x {log.shape.each}"
        if log.warm_seconds is not None:
            what = f"seconds for 10 M samples of a file at a start, {of}"
            yield Target(what, 15, log.warm_seconds, at_most=True)
        elif log.what == "entries to histories":
            what = f"samples/s from an entry's bytes to histories, one core, {of}"
            yield Target(what, 1_000_000, log.per_second.median)


def _valkey_targets(outcome: Outcome) -> Iterator[Target]:
    for log in outcome.valkey:
        if log.p50_ms is not None and log.p99_ms is not None:
            what = f"ms from append to another process, {log.what}"
            yield Target(f"{what}, median", 3, log.p50_ms.median, at_most=True)
            yield Target(f"{what}, p99", 25, log.p99_ms.median, at_most=True)
        of = f"batches of {log.samples:,}"
        if log.per_second is not None:
            what = f"samples/s through one log at a Valkey, {of}"
            yield Target(what, 200_000, log.per_second.median)
        if log.cold_seconds is not None:
            what = f"seconds for a million samples of a log at a Valkey, {of}"
            yield Target(what, 3, log.cold_seconds.median, at_most=True)


def _pods_targets(outcome: Outcome) -> Iterator[Target]:
    for several in outcome.pods:
        what = f"{several.wanted:,.0f} batches a second"
        what = f"ms from an append to another process's frame, {what}"
        yield Target(f"{what}, median", 3, several.appended_p50_ms.median, at_most=True)
        yield Target(f"{what}, p99", 25, several.appended_p99_ms.median, at_most=True)


def _plots(outcome: Outcome) -> Iterator[tuple[str, Plot]]:
    """Pictures of what was measured, by the names of their files."""
    for grown in outcome.growth:
        yield f"growth-{grown.axis}", grown.plot
    if (cost := fanout.plot(outcome.fanout)) is not None:
        yield "cost-of-fanout", cost


def _print(outcome: Outcome, console: Console) -> None:
    facts = outcome.machine
    console.print()
    console.print(
        f"{facts.cpu}, {facts.cores} cores (server on {facts.server_core}, load on "
        f"{facts.load_core}), load {facts.load_average:.2f} at the start\n"
        f"{facts.system}, {facts.python}, "
        + ", ".join(f"{name} {version}" for name, version in facts.versions.items())
        + f"; revision {facts.revision}",
        highlight=False,
    )
    for name, module in _BENCHMARKS.items():
        found = getattr(outcome, name)
        if found:
            left = 3 if name in ("fanout", "ingest", "frames", "tls") else 2
            lines = [module.rows(each) for each in found]
            _print_table(console, _TITLES[name], module.COLUMNS, lines, left)
    for target in outcome.targets:
        verdict = "[green]reached[/]" if target.reached else "[red]missed[/]"
        console.print(
            f"{verdict}: {target.what}: {target.measured:,.3g}, "
            f"{'at most' if target.at_most else 'at least'} {target.wanted:,.3g} wanted",
            highlight=False,
        )
    for failure in outcome.failures:
        console.print(f"failed: {failure.case}: {failure.reason}", markup=False, style="red")


def _print_table(
    console: Console,
    title: str,
    columns: Sequence[str],
    cases: Sequence[Iterator[tuple[str, ...]]],
    left: int,
) -> None:
    table = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number <= left else "right")
    for case in cases:
        for row in case:
            table.add_row(*row)
        table.add_section()
    console.print()
    console.print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=(
            "Measure the service beside the bare socket, its peers and the naive service (a "
            "handler, a channel and a send per client and sample), interleaved in one run. Each "
            "server runs on one core and the load on another; figures are medians of rounds. All "
            "samples are checked: each client must get each one once and in order."
        ),
        epilog="Exit status: 0 if all was measured, 1 if a case failed, 130 if interrupted.",
    )
    parser.add_argument(
        "what",
        nargs="*",
        metavar="|".join(_BENCHMARKS),
        help="what to measure (default: all of it)",
    )
    parser.add_argument("--quick", action="store_true", help="fewer cases, in about two minutes")
    parser.add_argument(
        "--beside",
        type=Path,
        metavar="FOLDER",
        help="sources of another revision, measured in turn with ours (frames, ingest, yielding)",
    )
    parser.add_argument(
        "--json",
        type=Path,
        default=Path("artifacts/bench.json"),
        metavar="FILE",
        help="where to write the figures (default: %(default)s)",
    )
    parser.add_argument(
        "--plots",
        type=Path,
        default=Path("artifacts"),
        metavar="FOLDER",
        help="where to draw growth and fanout, as SVG (default: %(default)s; docs has those that "
        "are kept)",
    )
    arguments = parser.parse_args()
    for name in arguments.what:
        if name not in _BENCHMARKS:
            parser.error(f"there is no benchmark {name}: choose from {', '.join(_BENCHMARKS)}")
    arguments.what = arguments.what or list(_BENCHMARKS)
    return arguments


def main() -> int:
    arguments = _arguments()
    # Ended from outside, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(width=None if sys.stdout.isatty() else 160)
    outcome = Outcome(machine(), arguments.quick)
    for system in (FLOOR_C, BROADCAST, NCHAN):
        if (reason := system.missing()) is not None:
            console.print(f"without {system.name}: {reason}", style="yellow")
    began = time.monotonic()
    status = 0
    try:
        cases = _cases(arguments.what, quick=arguments.quick, beside=arguments.beside)
        _run(cases, outcome, console)
        outcome.complete = True
    except KeyboardInterrupt:
        console.print("interrupted: what was measured so far follows", style="yellow")
        status = 130
    outcome.seconds = round(time.monotonic() - began, 1)
    outcome.targets = list(_targets(outcome))
    _print(outcome, console)
    for name, plot in _plots(outcome):
        file = arguments.plots / f"{name}.svg"
        plot.write(file)
        console.print(f"drawn in {file}", highlight=False)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(outcome)) + b"\n")
    console.print(f"written to {arguments.json} after {outcome.seconds:.0f} s", highlight=False)
    return status or (1 if outcome.failures else 0)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
