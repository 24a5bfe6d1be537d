"""`pushsvc health`."""

from __future__ import annotations

import click
import httpx

from pushsvc.cli.options import check_url, fail, url_option
from pushsvc.cli.terminal import say


@click.command("health")
@url_option
@click.option(
    "--timeout", type=click.FloatRange(min=0.1), default=3.0, show_default=True, help="Seconds."
)
def command(url: str, timeout: float) -> None:
    """Ask a running service whether it takes traffic.

    Prints its answer. The exit status is 1 if it drains, or can't be reached in time: what a
    container's health check wants to know.
    """
    url = check_url(url)
    try:
        answer = httpx.get(f"{url}/readyz", timeout=timeout, trust_env=False)
    except httpx.InvalidURL as error:
        fail(f"{url}: {error}", status=2)
    except httpx.HTTPError as error:
        fail(f"{url}: {str(error) or type(error).__name__}")
    if answer.status_code != 200:
        fail(f"{url}: {answer.text.strip()[:200] or answer.status_code}")
    say(answer.text.strip())
