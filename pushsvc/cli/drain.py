"""`pushsvc drain`."""

from __future__ import annotations

import contextlib
import signal
import time

import click
import psutil

from pushsvc.cli.options import fail
from pushsvc.cli.terminal import say


@click.command("drain")
@click.option("--port", type=int, default=8080, show_default=True, help="Where it listens.")
@click.option("--pid", type=int, help="The process itself, instead of who listens.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds to wait for its end.",
)
def command(port: int, pid: int | None, timeout: float) -> None:
    """End a service on this machine, and wait until it has ended.

    It is sent SIGTERM, and does what it does then: readiness fails, subscribers are told to come
    back, each in its own time, and requests are finished. As a preStop hook: the container's own
    SIGTERM comes when this is done.
    """
    process = _listener(port) if pid is None else _process(pid)
    with contextlib.suppress(psutil.NoSuchProcess):
        try:
            process.send_signal(signal.SIGTERM)
        except psutil.AccessDenied:
            fail(f"process {process.pid} belongs to someone else")
        say(f"draining process {process.pid} ...", err=True)
        begin = time.monotonic()
        while not _has_ended(process):
            if time.monotonic() - begin >= timeout:
                fail(f"process {process.pid} is still there after {timeout:g} s")
            time.sleep(0.05)
        say(f"ended after {time.monotonic() - begin:.1f} s", err=True)


def _has_ended(process: psutil.Process) -> bool:
    """Whether it has ended; its parent may not have noticed yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _process(pid: int) -> psutil.Process:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        fail(f"there is no process {pid}")


def _listener(port: int) -> psutil.Process:
    """The service that listens on this port; other programs are left alone."""
    services = (
        process
        for process in psutil.process_iter(["cmdline"])
        if any("pushsvc" in word for word in process.info["cmdline"] or [])
    )
    found = {process.pid: process for process in services if port in _ports(process)}
    # The workers of a service listen too, beside their parent process.
    ours = (process for process in found.values() if process.ppid() not in found)
    process = next(ours, None)
    if process is None:
        fail(f"nobody serves on port {port}: nothing to drain")
    return process


def _ports(process: psutil.Process) -> set[int]:
    """The TCP ports that it listens on, as far as this user may see them."""
    try:
        connections = process.net_connections("tcp")
    except psutil.Error:
        return set()
    return {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}
