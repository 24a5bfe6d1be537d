"""What has to hold between the numbers of different objects, and between them and the program."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import pushsvc
from pushsvc.app import create_app
from pushsvc.cli import main
from pushsvc.config import ConfigError, Settings, load
from pushsvc.core.resources.limits import Pacing
from pushsvc.dashboards.library import SHIPPED
from pushsvc.dashboards.model import check_name, read
from tests.k8s.manifests import (
    BUILDS,
    FRONTS,
    K8S,
    MANY,
    SOME_FRONTS,
    Object,
    built,
    container,
    of_kind,
    one,
    workload,
)
from tests.serving import serving
from tests.test_hazards import context

MIB = 2**20
FACTOR = 4
"""How many heartbeats fit into an idle timeout, at the least: some may be late or lost."""


def settings() -> Settings:
    return load(K8S / "base" / "pushsvc.toml", {}).settings


def seconds(text: str | int) -> float:
    """A duration as Kubernetes, Gateway API and HAProxy write it; a bare number is seconds."""
    parts = re.findall(r"([0-9]+)(ms|s|m|h|)", str(text))
    assert "".join(a + b for a, b in parts) == str(text)
    factors = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "": 1}
    return sum(int(number) * factors[unit] for number, unit in parts)


def pod(build: str = "base") -> Object:
    spec: Object = workload(built(build))["spec"]["template"]["spec"]
    return spec


SECRETS = {
    "PUSHSVC_JOURNAL_URL": "valkey://pushsvc:secret@pushsvc-valkey:6379",
    "PUSHSVC_AUTH_SESSION_SECRET": "0123456789abcdef0123456789abcdef",
}
"""What stands in the Secret `pushsvc-shared`."""


def told(build: str) -> Settings:
    """As the pod has them: the file, and the variables of its container before it."""
    variables = {
        one["name"]: one.get("value", SECRETS.get(one["name"], ""))
        for one in container(built(build)).get("env", ())
    }
    return load(K8S / "base" / "pushsvc.toml", variables).settings


def annotations_of(front: str, kind: str = "Ingress") -> dict[str, str]:
    found: dict[str, str] = one(built(f"components/{front}"), kind)["metadata"]["annotations"]
    return found


def idle_timeouts(front: str) -> dict[str, float]:
    """What cuts a stream for being quiet, by the name of its setting."""
    objects = built(f"components/{front}")
    found: dict[str, float] = {}
    for each in of_kind(objects, "Ingress"):
        for name, value in each["metadata"].get("annotations", {}).items():
            if re.search(r"(proxy-(read|send)-timeout|timeout-server)$", name):
                found[name] = seconds(value)
            for key, number in re.findall(r"(idle_timeout\.timeout_seconds)=([0-9]+)", value):
                found[key] = seconds(number)
    for kind in ("BackendTrafficPolicy", "ClientTrafficPolicy"):
        for each in of_kind(objects, kind):
            found[kind] = seconds(each["spec"]["timeout"]["http"]["streamIdleTimeout"])
    return found


def total_timeouts(front: str) -> dict[str, float]:
    """What ends a stream however busy it is; 0 is never."""
    objects = built(f"components/{front}")
    found: dict[str, float] = {}
    for each in of_kind(objects, "HTTPRoute"):
        for rule in each["spec"]["rules"]:
            if rule["matches"][0]["path"]["value"] == "/v1":
                for name, value in rule.get("timeouts", {}).items():
                    found[f"timeouts.{name}"] = seconds(value)
    for each in of_kind(objects, "BackendConfig"):
        found["BackendConfig"] = each["spec"]["timeoutSec"]
    for each in of_kind(objects, "GCPBackendPolicy"):
        found["GCPBackendPolicy"] = each["spec"]["default"]["timeoutSec"]
    return found


READ_PER_SECOND = 130_000
"""Samples of a log, at a start, on a busy machine."""
PROBED = {"startupProbe": "/livez", "readinessProbe": "/readyz", "livenessProbe": "/livez"}
"""Only the second is no while the log is waited for or read."""


def probed_paths(build: str) -> dict[str, str]:
    only = container(built(build))
    return {probe: only[probe]["httpGet"]["path"] for probe in only if probe.endswith("Probe")}


class TestTime:
    @pytest.mark.parametrize("front", FRONTS)
    def test_idle_timeouts_outlast_heartbeats_by_far(self, front: str) -> None:
        pacing = settings().stream
        for name, timeout in idle_timeouts(front).items():
            assert timeout >= FACTOR * pacing.heartbeat, name
            assert timeout > pacing.max_heartbeat, name  # what a client may ask for
            assert timeout >= 2 * pacing.poll_wait, name

    @pytest.mark.parametrize("front", FRONTS)
    def test_totals_are_off_or_an_hour(self, front: str) -> None:
        for name, timeout in total_timeouts(front).items():
            assert timeout == 0 or timeout >= 3600, name

    def test_each_front_sets_what_its_default_calls_for(self) -> None:
        assert {front: sorted(idle_timeouts(front)) for front in FRONTS} == {
            "aws-alb": ["idle_timeout.timeout_seconds"],
            "envoy-gateway": ["BackendTrafficPolicy", "ClientTrafficPolicy"],
            "gateway-api": [],
            "gke": [],
            "gke-gateway": [],
            "haproxy": ["haproxy.org/timeout-server"],
            "ingress-nginx": [
                "nginx.ingress.kubernetes.io/proxy-read-timeout",
                "nginx.ingress.kubernetes.io/proxy-send-timeout",
            ],
            "traefik": [],
        }
        assert {front: sorted(total_timeouts(front)) for front in FRONTS} == {
            "aws-alb": [],
            "envoy-gateway": ["timeouts.backendRequest", "timeouts.request"],
            "gateway-api": ["timeouts.backendRequest", "timeouts.request"],
            "gke": ["BackendConfig"],
            "gke-gateway": ["GCPBackendPolicy"],
            "haproxy": [],
            "ingress-nginx": [],
            "traefik": [],
        }

    def test_a_route_never_waits_longer_for_a_backend_than_for_itself(self) -> None:
        # The API server refuses it otherwise; 0s of the request is no bound.
        [route] = of_kind(built("components/gateway-api"), "HTTPRoute")
        for rule in route["spec"]["rules"]:
            request = seconds(rule["timeouts"]["request"])
            assert request == 0 or seconds(rule["timeouts"]["backendRequest"]) <= request

    @pytest.mark.parametrize("build", BUILDS)
    def test_the_grace_period_has_room_for_the_drain(self, build: str) -> None:
        spec = pod(build)
        lifecycle = container(built(build)).get("lifecycle")
        # For proxies to hear of it, where another pod takes over.
        alone = workload(built(build))["kind"] == "StatefulSet"
        assert (lifecycle is None) == alone
        sleep = 0 if lifecycle is None else lifecycle["preStop"]["sleep"]["seconds"]
        assert alone or sleep >= 5
        server = told(build).server
        drain = server.drain_delay + server.drain_timeout + server.shutdown_timeout
        assert sleep + drain + 20 <= spec["terminationGracePeriodSeconds"]

    def test_a_full_pod_can_tell_everyone_to_go_in_time(self) -> None:
        told = settings().stream.reconnects_per_second * settings().server.drain_timeout
        assert told >= settings().limits.subscribers

    def test_load_balancers_drain_as_long_as_a_pod_does(self) -> None:
        grace = pod()["terminationGracePeriodSeconds"]
        attributes = annotations_of("aws-alb")["alb.ingress.kubernetes.io/target-group-attributes"]
        [delay] = re.findall(r"deregistration_delay\.timeout_seconds=([0-9]+)", attributes)
        backend = one(built("components/gke"), "BackendConfig")["spec"]
        policy = one(built("components/gke-gateway"), "GCPBackendPolicy")["spec"]["default"]
        for each in (
            int(delay),
            backend["connectionDraining"]["drainingTimeoutSec"],
            policy["connectionDraining"]["drainingTimeoutSec"],
        ):
            assert each >= grace

    def test_readiness_is_seen_before_sigterm_comes(self) -> None:
        probe = container(built("base"))["readinessProbe"]
        sleep = container(built("base"))["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert probe["periodSeconds"] * probe["failureThreshold"] < sleep

    def test_a_rollout_is_given_the_time_it_takes(self) -> None:
        # The deadline begins anew with each pod that becomes ready, or goes.
        for build in ("base", *MANY):
            deployment = one(built(build), "Deployment")["spec"]
            grace = deployment["template"]["spec"]["terminationGracePeriodSeconds"]
            probe = container(built(build))["startupProbe"]
            starting = probe["periodSeconds"] * probe["failureThreshold"]
            if build in MANY:  # which is when the log is waited for, and read
                keeping, past = told(build).journal, told(build).history
                starting += keeping.start_wait + past.total_samples / READ_PER_SECOND
            each = grace + starting + deployment.get("minReadySeconds", 0) + 60
            assert deployment["progressDeadlineSeconds"] > each


class TestPods:
    @pytest.mark.parametrize("build", BUILDS)
    def test_they_keep_the_restricted_standard(self, build: str) -> None:
        # https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
        objects, spec = built(build), pod(build)
        for name in ("enforce", "warn", "audit"):
            labels = one(objects, "Namespace")["metadata"]["labels"]
            assert labels[f"pod-security.kubernetes.io/{name}"] == "restricted"
        only = container(objects)
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(spec)
        assert not any("hostPort" in port for port in only["ports"])
        assert {key for volume in spec["volumes"] for key in volume} == {
            "name", "configMap", "emptyDir", "secret",
        }  # fmt: skip
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] != 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert "sysctls" not in spec["securityContext"]
        assert only["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert spec["automountServiceAccountToken"] is False
        assert one(objects, "ServiceAccount")["automountServiceAccountToken"] is False

    def test_service_links_would_be_taken_for_settings(self) -> None:
        # What the kubelet sets for a Service called pushsvc, and the program refuses.
        assert pod()["enableServiceLinks"] is False
        with pytest.raises(ConfigError, match="PUSHSVC_SERVICE_HOST"):
            load(None, {"PUSHSVC_SERVICE_HOST": "10.0.0.1"})

    def test_memory_is_bounded_by_the_configuration(self) -> None:
        # Measured: 56 MiB at the start, 2.4 KiB a series of five labels, 22 to 46 bytes a sample
        # of its history; `python -m tests.bench memory` has the figure of a subscriber.
        limits, history = settings().limits, settings().history
        most = (
            60 * MIB
            + limits.series * 2.5 * 1024
            + history.total_samples * 50 * 1.1
            + limits.subscribers * (1.5 * 1024 + 128 * 1024 / 20)
            + limits.ingest_queue * 4 * limits.body_bytes
        )
        limit = container(built("base"))["resources"]["limits"]
        assert set(limit) == {"memory"}
        assert limit["memory"] == "1Gi"
        assert 0.6 * 1024 * MIB < most < 0.85 * 1024 * MIB

    def test_a_rollout_never_has_fewer_pods(self) -> None:
        deployment = one(built("base"), "Deployment")["spec"]
        assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        assert "replicas" not in deployment  # or each apply would undo the autoscaler's choice

    def test_there_is_one_hub_as_long_as_nothing_joins_several(self) -> None:
        for build in BUILDS:
            scaling = of_kind(built(build), "HorizontalPodAutoscaler")
            bounds = (3, 20) if told(build).journal.url else (1, 1)
            assert (bounds == (3, 20)) == (build in MANY)
            for each in scaling:
                assert (each["spec"]["minReplicas"], each["spec"]["maxReplicas"]) == bounds
            if workload(built(build))["kind"] == "StatefulSet":
                assert scaling == []
                assert workload(built(build))["spec"]["replicas"] == 1
            else:
                assert "replicas" not in workload(built(build))["spec"]
            budget = one(built(build), "PodDisruptionBudget")["spec"]
            assert budget["maxUnavailable"] == 1
            assert "minAvailable" not in budget


class TestReferences:
    @pytest.mark.parametrize("build", BUILDS)
    def test_all_lead_somewhere(self, build: str) -> None:
        objects = built(build)
        names = {(each["kind"], each["metadata"]["name"]) for each in objects}
        names |= {  # yours
            ("Secret", "pushsvc-tls"),
            ("Secret", "pushsvc-shared"),
            ("ConfigMap", "pushsvc-journal-ca"),
        }
        wanted = {(kind, name) for each in objects for kind, name in references(each)}
        assert ("ConfigMap", one(objects, "ConfigMap")["metadata"]["name"]) in wanted
        assert wanted <= names

    @pytest.mark.parametrize("build", BUILDS)
    def test_selectors_select_the_pods(self, build: str) -> None:
        objects = built(build)
        template = workload(objects)["spec"]["template"]["metadata"]["labels"]
        spread = pod(build).get("topologySpreadConstraints", ())
        selectors = [
            one(objects, "Service")["spec"]["selector"],
            workload(objects)["spec"]["selector"]["matchLabels"],
            one(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
            one(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
            *(c["labelSelector"]["matchLabels"] for c in spread),
            *(m["spec"]["selector"]["matchLabels"] for m in of_kind(objects, "PodMonitor")),
        ]
        for selector in selectors:
            assert selector == {"app.kubernetes.io/name": "pushsvc"}  # immutable: nothing else
            assert selector.items() <= template.items()

    @pytest.mark.parametrize("build", BUILDS)
    def test_ports_are_the_one_that_is_listened_on(self, build: str) -> None:
        objects = built(build)
        only = container(objects)
        assert only["ports"] == [{"name": "http", "containerPort": settings().server.port}]
        [port] = one(objects, "Service")["spec"]["ports"]
        assert port["targetPort"] == "http"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert only[probe]["httpGet"]["port"] == "http"
        for each in of_kind(objects, "Ingress"):
            [rule] = each["spec"]["rules"]
            [path] = rule["http"]["paths"]
            assert path["backend"]["service"]["port"] == {"name": port["name"]}
        for each in of_kind(objects, "HTTPRoute"):
            for rule in each["spec"]["rules"]:
                assert [b["port"] for b in rule["backendRefs"]] == [port["port"]]
        for each in of_kind(objects, "PodMonitor"):
            assert [e["port"] for e in each["spec"]["podMetricsEndpoints"]] == ["http"]
        policy = one(objects, "NetworkPolicy")["spec"]
        assert policy["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}]}]
        for kind, path_to in (
            ("BackendConfig", ("healthCheck",)),
            ("HealthCheckPolicy", ("default", "config", "httpHealthCheck")),
        ):
            for each in of_kind(objects, kind):
                check: Any = each["spec"]
                for step in path_to:
                    check = check[step]
                assert check["port"] == settings().server.port  # container's, not the Service's

    async def test_probed_paths_are_routes(self) -> None:
        async with context(Pacing()) as parts:
            routes = {rule.rule for rule in create_app(parts).url_map.iter_rules()}
        only = container(built("base"))
        monitor = one(built("components/prometheus"), "PodMonitor")["spec"]
        paths = {
            *(only[p]["httpGet"]["path"] for p in ("startupProbe", "readinessProbe")),
            only["livenessProbe"]["httpGet"]["path"],
            *(e["path"] for e in monitor["podMetricsEndpoints"]),
            annotations_of("aws-alb")["alb.ingress.kubernetes.io/healthcheck-path"],
            one(built("components/gke"), "BackendConfig")["spec"]["healthCheck"]["requestPath"],
        }
        assert paths == {"/livez", "/readyz", "/metrics"}
        assert paths <= routes
        assert only["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert only["livenessProbe"]["httpGet"]["path"] == "/livez"


def mounts_path(container: Any, name: str) -> str:
    """Where a volume is mounted."""
    [path] = [m["mountPath"] for m in container["volumeMounts"] if m["name"] == name]
    assert isinstance(path, str)
    return path


def references(each: Any) -> list[tuple[str, str]]:
    """What an object names by kind, as far as the manifests do so."""
    found: list[tuple[str, str]] = []
    if isinstance(each, list):
        return [reference for item in each for reference in references(item)]
    if not isinstance(each, dict):
        return found
    for key, value in each.items():
        if key == "configMap":
            found.append(("ConfigMap", value["name"]))
        elif key == "serviceName":
            found.append(("Service", value))
        elif key == "serviceAccountName":
            found.append(("ServiceAccount", value))
        elif key == "secretName" and not each.get("optional"):
            found.append(("Secret", value))
        elif key in ("secretRef", "secretKeyRef") and not value.get("optional"):
            found.append(("Secret", value["name"]))
        elif key in ("scaleTargetRef", "targetRef"):
            found.append((value["kind"], value["name"]))
        elif key == "targetRefs":
            found += [(item["kind"], item["name"]) for item in value]
        elif key == "parentRefs":
            found += [("Gateway", item["name"]) for item in value]
        elif key == "backendRefs":
            found += [("Service", item["name"]) for item in value]
        elif key == "certificateRefs":
            found += [("Secret", item["name"]) for item in value]
        elif key == "service" and isinstance(value, dict):
            found.append(("Service", value["name"]))
        elif key == "cloud.google.com/backend-config":
            found.append(("BackendConfig", json.loads(value)["default"]))
        else:
            found += references(value)
    return found


class TestConfiguration:
    def test_the_program_takes_it(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data = one(built("base"), "ConfigMap")["data"]
        arguments = container(built("base"))["args"]
        assert arguments[:2] == ["serve", "--config"]
        path = Path(arguments[2])
        mounts = {m["mountPath"]: m["name"] for m in container(built("base"))["volumeMounts"]}
        assert mounts[str(path.parent)] == "config"
        file = tmp_path / path.name
        configured = data[path.name]
        keys = mounts_path(container(built("base")), "keys")
        assert f'keys_file = "{keys}/keys.toml"' in configured
        file.write_text(configured.replace(keys, str(tmp_path)))
        with pytest.raises(SystemExit) as ended:
            main(["check-config", "--config", str(file)])
        assert ended.value.code == 0
        shown = tomllib.loads(capsys.readouterr().out)
        assert shown["server"]["host"] == "0.0.0.0"  # not only the pod's own loopback

    def test_its_dashboards_are_mounted_and_can_be_read(self) -> None:
        data = one(built("base"), "ConfigMap", "pushsvc-provisioned-dashboards")["data"]
        configured = tomllib.loads(one(built("base"), "ConfigMap")["data"]["pushsvc.toml"])
        mounted = mounts_path(container(built("base")), "dashboards")
        assert configured["dashboards"] == {"provisioned": mounted}
        # A mount inside another read-only one would have no directory to be mounted on.
        others = [m["mountPath"] for m in container(built("base"))["volumeMounts"]]
        assert not any(mounted.startswith(f"{other}/") for other in others)
        shipped = {file.name: file.read_text() for file in SHIPPED.glob("*.json")}
        assert data.items() <= shipped.items(), (
            "the copies here are to be edited with the originals"
        )
        for name, text in data.items():
            check_name(name.removesuffix(".json"))
            read(text.encode())

    def test_changing_it_rolls_out(self) -> None:
        name = one(built("base"), "ConfigMap")["metadata"]["name"]
        assert re.fullmatch("pushsvc-[a-z0-9]{10}", name)

    @pytest.mark.parametrize("build", ["base", *(b for b in BUILDS if b.startswith("overlays"))])
    def test_the_version_is_this_one(self, build: str) -> None:
        for each in built(build):
            kind, name = each["kind"], each["metadata"]["name"]
            if kind in ("Deployment", "StatefulSet", "Service") and name == "pushsvc":
                assert (
                    each["metadata"]["labels"]["app.kubernetes.io/version"] == pushsvc.__version__
                )
        assert container(built(build))["image"].rpartition(":")[2] == pushsvc.__version__


class TestVolume:
    BUILDS = ("overlays/single", "components/volume")

    @pytest.mark.parametrize("build", BUILDS)
    def test_all_that_is_written_to_lasts_and_no_more_is_changed(self, build: str) -> None:
        where, shipped = told(build), settings()
        spec, only = workload(built(build))["spec"], container(built(build))
        [claim] = spec["volumeClaimTemplates"]
        mounted = Path(mounts_path(only, claim["metadata"]["name"]))
        assert Path(where.journal.path).parent == mounted
        assert mounted in Path(where.dashboards.directory).parents
        assert (where.limits, where.history, where.auth, where.web) == (
            *(shipped.limits, shipped.history),
            *(shipped.auth, shipped.web),
        )
        assert spec["serviceName"] in [
            each["metadata"]["name"] for each in of_kind(built(build), "Service")
        ]
        assert spec["template"]["spec"]["securityContext"]["fsGroup"] == 10001

    @pytest.mark.parametrize("build", BUILDS)
    def test_the_volume_holds_the_log_and_a_copy(self, build: str) -> None:
        [claim] = workload(built(build))["spec"]["volumeClaimTemplates"]
        size = claim["spec"]["resources"]["requests"]["storage"]
        assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
        room = int(size.removesuffix("Gi")) * 1024 * MIB
        assert 2 * told(build).journal.max_bytes * 1.25 <= room
        # Neither can be changed afterwards: a label that a release changes would end all updates.
        assert claim["metadata"]["labels"] == {"app.kubernetes.io/name": "pushsvc"}

    @pytest.mark.parametrize("build", BUILDS)
    def test_reading_the_log_restarts_no_pod(self, build: str) -> None:
        assert probed_paths(build) == PROBED

    @pytest.mark.parametrize("build", BUILDS)
    def test_an_update_takes_the_pod_away_before_the_new_one_comes(self, build: str) -> None:
        spec, server = workload(built(build))["spec"], told(build).server
        assert spec["updateStrategy"] == {"type": "RollingUpdate"}
        assert not {"strategy", "progressDeadlineSeconds"} & set(spec)
        # An update that never gets ready is undone by applying the one before.
        assert spec["podManagementPolicy"] == "Parallel"
        # Of one revision of a Deployment's; pods of a StatefulSet have no such label.
        assert "pod-template-hash" not in json.dumps(spec)
        assert of_kind(built(build), "Deployment") == []
        # Nobody takes over: all that it waits for is silence.
        assert server.drain_delay + server.drain_timeout <= 1

    @pytest.mark.parametrize("front", SOME_FRONTS)
    def test_it_goes_with_each_front_in_either_order(self, front: str) -> None:
        alone = {one["name"]: one for one in container(built("components/volume"))["env"]}
        theirs = {
            one["name"]: one for one in container(built(f"components/{front}")).get("env", ())
        }
        for parts in ((front, "volume"), ("volume", front)):
            objects = built(*(f"components/{name}" for name in parts))
            assert workload(objects)["kind"] == "StatefulSet"
            variables = {one["name"]: one for one in container(objects)["env"]}
            assert variables == alone | theirs


def egress(build: str) -> list[tuple[Any, list[tuple[int, str]]]]:
    """Whom the service's pods may call, and where."""
    rules = one(built(build), "NetworkPolicy")["spec"].get("egress", ())
    return [
        (rule.get("to"), [(port["port"], port["protocol"]) for port in rule["ports"]])
        for rule in rules
    ]


