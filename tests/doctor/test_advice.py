"""What the doctor says of proxies is what the table of the manifests says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pushsvc.doctor import advice

TABLE = Path(__file__).parents[2] / "k8s" / "README.md"


def rows() -> list[list[str]]:
    """The cells of the table of what cuts long connections."""
    text = TABLE.read_text().partition("| proxy | its default")[2]
    lines = [line for line in text.splitlines()[2:] if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(
    ("name", "cure", "row", "default", "value"),
    [
        ("nginx", "idle", "ingress-nginx", "60 s", "3600"),
        ("nginx", "buffering", "ingress-nginx, with compression", "buffers", "off"),
        ("HAProxy", "idle", "HAProxy ingress", "50 s", "1h"),
        ("HAProxy", "delay", "HAProxy ingress, over HTTP/1.1", "200 ms", "option http-no-delay"),
        ("Envoy", "total", "Envoy, Envoy Gateway, Contour", "15 s", "0s"),
        ("Envoy", "idle", "Envoy, Envoy Gateway, Contour", "5 min", ""),
        ("Traefik", "total", "Traefik", "none", "0"),
        ("AWS", "idle", "AWS ALB", "60 s", "120"),
        ("Google", "total", "GKE Ingress", "30 s", "3600"),
        ("Cloudflare", "idle", "Cloudflare", "100 s", ""),
        ("CloudFront", "idle", "CloudFront", "30 s", "60"),
    ],
)
def test_both_name_the_same_default_and_value(
    name: str, cure: str, row: str, default: str, value: str
) -> None:
    [proxy] = [one for one in advice.known() if one.name.split()[0] == name]
    [setting] = [one for one in proxy.settings if one.cure == cure]
    cells = next(cells for cells in rows() if cells[0] == row)
    assert default in setting.default
    assert default in cells[1]
    if value:
        assert re.search(rf"(?<!\w){re.escape(value)}", setting.set)
        assert value in cells[3]
