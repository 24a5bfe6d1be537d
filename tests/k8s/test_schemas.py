"""Every object of every kustomization is one that an API server would know."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator

import jsonschema
import kubernetes_validate
import kubernetes_validate.utils
import pytest

from tests.k8s.manifests import BUILDS, SOME_FRONTS, Object, built, of_kind
from tests.k8s.schemas import SPECS

VERSIONS = ("1.34", "1.35", "1.36", "1.37")
"""Those that README.md names."""


@pytest.fixture(autouse=True, scope="module")
def _read_once() -> Iterator[None]:
    """The definitions of a version are megabytes of JSON, and the library reads them each time."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("schema_contents", "all_versions"):
            read = getattr(kubernetes_validate.utils, name)
            patch.setattr(kubernetes_validate.utils, name, functools.cache(read))
        yield


def check(each: Object, version: str) -> None:
    spec = SPECS.get((each["apiVersion"], each["kind"]))
    if spec is None:
        kubernetes_validate.validate(each, version, strict=True)
        return
    assert set(each) == {"apiVersion", "kind", "metadata", "spec"}
    jsonschema.Draft202012Validator(spec).validate(each["spec"])


@pytest.mark.parametrize(
    "version",
    [*(pytest.param(each, marks=pytest.mark.long) for each in VERSIONS[:-1]), VERSIONS[-1]],
)
@pytest.mark.parametrize("build", BUILDS)
def test_all_objects_are_valid(build: str, version: str) -> None:
    objects = built(build)
    assert len(objects) >= 8
    for each in objects:
        check(each, version)


@pytest.mark.parametrize("front", SOME_FRONTS)
@pytest.mark.parametrize("log", [(), ("shared-log", "journal-ca", "connections"), ("valkey",)])
def test_components_compose(front: str, log: tuple[str, ...]) -> None:
    names = (front, "tls", "prometheus", *log)
    objects = built(*(f"components/{name}" for name in names))
    for each in objects:
        check(each, VERSIONS[-1])
    found = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(set(found)) == len(found)
    assert all(
        each["metadata"].get("namespace") == "pushsvc"
        for each in objects
        if each["kind"] != "Namespace"
    )


def test_the_base_needs_no_custom_resource() -> None:
    # `kubectl apply` of a kind that the cluster lacks fails, and applies the rest.
    groups = {each["apiVersion"].rpartition("/")[0] for each in built("base")}
    assert groups == {"", "apps", "policy", "autoscaling", "networking.k8s.io"}


def test_mistakes_are_found() -> None:
    [deployment] = of_kind(built("base"), "Deployment")
    wrong = copy.deepcopy(deployment)
    wrong["spec"]["template"]["spec"]["containers"][0]["livenessProb"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        check(wrong, "1.37")
    [route] = of_kind(built("components/gateway-api"), "HTTPRoute")
    wrong = copy.deepcopy(route)
    wrong["spec"]["rules"][0]["timeouts"]["idle"] = "60s"
    with pytest.raises(jsonschema.ValidationError):
        check(wrong, "1.37")
