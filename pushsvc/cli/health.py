"""`pushsvc health`."""

from __future__ import annotations

import os
from pathlib import Path

import click
import httpx

from pushsvc.cli.options import check_url, fail, tls_context, tls_options
from pushsvc.cli.terminal import say
from pushsvc.client.errors import answered, reason
from pushsvc.config import ConfigError, Server, load
from pushsvc.config.hosts import UnixPath, parse_host

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


@click.command("health")
@click.option(
    "--url",
    envvar="PUSHSVC_URL",
    help="Where the service is (or PUSHSVC_URL).  [default: where the settings of the file and the "
    "environment have it on this machine]",
)
@tls_options
@click.option(
    "--timeout", type=click.FloatRange(min=0.1), default=3.0, show_default=True, help="Seconds."
)
def command(url: str | None, cafile: Path | None, insecure: bool, timeout: float) -> None:
    """Ask a running service whether it takes traffic.

    Prints its answer. The exit status is 1 if it drains, or can't be reached in time: what a
    container's health check wants to know. Without --url it reads the file in PUSHSVC_CONFIG and
    the environment as the service does, and takes any certificate: it asks this very machine, and
    says nothing secret.
    """
    uds = None
    if url is None:
        url, uds = _here()
        insecure = True
    url = check_url(url)
    transport = httpx.HTTPTransport(verify=tls_context(cafile, insecure=insecure), uds=uds)
    try:
        with httpx.Client(transport=transport, timeout=timeout, trust_env=False) as http:
            answer = http.get(f"{url}/readyz")
    except httpx.InvalidURL as error:
        fail(f"{url}: {error}", status=2)
    except httpx.HTTPError as error:
        fail(f"{uds or url}: {reason(error)}")
    if answer.status_code != 200:
        why = answer.text.strip()[:200] or str(answer.status_code)
        if "json" in answer.headers.get("Content-Type", ""):
            why = str(answered(answer.status_code, answer.headers, answer.content))
        fail(f"{url}: {why}")
    say(answer.text.strip())


def _here() -> tuple[str, str | None]:
    """The URL of the service with the settings of the file and the environment, and the path of its
    socket if it listens on a Unix socket."""
    file = os.environ.get("PUSHSVC_CONFIG")
    try:
        server = load(Path(file) if file else None, os.environ).settings.server
    except ConfigError as error:
        fail(str(error), status=2)
    scheme = "https" if server.certfile else "http"
    host = parse_host((server.hosts or Server().hosts)[0])
    if isinstance(host, UnixPath):
        return f"{scheme}://localhost", host.path
    host = _ANY.get(host, host)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{server.port or 8080}", None
