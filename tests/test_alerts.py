"""What the handbook and the Kubernetes manifests give to Prometheus and Grafana: alerts, and a
dashboard."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pushsvc.dashboards.grafana import take_in
from tests import debian

ROOT = Path(__file__).parent.parent

Rule = dict[str, Any]

POD = {"job": "pushsvc", "namespace": "pushsvc", "container": "pushsvc", "pod": "pushsvc-0"}

HEALTHY = {
    "pushsvc_subscribers": "100+0x60",
    "pushsvc_series": "50+0x60",
    "pushsvc_samples_total": "0+3000x60",
    "pushsvc_subscribers_refused_total": "5+0x60",
    "pushsvc_subscribers_stalled_total": "5+1x60",
    "pushsvc_ingest_overloaded_total": "5+0x60",
    "pushsvc_refused_total": "5+0x60",
    "pushsvc_requests_refused_total": "5+0x60",
    "pushsvc_journal_away_seconds": "0+0x60",
    "pushsvc_journal_begun_anew_total": "1+0x60",
    'pushsvc_tick_seconds_bucket{le="0.5"}': "0+100x60",
    'pushsvc_tick_seconds_bucket{le="1.0"}': "0+100x60",
    'pushsvc_tick_seconds_bucket{le="+Inf"}': "0+100x60",
    "process_cpu_seconds_total": "0+6x60",
    "process_open_fds": "200+0x60",
    "process_max_fds": "65536+0x60",
    "process_resident_memory_bytes": "100000000+0x60",
}
"""What a service says for an hour, a value a minute, at which no alert may fire."""

FIRING: dict[str, dict[str, str]] = {
    "PushsvcAbsent": {"pushsvc_subscribers": "_x60"},
    "PushsvcRefusesSubscribers": {"pushsvc_subscribers_refused_total": "5+1x60"},
    "PushsvcRefusesSamples": {"pushsvc_ingest_overloaded_total": "5+1x60"},
    "PushsvcInvalidSamples": {"pushsvc_requests_refused_total": "5+1x60"},
    "PushsvcLogAway": {"pushsvc_journal_away_seconds": "0+60x60"},
    "PushsvcLogBegunAnew": {"pushsvc_journal_begun_anew_total": "1+0x50 2+0x9"},
    "PushsvcNoSamples": {"pushsvc_samples_total": "3000+0x60"},
    "PushsvcSubscribersStall": {"pushsvc_subscribers_stalled_total": "5+10x60"},
    "PushsvcCpuHigh": {"process_cpu_seconds_total": "0+57x60"},
    "PushsvcFilesHigh": {"process_open_fds": "60000+0x60"},
    "PushsvcFramesLate": {'pushsvc_tick_seconds_bucket{le="0.5"}': "0+97x60"},
    "PushsvcMemoryHigh": {"process_resident_memory_bytes": "1000000000+0x60"},
}
"""What else it says where an alert fires."""

AT_MOST_ONE = {"PushsvcMemoryHigh"}
"""Those that need to know a limit of Kubernetes, which the handbook can't."""


def of_the_handbook() -> list[Rule]:
    [group] = yaml.safe_load((ROOT / "docs" / "alerts.yaml").read_text())["groups"]
    return list(group["rules"])


def of_kubernetes() -> list[Rule]:
    file = ROOT / "k8s" / "components" / "prometheus" / "prometheusrule.yaml"
    [group] = yaml.safe_load(file.read_text())["spec"]["groups"]
    return list(group["rules"])


SOURCES = {"handbook": of_the_handbook, "kubernetes": of_kubernetes}


def test_both_have_the_same() -> None:
    handbook, kubernetes = ([rule["alert"] for rule in read()] for read in SOURCES.values())
    assert len(set(kubernetes)) == len(kubernetes)
    assert handbook == [name for name in kubernetes if name not in AT_MOST_ONE]
    told = re.findall(
        r"^\| `(Pushsvc\w+)` \|", (ROOT / "docs/operations.md").read_text(), re.MULTILINE
    )
    assert told == handbook
    assert set(kubernetes) == FIRING.keys()


DASHBOARD = ROOT / "k8s" / "components" / "prometheus" / "dashboard.json"


def questions() -> list[str]:
    """What the dashboard asks, with its variables as Grafana fills them in."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [
        target["expr"].replace("$namespace", ".*").replace("$__rate_interval", "1m")
        for panel in panels
        for target in panel["targets"]
    ]


def test_the_questions_of_the_dashboard_are_read_by_prometheus(tmp_path: Path) -> None:
    promtool = debian.program("promtool", "prometheus")
    rules = [{"record": f"n:{n}", "expr": question} for n, question in enumerate(questions())]
    assert len(rules) > 25
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    ran = subprocess.run(
        [promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_dashboard_can_be_imported_here() -> None:
    imported = take_in(DASHBOARD.read_bytes())
    assert imported.panels >= 18
    assert imported.taken == imported.panels


def _said(saying: dict[str, str]) -> list[dict[str, str]]:
    told = []
    for series, values in saying.items():
        name, _, more = series.removesuffix("}").partition("{")
        labels = ",".join([*(f'{label}="{value}"' for label, value in POD.items()), more])
        told.append({"series": f"{name}{{{labels.rstrip(',')}}}", "values": values})
    return told


@pytest.mark.parametrize("source", SOURCES)
def test_each_fires_by_what_it_is_about_and_by_nothing_else(source: str, tmp_path: Path) -> None:
    promtool = debian.program("promtool", "prometheus")
    rules = SOURCES[source]()
    groups = {"groups": [{"name": "pushsvc", "rules": rules}]}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(groups))
    names = [rule["alert"] for rule in rules]
    tests = [
        {
            "name": fires or "healthy",
            "interval": "1m",
            "input_series": _said({**HEALTHY, **FIRING.get(fires, {})}),
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": "59m",
                    "exp_samples": [{"labels": f'{{alertname="{fires}"}}', "value": 1}]
                    if fires
                    else [],
                }
            ],
        }
        for fires in ["", *names]
    ]
    whole = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(whole))
    for arguments in (["check", "rules", "--lint=all", "--lint-fatal"], ["test", "rules"]):
        file = tmp_path / ("tests.yaml" if arguments[0] == "test" else "rules.yaml")
        ran = subprocess.run(
            [promtool, *arguments, str(file)], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
