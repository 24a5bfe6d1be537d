"""The manifests at a real API server: a second apply changes nothing.

`kubectl apply` calls an object unchanged where it has nothing to send. What the server drops or
adds is sent for ever: each apply then looks like a change, and those that are one don't stand out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import yaml

from tests.k8s import apiserver
from tests.k8s.apiserver import Cluster
from tests.k8s.manifests import BUILDS, K8S, built

pytestmark = pytest.mark.long

CORE = ("v1", "apps/v1", "policy/v1", "autoscaling/v2", "networking.k8s.io/v1")
"""What is there without any CRD."""
ALWAYS_SENT = re.compile(r"poddisruptionbudget\.policy/\S+ configured")
"""kubectl sends the selector of a PodDisruptionBudget whatever it is: its API says that it is
replaced as a whole (`patchStrategy: replace`), and so it isn't compared. Nothing comes of it."""
WARNINGS = {
    "components/gke": 'annotation "kubernetes.io/ingress.class" is deprecated, '
    "please use 'spec.ingressClassName' instead",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if not apiserver.binary().exists() or apiserver.etcd() is None:
        pytest.skip("no API server here: python -m tests.k8s.apiserver compiles one")
    with apiserver.running(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def test_a_dry_run_at_an_empty_cluster_needs_the_namespace_first(cluster: Cluster) -> None:
    namespace = str(K8S / "base" / "namespace.yaml")
    refused = cluster.kubectl("apply", "-k", str(K8S), "--dry-run=server")
    assert 'namespaces "pushsvc" not found' in refused.stderr
    assert cluster.kubectl("apply", "-f", namespace).returncode == 0
    tried = cluster.kubectl("apply", "-k", str(K8S), "--dry-run=server")
    assert (tried.returncode, tried.stderr) == (0, "")


@pytest.mark.parametrize(
    "build",
    [each for each in BUILDS if each != "overlays/production"],
)
def test_a_second_apply_changes_nothing(cluster: Cluster, build: str) -> None:
    objects = [each for each in built(build) if each["apiVersion"] in CORE]
    text = yaml.safe_dump_all(objects)
    # What the builds before have left; there are no controllers that a namespace would wait for.
    mine = yaml.safe_dump_all([each for each in objects if each["kind"] != "Namespace"])
    gone = cluster.kubectl("delete", "--ignore-not-found", "-f", "-", given=mine)
    assert gone.returncode == 0, gone.stderr
    first = cluster.kubectl("apply", "-f", "-", given=text)
    assert first.returncode == 0, first.stderr
    before = versions(cluster, text)
    second = cluster.kubectl("apply", "-f", "-", given=text)
    assert second.returncode == 0, second.stderr
    changed = [line for line in second.stdout.splitlines() if not line.endswith(" unchanged")]
    assert all(ALWAYS_SENT.fullmatch(line) for line in changed), changed
    assert versions(cluster, text) == before
    warned = (first.stderr + second.stderr).splitlines()
    assert warned == ([f"Warning: {WARNINGS[build]}"] if build in WARNINGS else [])


@pytest.mark.parametrize("build", [each for each in BUILDS if each != "overlays/production"])
def test_its_pods_are_let_in(cluster: Cluster, build: str) -> None:
    """A workload that breaks the namespace's standard is warned about; its pods are refused."""
    namespace = str(K8S / "base" / "namespace.yaml")
    assert cluster.kubectl("apply", "-f", namespace).returncode == 0
    # What a controller would make.
    accounts = [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": "pushsvc"},
        }
        for name in ("default", "pushsvc")
    ]
    assert cluster.kubectl("apply", "-f", "-", given=yaml.safe_dump_all(accounts)).returncode == 0
    for each in built(build):
        if each["kind"] not in ("Deployment", "StatefulSet"):
            continue
        template = each["spec"]["template"]
        spec = {**template["spec"], "volumes": [*template["spec"]["volumes"]]}
        spec["volumes"] += [
            {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": "one"}}
            for claim in each["spec"].get("volumeClaimTemplates", ())
        ]
        metadata = {"name": "one", "namespace": "pushsvc", **template["metadata"]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        tried = cluster.kubectl("create", "--dry-run=server", "-f", "-", given=yaml.dump(pod))
        assert (tried.returncode, tried.stderr) == (0, "")
        security = {**spec["securityContext"], "runAsNonRoot": False}
        pod["spec"] = {**spec, "securityContext": security}
        refused = cluster.kubectl("create", "--dry-run=server", "-f", "-", given=yaml.dump(pod))
        assert 'violates PodSecurity "restricted' in refused.stderr


def versions(cluster: Cluster, text: str) -> dict[str, str]:
    """What the server has stored of these, by kind and name: it changes with each write."""
    got = cluster.kubectl("get", "-f", "-", "-o", "json", given=text)
    assert got.returncode == 0, got.stderr
    return {
        f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["resourceVersion"]
        for each in json.loads(got.stdout)["items"]
    }
