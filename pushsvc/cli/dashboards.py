"""`pushsvc dashboards`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

import click
import httpx

from pushsvc.cli.options import check_url, fail, tls_context, tls_options, token_option
from pushsvc.cli.terminal import say, write_json

if TYPE_CHECKING:
    from pushsvc.dashboards.grafana import Imported


@click.group("dashboards")
def command() -> None:
    """Take in dashboards that were made with Grafana."""


@command.command("import")
@click.argument("source", type=click.File("rb"), default="-", metavar="[FILE]")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the dashboard there, as for --provisioned-dashboards.  [default: standard output]",
)
@click.option("--name", help="Save it at a service, under this name: 1 to 64 of a-z, 0-9 and -.")
@click.option("--replace", is_flag=True, help="Also where there is one of this name.")
@click.option(
    "--url",
    envvar="PUSHSVC_URL",
    default="http://127.0.0.1:8080",
    show_default=True,
    help="The service, with --name (or PUSHSVC_URL).",
)
@token_option
@tls_options
def import_(
    source: BinaryIO,
    output: Path | None,
    name: str | None,
    replace: bool,
    url: str,
    token: str | None,
    cafile: Path | None,
    insecure: bool,
) -> None:
    """Make a dashboard of FILE or standard input, which Grafana exported.

    Takes Grafana's classic JSON, however it was exported, and dashboards of pushsvc. What could not
    be taken goes to standard error, by panel. The dashboard goes to standard output, to a file, or
    to a service:

        pushsvc dashboards import node.json --output dashboards/node.json

        pushsvc dashboards import node.json --name node
    """
    from pushsvc.dashboards.grafana import MOST_IMPORTED_BYTES, take_in
    from pushsvc.dashboards.model import check_name
    from pushsvc.dashboards.model import write as encode
    from pushsvc.errors import Problem

    if name is not None and output is not None:
        fail("say where it is to go: --output or --name", status=2)
    try:
        if name is not None:
            check_name(name)
        found = take_in(source.read(MOST_IMPORTED_BYTES + 1))
    except Problem as problem:
        fail(problem.detail)
    body = encode(found.dashboard)
    if output is not None:
        try:
            output.write_bytes(body)
        except OSError as error:
            fail(f"{output}: {error.strerror}")
    elif name is None:
        write_json(body.splitlines())
    else:
        _save(check_url(url), name, body, replace, token, cafile, insecure)
    _report(found)


def _report(found: Imported) -> None:
    for one in found.left_out:
        say(f"left out · {one.where}: {one.reason}", err=True)
    say(
        f"{found.taken} of {found.panels} panels taken, {len(found.left_out)} remarks",
        err=True,
    )


def _save(
    url: str,
    name: str,
    body: bytes,
    replace: bool,
    token: str | None,
    cafile: Path | None,
    insecure: bool,
) -> None:
    """Save the dashboard, if there is none of this name or it may be replaced; otherwise end the
    command."""
    from pushsvc.client.errors import answered, reason

    target = f"{url}/v1/dashboards/{quote(name)}"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    verify = tls_context(cafile, insecure=insecure)
    try:
        with httpx.Client(verify=verify, headers=headers, timeout=30.0) as http:
            condition = {"If-None-Match": "*"}
            if replace and (present := http.get(target)).status_code == 200:
                condition = {"If-Match": present.headers.get("ETag", "*")}
            answer = http.put(
                target, content=body, headers={"Content-Type": "application/json", **condition}
            )
    except httpx.InvalidURL as error:
        fail(f"{url}: {error}", status=2)
    except httpx.HTTPError as error:
        fail(f"{url}: {reason(error)}")
    if answer.status_code == 412 and not replace:
        fail(f"{url} has a dashboard {name} already: say --replace, or another --name")
    if answer.status_code not in (200, 201):
        fail(f"{url}: {answered(answer.status_code, answer.headers, answer.content)}")
    say(f"{url}/d/{name}")
