"""What the API server drops and adds, as rules: `test_apiserver.py` asks a real one where it can.

A field that is empty and `omitempty` in Kubernetes' types isn't stored. A default inside a list
that is compared as a whole has to be said, or each apply takes it away again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.k8s.manifests import BUILDS, built, of_kind

KEPT = (
    # Pointers in their types: false and 0 are something else than nothing there.
    r"automountServiceAccountToken",
    r"enableServiceLinks",
    r"allowPrivilegeEscalation",
    r"rollingUpdate\.max(Surge|Unavailable)",
    r"scaleUp\.stabilizationWindowSeconds",
    # Of a resource that is defined by a CRD: stored as it is sent.
    r"PrometheusRule\..*",
    # A word of a command line.
    r"args\[\d+\]",
    # A core API group has no name.
    r"targetRef\.group",
)


def empty(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, member in value.items():
            yield from empty(member, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for index, member in enumerate(value):
            yield from empty(member, f"{path}[{index}]")
    elif value in (None, "", 0, False, [], {}) and not any(
        re.search(rf"(^|\.){kept}$", path) for kept in KEPT
    ):
        yield path


@pytest.mark.parametrize("build", BUILDS)
def test_nothing_is_said_that_the_server_drops(build: str) -> None:
    found = [path for each in built(build) for path in empty(each, each["kind"])]
    assert found == []


def test_the_rule_finds_what_is_dropped() -> None:
    spec = {"egress": [], "minReadySeconds": 0, "suspend": False, "rollingUpdate": {"maxSurge": 0}}
    assert list(empty(spec, "Deployment.spec")) == [
        "Deployment.spec.egress",
        "Deployment.spec.minReadySeconds",
        "Deployment.spec.suspend",
    ]


@pytest.mark.parametrize("build", BUILDS)
def test_what_the_server_adds_to_lists_that_are_compared_whole_is_said(build: str) -> None:
    for policy in of_kind(built(build), "NetworkPolicy"):
        rules = [*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())]
        for rule in rules:
            assert all("protocol" in port for port in rule["ports"])
    for ingress in of_kind(built(build), "Ingress"):
        for rule in ingress["spec"]["rules"]:
            assert all("pathType" in path for path in rule["http"]["paths"])
    for stateful in of_kind(built(build), "StatefulSet"):
        for claim in stateful["spec"].get("volumeClaimTemplates", ()):
            assert (claim["apiVersion"], claim["kind"]) == ("v1", "PersistentVolumeClaim")
            assert claim["spec"]["volumeMode"] == "Filesystem"
            assert claim["status"] == {"phase": "Pending"}
    for autoscaler in of_kind(built(build), "HorizontalPodAutoscaler"):
        for direction in autoscaler["spec"]["behavior"].values():
            assert all(
                {"type", "value", "periodSeconds"} == set(one) for one in direction["policies"]
            )


@pytest.mark.parametrize("build", BUILDS)
def test_every_object_says_its_namespace(build: str) -> None:
    """A component has no `namespace:` of its own, so that its objects would land in `default`."""
    for each in built(build):
        if each["kind"] != "Namespace":
            assert each["metadata"].get("namespace") == "pushsvc", each["metadata"]["name"]


def test_a_cluster_without_metrics_has_no_autoscaler_that_complains() -> None:
    assert of_kind(built("overlays/local"), "HorizontalPodAutoscaler") == []
    assert of_kind(built("base"), "HorizontalPodAutoscaler") != []


def test_a_target_of_the_load_balancer_is_ready_when_it_is_healthy() -> None:
    [namespace] = of_kind(built("components/aws-alb"), "Namespace")
    labels = namespace["metadata"]["labels"]
    assert labels["elbv2.k8s.aws/pod-readiness-gate-inject"] == "enabled"
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
