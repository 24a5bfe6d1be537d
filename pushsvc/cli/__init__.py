"""The command line. Each command imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import importlib
from typing import Any

import click

from pushsvc.version import __version__

COMMANDS = {
    "serve": "Run the service.",
    "demo": "Run the service with this machine's metrics, and print the URL to open.",
    "tail": "Show live samples in the terminal.",
    "publish": "Send NDJSON samples from a file or standard input.",
    "dashboards": "Take in dashboards that were made with Grafana.",
    "drain": "End a service on this machine, and wait until it has ended.",
    "health": "Ask a running service whether it takes traffic.",
    "doctor": "Find what cuts or buffers streams between here and a service.",
    "bench": "Measure a service of your own, with many dashboards.",
    "key": "Make API keys.",
    "token": "Make JSON Web Tokens, for development.",
    "check-config": "Print the configuration that `serve` would run with.",
}


class _Commands(click.Group):
    """Loads each command from the module of its name. Ctrl-C ends a command quietly with status
    130, as in shells, also while its module is loaded."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise SystemExit(130) from None

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"pushsvc.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every setting can also come from a TOML file (--config) or the environment "
    "(PUSHSVC_SECTION_KEY); flags win. See `pushsvc check-config`.",
)
@click.version_option(__version__, prog_name="pushsvc")
def main() -> None:
    """Real-time push service for dashboards.

    Producers publish metrics over HTTP; dashboards watch them live over WebSocket, Server-Sent
    Events, NDJSON or long polling.
    """