class TestManyPods:
    @pytest.mark.parametrize("build", MANY)
    def test_what_they_share_is_by_reference_and_required(self, build: str) -> None:
        found = {one["name"]: one for one in container(built(build))["env"]}
        # A pod that started without would have a log, or logins, of its own.
        assert {name: found[name]["valueFrom"]["secretKeyRef"] for name in SECRETS} == {
            "PUSHSVC_JOURNAL_URL": {"name": "pushsvc-shared", "key": "journal-url"},
            "PUSHSVC_AUTH_SESSION_SECRET": {"name": "pushsvc-shared", "key": "session-secret"},
        }
        where, shipped = told(build), settings()
        assert (where.limits, where.history, where.stream, where.server) == (
            *(shipped.limits, shipped.history),
            *(shipped.stream, shipped.server),
        )
        assert not where.journal.path

    @pytest.mark.parametrize("build", MANY)
    def test_waiting_for_the_log_and_reading_it_restarts_no_pod(self, build: str) -> None:
        assert probed_paths(build) == PROBED

    @pytest.mark.parametrize("build", MANY)
    def test_they_leave_one_at_a_time_and_seldom(self, build: str) -> None:
        deployment = workload(built(build))["spec"]
        assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        assert deployment["minReadySeconds"] == 15
        assert len(deployment["template"]["spec"]["topologySpreadConstraints"]) == 2
        down = one(built(build), "HorizontalPodAutoscaler")["spec"]["behavior"]["scaleDown"]
        [policy] = down["policies"]
        assert (policy["type"], policy["value"]) == ("Pods", 1)
        # One has left, and its clients are settled, before the next is asked.
        grace = deployment["template"]["spec"]["terminationGracePeriodSeconds"]
        assert policy["periodSeconds"] >= 2 * (grace + deployment["minReadySeconds"])
        assert down["stabilizationWindowSeconds"] >= policy["periodSeconds"]

    @pytest.mark.parametrize("log", ["shared-log", "valkey"])
    def test_connections_scale_with_room_for_those_of_a_pod_that_is_lost(self, log: str) -> None:
        objects = built(f"components/{log}", "components/connections")
        spec = one(objects, "HorizontalPodAutoscaler")["spec"]
        [metric] = [each["pods"] for each in spec["metrics"] if each["type"] == "Pods"]
        most = 1000 * int(metric["target"]["averageValue"].removesuffix("k"))
        pods = spec["minReplicas"]
        assert most * pods / (pods - 1) <= settings().limits.subscribers
        assert metric["metric"]["name"] == "pushsvc_subscribers"

    def test_the_log_is_all_that_they_may_call(self) -> None:
        names = (None, [(53, "UDP"), (53, "TCP")])
        log = [(6379, "TCP")]
        valkey = [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "valkey"}}}]
        assert egress("overlays/managed") == [names, (None, log)]
        assert egress("overlays/valkey") == [names, (valkey, log)]
        assert all(not egress(build) for build in BUILDS if build not in MANY)

    def test_the_ca_is_where_the_program_looks(self) -> None:
        ca = Path(told("overlays/managed").journal.ca)
        only = container(built("overlays/managed"))
        assert str(ca.parent) == mounts_path(only, "journal-ca")
        [volume] = [v for v in pod("overlays/managed")["volumes"] if v["name"] == "journal-ca"]
        assert volume["configMap"] == {"name": "pushsvc-journal-ca"}
        assert told("components/shared-log").journal.ca == ""

    @pytest.mark.parametrize("log", ["shared-log", "valkey"])
    @pytest.mark.parametrize("front", SOME_FRONTS)
    def test_they_go_with_each_front_in_either_order(self, front: str, log: str) -> None:
        alone = {one["name"]: one for one in container(built(f"components/{log}"))["env"]}
        theirs = {
            one["name"]: one for one in container(built(f"components/{front}")).get("env", ())
        }
        for parts in ((front, log), (log, front)):
            objects = built(*(f"components/{name}" for name in parts))
            assert {one["name"]: one for one in container(objects)["env"]} == alone | theirs
            assert one(objects, "HorizontalPodAutoscaler")["spec"]["maxReplicas"] == 20


