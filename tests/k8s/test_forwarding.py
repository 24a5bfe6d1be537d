"""Behind each component the service knows its clients: the ranges it trusts are the proxy's."""

from __future__ import annotations

import pytest

from pushsvc.auth.proxies import Client, Proxies
from pushsvc.config import Settings, load
from tests.k8s.manifests import FRONTS, K8S, built, container

CLIENT = "192.0.2.7"
MINE = "198.51.100.1, unknown"
"""What a client writes itself; all of these append."""
WRITTEN = {
    # From where the proxy speaks to the pod, and what it appends to X-Forwarded-For.
    # https://cloud.google.com/load-balancing/docs/https#x-forwarded-for_header
    "gke": ("35.191.8.9", f"{CLIENT},203.0.113.80"),
    "gke-gateway": ("130.211.1.2", f"{CLIENT},203.0.113.80"),
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html
    "aws-alb": ("172.31.4.5", CLIENT),
    # Controllers are pods.
    "envoy-gateway": ("10.244.1.7", CLIENT),
    "gateway-api": ("10.244.1.7", CLIENT),
    "haproxy": ("10.244.1.7", CLIENT),
    "ingress-nginx": ("10.244.1.7", CLIENT),
    "traefik": ("fd00:10:244::7", CLIENT),
}


def settings(front: str) -> Settings:
    """As the pod has them: the file, and the variables of its container before it."""
    told = container(built(f"components/{front}")).get("env", ())
    return load(K8S / "base" / "pushsvc.toml", {one["name"]: one["value"] for one in told}).settings


def seen(front: str, peer: str, appended: str) -> Client:
    web = settings(front).web
    proxies = Proxies(web.proxies, header=web.header, depth=web.forwarded_depth)
    headers = {
        "host": "pushsvc.example.com",
        "x-forwarded-for": f"{MINE}, {appended}",
        "x-forwarded-proto": "https",
        "forwarded": "for=198.51.100.2",
    }
    return proxies.client(peer, "http", headers)


def test_each_component_is_here() -> None:
    assert set(WRITTEN) == set(FRONTS)


@pytest.mark.parametrize("front", FRONTS)
def test_the_client_is_known_and_its_page_may_all(front: str) -> None:
    peer, appended = WRITTEN[front]
    client = seen(front, peer, appended)
    assert client.address == CLIENT
    assert client.origin == "https://pushsvc.example.com"
    # Headers of a peer that comes by another way aren't believed.
    assert seen(front, "192.0.2.200", appended).address == "192.0.2.200"
