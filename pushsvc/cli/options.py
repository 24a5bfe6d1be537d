"""Options that several commands share."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from pushsvc.cli.terminal import say
from pushsvc.config import ConfigError, Loaded, load

_Function = TypeVar("_Function", bound=Callable[..., Any])


def settings_options(function: _Function) -> _Function:
    """The flags that make up a configuration; read them with `load_settings`."""
    for option in (
        click.option(
            "--set",
            "assignments",
            multiple=True,
            metavar="SECTION.KEY=VALUE",
            help="Any other setting; repeatable.",
        ),
        click.option(
            "--data",
            metavar="DIRECTORY",
            help="Keep what is published here, so that a restart goes unnoticed; and dashboards.",
        ),
        click.option(
            "--dashboards", metavar="DIRECTORY", help="Keep the dashboards that are saved here."
        ),
        click.option(
            "--provisioned-dashboards",
            metavar="DIRECTORY",
            help="Show the dashboards in here, which can't be changed.",
        ),
        click.option(
            "--recording-rules",
            metavar="FILE",
            help="Have the PromQL expressions in this file appear as series.",
        ),
        click.option(
            "--own-metrics",
            is_flag=True,
            help="Publish the service's own metrics as series, every second.",
        ),
        click.option("--statsd", metavar="HOST:PORT", help="Take StatsD on this UDP socket."),
        click.option(
            "--insecure-no-auth",
            is_flag=True,
            help="Let anyone read and write, also where others can reach the service.",
        ),
        click.option("--log-format", help="console, json, or auto: console on a terminal."),
        click.option("--log-level", help="debug, info, warning or error."),
        click.option("--keyfile", metavar="FILE", help="The certificate's key, PEM."),
        click.option("--certfile", metavar="FILE", help="Certificate chain, PEM: serve TLS."),
        click.option(
            "--workers",
            metavar="N",
            help="Processes that serve on one port, with one log; auto: one for each core.",
        ),
        click.option("--port", help="TCP port; 0 for any that is free.  [default: 8080]"),
        click.option(
            "--host",
            multiple=True,
            help="Address, host name or unix:PATH?mode=660; repeatable.  [default: 127.0.0.1]",
        ),
        click.option(
            "--config",
            "file",
            type=click.Path(dir_okay=False, path_type=Path),
            envvar="PUSHSVC_CONFIG",
            help="TOML file with settings.",
        ),
    ):
        function = option(function)
    return function


def load_settings(
    file: Path | None,
    host: tuple[str, ...],
    port: str | None,
    workers: str | None,
    certfile: str | None,
    keyfile: str | None,
    statsd: str | None,
    own_metrics: bool,
    data: str | None,
    dashboards: str | None,
    provisioned_dashboards: str | None,
    recording_rules: str | None,
    log_level: str | None,
    log_format: str | None,
    insecure_no_auth: bool,
    assignments: tuple[str, ...],
    defaults: Mapping[str, Any] | None = None,
) -> Loaded:
    """The configuration; one that can't be used ends the command with status 2."""
    flags: list[tuple[str, str, str | tuple[str, ...]]] = [
        (flag, key, text)
        for flag, key, text in (
            ("--host", "server.host", host or None),
            ("--port", "server.port", port),
            ("--workers", "server.workers", workers),
            ("--certfile", "server.certfile", certfile),
            ("--keyfile", "server.keyfile", keyfile),
            ("--statsd", "ingest.statsd", statsd),
            ("--dashboards", "dashboards.directory", dashboards),
            ("--provisioned-dashboards", "dashboards.provisioned", provisioned_dashboards),
            ("--recording-rules", "recording.file", recording_rules),
            ("--log-level", "log.level", log_level),
            ("--log-format", "log.format", log_format),
        )
        if text is not None
    ]
    if data is not None:
        flags = [
            ("--data", "journal.path", str(Path(data) / "journal.sqlite")),
            ("--data", "dashboards.directory", str(Path(data) / "dashboards")),
            *flags,
        ]
    if own_metrics:
        flags.append(("--own-metrics", "ingest.own_interval", "1"))
    if insecure_no_auth:
        flags.append(("--insecure-no-auth", "auth.insecure_no_auth", "true"))
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise click.BadParameter(f"{assignment!r} is not SECTION.KEY=VALUE", param_hint="--set")
        flags.append((f"--set {key}", key.strip(), text.strip()))
    try:
        return load(file, os.environ, flags, defaults=defaults)
    except ConfigError as error:
        fail(str(error), status=2)


url_option = click.option(
    "--url",
    envvar="PUSHSVC_URL",
    default="http://127.0.0.1:8080",
    show_default=True,
    help="Where the service is (or PUSHSVC_URL).",
)

token_option = click.option(
    "--token",
    envvar="PUSHSVC_TOKEN",
    help="API key or JSON Web Token; better in PUSHSVC_TOKEN, where other users don't see it.",
)


def tls_options(function: _Function) -> _Function:
    """Options for the certificates that are trusted; make a context of them with `tls_context`."""
    for option in (
        click.option("--insecure", is_flag=True, help="Take any certificate."),
        click.option(
            "--cafile",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            envvar="PUSHSVC_CAFILE",
            help="Certificates to trust, PEM, instead of the system's (or PUSHSVC_CAFILE).",
        ),
    ):
        function = option(function)
    return function


def tls_context(cafile: Path | None, *, insecure: bool) -> ssl.SSLContext:
    """The TLS context; a file without certificates ends the command with status 2."""
    try:
        context = ssl.create_default_context(cafile=cafile)
    except (ssl.SSLError, OSError) as error:
        fail(f"{cafile}: {error}", status=2)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def grant_options(function: _Function) -> _Function:
    """Options for what a key or token grants."""
    for option in (
        click.option(
            "--operator",
            is_flag=True,
            help="May see /metrics and /v1/subscribers, and save dashboards.",
        ),
        click.option(
            "--write",
            multiple=True,
            metavar="SELECTOR",
            callback=_check_selectors,
            help="May write what this matches; repeatable.",
        ),
        click.option(
            "--read",
            multiple=True,
            metavar="SELECTOR",
            callback=_check_selectors,
            help="May read what this matches; repeatable.",
        ),
    ):
        function = option(function)
    return function


def _check_selectors(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    from pushsvc.core.query.selector import SelectorError, parse

    for text in value:
        try:
            parse(text)
        except SelectorError as error:
            raise click.BadParameter(f"{error.detail}\n{error.pointer}", ctx, param) from None
    return value


def fail(message: str, status: int = 1) -> NoReturn:
    """End the command with one line on standard error."""
    say(f"pushsvc: {message}", err=True)
    raise SystemExit(status)


def check_url(url: str) -> str:
    """The URL without a trailing slash; ends the command if it isn't one."""
    if not url.startswith(("http://", "https://")):
        fail(f"{url}: the URL of a service starts with http:// or https://", status=2)
    return url.rstrip("/")