class TestValkey:
    NAME = "pushsvc-valkey"
    OBJECTS = "overlays/valkey"

    def test_it_keeps_the_restricted_standard_and_what_it_is_given(self) -> None:
        stateful = one(built(self.OBJECTS), "StatefulSet", self.NAME)["spec"]
        spec = stateful["template"]["spec"]
        [only] = spec["containers"]
        ours = container(built("base"))
        assert only["securityContext"] == ours["securityContext"]
        for key in ("runAsNonRoot", "seccompProfile"):
            assert spec["securityContext"][key] == pod()["securityContext"][key]
        assert spec["automountServiceAccountToken"] is False
        assert stateful["replicas"] == 1  # two would be two logs
        assert stateful["podManagementPolicy"] == "Parallel"
        [claim] = stateful["volumeClaimTemplates"]
        assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
        assert claim["metadata"]["labels"] == {"app.kubernetes.io/name": "valkey"}
        configured = valkey_settings()
        assert mounts_path(only, claim["metadata"]["name"]) == configured["dir"]
        assert configured["port"] == str(only["ports"][0]["containerPort"])
        assert only["args"] == ["valkey-server", f"{mounts_path(only, 'config')}/valkey.conf"]
        assert Path(configured["aclfile"]).parent == Path(mounts_path(only, "users"))
        assert (configured["appendonly"], configured["appendfsync"]) == ("yes", "always")
        assert configured["maxmemory-policy"] == "noeviction"

    def test_there_is_room_for_its_file_to_be_written_anew(self) -> None:
        stateful = one(built(self.OBJECTS), "StatefulSet", self.NAME)["spec"]
        [only] = stateful["template"]["spec"]["containers"]
        [claim] = stateful["volumeClaimTemplates"]
        memory = int(valkey_settings()["maxmemory"].removesuffix("gb"))
        assert 2 * memory <= int(only["resources"]["limits"]["memory"].removesuffix("Gi"))
        assert 8 * memory <= int(
            claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi")
        )

    def test_only_the_services_pods_reach_it(self) -> None:
        objects = built(self.OBJECTS)
        labels = one(objects, "StatefulSet", self.NAME)["spec"]["template"]["metadata"]["labels"]
        policy = one(objects, "NetworkPolicy", self.NAME)["spec"]
        assert policy["podSelector"]["matchLabels"].items() <= labels.items()
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert "egress" not in policy
        [rule] = policy["ingress"]
        [source] = rule["from"]
        ours = one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
        assert source["podSelector"]["matchLabels"].items() <= ours.items()
        service = one(objects, "Service", self.NAME)["spec"]
        assert service["selector"].items() <= labels.items()
        budget = one(objects, "PodDisruptionBudget", self.NAME)["spec"]
        assert budget["selector"]["matchLabels"].items() <= labels.items()
        assert budget["maxUnavailable"] == 1  # or no node under it could be drained
        # Nothing that is meant for the service's pods gets here.
        for kind in ("Service", "PodDisruptionBudget"):
            selector = one(objects, kind)["spec"]["selector"]
            assert not selector.get("matchLabels", selector).items() <= labels.items()


