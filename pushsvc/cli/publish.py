"""`pushsvc publish`."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import click
import trio

from pushsvc.cli.options import check_url, fail, tls_context, tls_options, token_option, url_option
from pushsvc.cli.process import run_command
from pushsvc.cli.terminal import redraw, say
from pushsvc.client import ClientError, open_publisher

_CHUNK = 64 * 1024


@click.command("publish")
@click.argument("source", type=click.File("rb"), default="-", metavar="[FILE]")
@url_option
@token_option
@tls_options
def command(
    source: BinaryIO, url: str, token: str | None, cafile: Path | None, insecure: bool
) -> None:
    """Send NDJSON samples from FILE or standard input, as they come.

    One sample a line: {"name": "up", "labels": {"host": "a"}, "value": 1}. Each line is applied or
    refused on its own; the report at the end names the refused ones, and the exit status is 1 if
    there were any.
    """
    tls = tls_context(cafile, insecure=insecure)
    try:
        report = run_command(partial(_publish, check_url(url), token, tls, source))
    except ClientError as error:
        fail(str(error))
    for refused in report["errors"]:
        say(f"line {refused['line']}: {refused['detail']}", err=True)
    unnamed = report["rejected"] - len(report["errors"])
    if unnamed:
        say(f"and {unnamed} more lines", err=True)
    say(
        f"{report['applied']} applied, {report['rejected']} refused, {report['watchers']} watching",
        err=True,
    )
    if report["rejected"]:
        raise SystemExit(1)


async def _publish(
    url: str, token: str | None, tls: ssl.SSLContext, source: BinaryIO
) -> dict[str, Any]:
    progress = _Progress()

    async def chunks() -> AsyncIterator[bytes]:
        while True:
            # os.read returns what is there, so that `tail -f log | pushsvc publish` is live, and
            # holds no lock: Python aborts at exit if a thread still reads sys.stdin.
            chunk = await trio.to_thread.run_sync(
                os.read, source.fileno(), _CHUNK, abandon_on_cancel=True
            )
            if not chunk:
                return
            progress.add(chunk)
            yield chunk

    async with open_publisher(url, token=token, tls=tls) as publisher:
        try:
            return await publisher.upload(chunks())
        finally:
            progress.finish()


class _Progress:
    """One line on a terminal: lines, bytes and the rate."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._lines = self._bytes = 0
        self._start = self._last = trio.current_time()

    def add(self, chunk: bytes) -> None:
        self._lines += chunk.count(b"\n")
        self._bytes += len(chunk)
        now = trio.current_time()
        if self._shown and now - self._last >= 0.1:
            self._last = now
            self._draw(now)

    def finish(self) -> None:
        if self._shown:
            self._draw(trio.current_time())
            say(err=True)

    def _draw(self, now: float) -> None:
        rate = self._lines / max(now - self._start, 1e-9)
        megabytes = self._bytes / 1e6
        redraw(f"{self._lines:,} lines, {megabytes:,.1f} MB, {rate:,.0f} lines/s")
