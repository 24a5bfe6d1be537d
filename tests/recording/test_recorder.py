"""Recorded expressions of a service that runs."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from pushsvc import Service, open_service
from pushsvc.core.hub import Hub
from pushsvc.core.model.series import Batch, Rows, identify
from pushsvc.core.resources.limits import Limits, Pacing, Retention
from pushsvc.pipeline import now_ms
from pushsvc.recording.recorder import Recorder, _grouped, _Recorded
from pushsvc.recording.rules import load_rules

RULES = """
[[record]]
name = "job:c:sum"
expression = "sum by (job) (c)"
labels = {team = "web"}
unit = "bytes"
help = "A sum."

[[record]]
name = "doubled"
expression = "job:c:sum * 2"
"""


async def until(true: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not true():
            await trio.sleep(0.05)


def newest(service: Service, text: str) -> Any:
    series = service._context.hub.catalog.get(text)
    found = None if series is None else series.history.latest()
    return None if found is None else found[1]


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    return file


async def test_results_appear_as_series(rules: Path) -> None:
    async with open_service({"recording": {"file": str(rules)}}) as service:
        await service.publish(
            [{"name": "c", "value": n, "labels": {"job": "a", "n": str(n)}} for n in (1, 2)]
        )
        await until(lambda: newest(service, 'job:c:sum{job="a",team="web"}') == 3.0)
        # One that asks for another one's results has those of the same step.
        await until(lambda: newest(service, 'doubled{job="a",team="web"}') == 6.0)
        catalog = service._context.hub.catalog
        series = catalog.get('job:c:sum{job="a",team="web"}')
        doubled = catalog.get('doubled{job="a",team="web"}')
        assert series is not None
        assert doubled is not None
        assert (series.unit, series.help, series.kind) == ("bytes", "A sum.", "gauge")
        assert doubled.unit == "bytes"  # which its rule doesn't say
        time, _ = series.history.sample(series.history.first)
        assert time % 1000 == 0
        assert doubled.history.sample(doubled.history.first)[0] == time
        assert service._context.hub.counts["recorded_samples"] >= 2
        # A result that is no more ends.
        await service.publish(
            [{"name": "c", "value": None, "labels": {"job": "a", "n": str(n)}} for n in (1, 2)]
        )
        await until(lambda: series.history.ended is not None)


async def test_a_result_that_another_process_recorded_last_ends_too(rules: Path) -> None:
    async with open_service() as service:
        context = service._context
        limits = Limits()
        one, other = (
            Recorder(
                rules,
                load_rules(rules, limits),
                context.hub,
                context.pipeline,
                limits,
                shared=True,
            )
            for _ in range(2)
        )
        step = now_ms() // 1000 * 1000

        async def record(recorder: Recorder, at: int) -> None:
            group = recorder._groups[0]
            group.due = at
            await recorder._record(group)

        async def publish(job: str, value: float | None, time: int) -> None:
            sample = {"name": "c", "value": value, "labels": {"job": job}, "time": time}
            await service.publish([sample])

        await publish("a", 1.0, step - 3_500)
        await record(one, step - 3_000)
        await record(other, step - 3_000)
        await publish("b", 1.0, step - 2_500)
        await record(one, step - 2_000)
        await record(other, step - 2_000)
        result = context.hub.catalog.get('job:c:sum{job="b",team="web"}')
        assert result is not None
        assert result.history.total == 1
        await publish("b", None, step - 1_500)
        await record(other, step - 1_000)  # the first one is gone
        assert result.history.ended is not None


async def test_the_file_is_read_again(rules: Path) -> None:
    async with open_service({"recording": {"file": str(rules)}}) as service:
        recorder = service._running.recorder
        assert recorder is not None
        await service.publish([{"name": "c", "value": 1, "labels": {"job": "a"}}])
        await until(lambda: newest(service, 'job:c:sum{job="a",team="web"}') == 1.0)
        await trio.Path(rules).write_text("[[record]]\nname = 'd'\nexpression = 'c + )'\n")
        await recorder.reload()  # is no good, so that the former stay
        await service.publish([{"name": "c", "value": 5, "labels": {"job": "a"}}])
        await until(lambda: newest(service, 'job:c:sum{job="a",team="web"}') == 5.0)
        await trio.Path(rules).write_text("[[record]]\nname = 'd'\nexpression = 'c + 1'\n")
        await recorder.reload()
        await until(lambda: newest(service, 'd{job="a"}') == 6.0)
        await trio.Path(rules).write_text("")
        await recorder.reload()


def hub() -> Hub:
    return Hub(
        "e",
        limits=Limits(),
        retention=Retention(),
        pacing=Pacing(),
        make_session=str,
        first_debt=1,
    )


@pytest.mark.parametrize(
    ("expression", "limits", "said"),
    [
        ("a + on () b", Limits(), "duplicate series"),
        ("a", Limits(expression_series=1), "limits.expression_series"),
        ("label_replace(a, 'x', '', 'x', '.*')", Limits(), "same labelset"),
        ("{__name__=~'a|b'}", Limits(), "once they are named"),
        ("label_replace(a, '__x__', 'y', '', '')", Limits(), "names in __ are reserved"),
    ],
)
def test_a_step_that_gives_nothing_is_told_once(
    tmp_path: Path,
    expression: str,
    limits: Limits,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        "pushsvc.recording.recorder._log.warning", lambda *_, **more: told.append(more["error"])
    )
    file = tmp_path / "rules.toml"
    file.write_text(f'[[record]]\nname = "r"\nexpression = "{expression}"\n')
    (rule,) = load_rules(file, Limits())
    world = hub()
    for seq, (name, x) in enumerate([("a", "1"), ("a", "2"), ("b", "1"), ("b", "3")]):
        rows = Rows(identify(name, {"x": x}, Limits()), [1000], [1.0])
        series = world.catalog.add(rows, seq, 100)
        series.append(seq, rows)
    recorded = _Recorded(rule, limits)
    assert list(recorded.rows(world, 2000)) == []
    assert list(recorded.rows(world, 3000)) == []
    assert len(told) == 1
    assert said in told[0]
    assert world.counts["recording_failures"] == 2


def test_the_unit_is_that_of_the_rule_or_that_of_the_results(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(
        """
