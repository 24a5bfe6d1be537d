"""The alerts that the handbook and the Kubernetes manifests give, as Prometheus takes them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

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
    "PushsvcMemoryHigh": {"process_resident_memory_bytes": "1000000000+0x60"},
}
"""What else it says where an alert fires."""

AT_MOST_ONE = {"PushsvcMemoryHigh"}
"""Those that need to know a limit of Kubernetes, which the handbook can't."""


def of_the_handbook() -> list[Rule]:
    text = (ROOT / "docs" / "operations.md").read_text()
    [block] = re.findall(r"```yaml\n(groups:\n.*?)```", text, re.DOTALL)
    [group] = yaml.safe_load(block)["groups"]
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
    assert set(kubernetes) == FIRING.keys()


def _said(saying: dict[str, str]) -> list[dict[str, str]]:
    labels = ", ".join(f'{name}="{value}"' for name, value in POD.items())
    return [{"series": f"{name}{{{labels}}}", "values": values} for name, values in saying.items()]


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
