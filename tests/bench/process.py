"""Processes of a benchmark: each on its own core, ended with the block that started it."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

ROOT = Path(__file__).parents[2]

_CPUS = sorted(os.sched_getaffinity(0))
SERVER_CPU = _CPUS[0]
LOAD_CPU = _CPUS[-1]
"""Another core than the server's, where there is one."""

_Answer = TypeVar("_Answer")


class Failed(Exception):
    """A case could not be measured; the message says why."""


def cpu_seconds(pid: int) -> float:
    """User and system time that a process and its children have used, all threads together.

    By their CPU clocks, which count in nanoseconds where /proc counts in ticks of 10 ms.
    Raises OSError if there is no such process.
    """
    # As clock_getcpuclockid(3) makes it: the complement of the pid, and CPUCLOCK_SCHED.
    return sum(time.clock_gettime((~one << 3) | 2) for one in (pid, *children_of(pid)))


def children_of(pid: int) -> list[int]:
    """Each is one of the thread that started it, as long as there is that thread.

    Raises OSError if there is no such process.
    """
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            found += (thread / "children").read_text(encoding="ascii").split()
    return sorted(map(int, found))


def rss_bytes(pid: int) -> int:
    """Memory of a process that is resident now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


class Process:
    """A child that speaks in lines on standard output, and may listen on standard input."""

    def __init__(self, child: subprocess.Popen[bytes], errors: Path) -> None:
        self._child = child
        self._errors = errors
        self._rest = b""
        self.pid = child.pid

    def tell(self, line: bytes) -> None:
        """Write a line to the child."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(line + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            raise Failed(self._postmortem("ended")) from None

    def hear(self, timeout: float) -> bytes:
        """The child's next line. Raises Failed when it ends or stays silent."""
        assert self._child.stdout is not None
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise Failed(self._postmortem(f"said nothing for {timeout:.0f} s"))
                data = os.read(self._child.stdout.fileno(), 65536)
                if not data:
                    self._child.wait()
                    raise Failed(self._postmortem(f"ended with status {self._child.returncode}"))
                self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def hear_as(self, kind: type[_Answer], timeout: float) -> _Answer:
        """The child's next line, JSON of this type. Raises Failed also where the child says instead
        that it failed: `{"error": ...}`."""
        answer = msgspec.json.decode(self.hear(timeout))
        if isinstance(answer, dict) and "error" in answer:
            raise Failed(str(answer["error"]))
        return msgspec.convert(answer, kind)

    def has_spoken(self, timeout: float) -> bool:
        """Whether there is something to hear, within so many seconds."""
        assert self._child.stdout is not None
        return b"\n" in self._rest or bool(select.select([self._child.stdout], [], [], timeout)[0])

    def last_words(self) -> str:
        """The end of what the child wrote to standard error."""
        return "\n".join(self._errors.read_text(errors="replace").strip().splitlines()[-8:])

    def _postmortem(self, what: str) -> str:
        command = " ".join(str(part) for part in self._child.args[1:4])  # type: ignore[index]
        return f"{command}: {what}\n{self.last_words()}".rstrip()


@contextlib.contextmanager
def running(arguments: Sequence[str], cpu: int, folder: Path = ROOT) -> Iterator[Process]:
    """Run Python with these arguments on one core, from the sources in `folder`; on leaving, the
    process is ended."""
    with (
        # What it writes is gone with it, also where it becomes another program.
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as written,
        (Path(written) / "stderr").open("wb") as errors,
        # In a session of its own, so that Ctrl-C reaches only this process, which ends the rest.
        subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env={**os.environ, "TMPDIR": written},
            start_new_session=True,
        ) as child,
    ):
        try:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(child.pid, {cpu})
            yield Process(child, Path(errors.name))
        finally:
            child.terminate()
            try:
                child.wait(5.0)
            except subprocess.TimeoutExpired:
                child.kill()