[[record]]
name = "a"
expression = "rate(c[1m])"
[[record]]
name = "b"
expression = "rate(c[1m])"
unit = "octets/s"
"""
    )
    world = hub()

    def publish(seq: int, job: str, unit: str) -> None:
        identity = identify("c", {"job": job}, Limits())
        rows = Rows(identity, [500 * seq, 500 * seq + 1], [1.0, 2.0], "counter", unit)
        world.apply(seq, Batch([rows]), float(seq))

    publish(1, "a", "bytes")
    recorded = [_Recorded(rule, Limits()) for rule in load_rules(file, Limits())]

    def units(step: int) -> list[set[str | None]]:
        return [{rows.unit for rows in one.rows(world, step)} for one in recorded]

    assert units(1000) == [{"bytes_per_second"}, {"octets/s"}]
    publish(2, "b", "seconds")
    assert units(2000) == [{""}, {"octets/s"}]
    publish(3, "b", "bytes")
    assert units(3000) == [{"bytes_per_second"}, {"octets/s"}]


def test_who_asks_for_another_ones_results_comes_after_it(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(
        "".join(
            f'[[record]]\nname = "{name}"\nexpression = "{text}"\ninterval = "{interval}"\n'
            for name, text, interval in (
                ("a", "x", "1s"),
                ("b", "x + 1", "1s"),
                ("slow", "x", "5s"),
                ("c", "sum(rate(b[5s]))", "1s"),
                ("d", "{__name__=~'a|q'}", "1s"),
                ("e", "y", "1s"),
            )
        )
    )
    groups = [[rule.name for rule in group] for group in _grouped(load_rules(file, Limits()))]
    assert groups == [["a", "b"], ["c", "d", "e"], ["slow"]]


def test_sighup_has_the_file_read_again(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    with subprocess.Popen(
        [sys.executable, "-m", "pushsvc", "serve", "--port=0", "--recording-rules", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            assert child.stdout.readline().startswith("http"), child.communicate()[1]
            for text, words in (
                ("[[record]]\nname = 'd'\nexpression = 'sum('\n", "expressions stay"),
                ("[[record]]\nname = 'd'\nexpression = 'sum(c)'\n", "expressions read again"),
            ):
                file.write_text(text)
                child.send_signal(signal.SIGHUP)
                while words not in (line := child.stderr.readline()):
                    assert line
        finally:
            child.terminate()


def test_a_wrong_file_is_told_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('[[record]]\nname = "r"\nexpression = "sum("\n')
    for command in ("serve", "check-config"):
        ran = subprocess.run(
            [sys.executable, "-m", "pushsvc", command, "--recording-rules", str(file)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 2, ran.stderr
        assert f"recording.file: {file}:3:" in ran.stderr