def valkey_settings() -> dict[str, str]:
    """Those of its file, by name."""
    text = one(built("overlays/valkey"), "ConfigMap", "pushsvc-valkey")["data"]["valkey.conf"]
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition(" ") for line in lines)}


class TestMonitoring:
    async def test_alerts_and_panels_ask_for_metrics_that_there_are(self) -> None:
        objects = built("components/prometheus")
        [group] = one(objects, "PrometheusRule")["spec"]["groups"]
        dashboard = json.loads(
            one(objects, "ConfigMap", "pushsvc-dashboard")["data"]["pushsvc.json"]
        )
        expressions = [rule["expr"] for rule in group["rules"]] + [
            target["expr"] for panel in dashboard["panels"] for target in panel["targets"]
        ]
        wanted = {
            name.removesuffix("_bucket")
            for expression in expressions
            for name in re.findall(r"\b(?:pushsvc|process)_[a-z0-9_]+\b", expression)
        }
        async with serving() as served:
            text = (await served.http.get("/metrics")).text
        exposed = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
        assert len(wanted) > 10
        assert wanted <= exposed

    def test_the_alert_on_memory_follows_the_limit(self) -> None:
        [group] = one(built("components/prometheus"), "PrometheusRule")["spec"]["groups"]
        [rule] = [rule for rule in group["rules"] if rule["alert"] == "PushsvcMemoryHigh"]
        assert int(rule["expr"].rpartition(" ")[2]) == int(0.85 * 1024 * MIB)

    def test_the_dashboard_is_one_that_grafana_imports(self) -> None:
        found = one(built("components/prometheus"), "ConfigMap", "pushsvc-dashboard")
        assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
        dashboard = json.loads(found["data"]["pushsvc.json"])
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(ids)) == len(ids)
        variables = {variable["name"] for variable in dashboard["templating"]["list"]}
        assert set(re.findall(r"\$\{?([a-z]+)", json.dumps(dashboard))) <= variables
