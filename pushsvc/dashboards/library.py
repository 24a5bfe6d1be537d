"""The dashboards there are: those that were saved, those that are provisioned, and our own.

All of it blocks on files: call it from a thread. Files are looked at again each time and parsed
again when they have changed, so what is mounted anew is there without a restart, also where a
directory is replaced as a whole by a symbolic link, as kubelets do with a ConfigMap.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from pushsvc.dashboards.model import MOST_BYTES, Dashboard, check_name, read, write
from pushsvc.dashboards.precondition import Precondition
from pushsvc.errors import Forbidden, Overloaded, Problem, Rejected, Unknown

_log = structlog.get_logger("pushsvc.dashboards")

MOST: Final = 500
"""Dashboards in one directory."""
_SUFFIX: Final = ".json"
_Source = Literal["saved", "provisioned", "shipped"]


class Held(msgspec.Struct, frozen=True):
    """A dashboard, and the version it has."""

    name: str
    source: _Source
    dashboard: Dashboard
    body: bytes
    etag: str
    """A strong entity tag, quotes included."""
    modified: int
    """Unix milliseconds."""


class Broken(msgspec.Struct, frozen=True):
    """A file that should be a dashboard and isn't, and why."""

    name: str
    source: _Source
    reason: str


class Folder:
    """The dashboards in one directory, NAME.json each."""

    def __init__(self, path: Path, source: _Source) -> None:
        self.path = path
        self.source = source
        self._known: dict[str, tuple[tuple[int, int, int, int], Held | Broken]] = {}
        self._reading = threading.Lock()

    def names(self) -> list[str]:
        """The names of the files, at most MOST. Raises OSError."""
        with os.scandir(self.path) as entries:
            found = [
                entry.name.removesuffix(_SUFFIX)
                for entry in entries
                if entry.name.endswith(_SUFFIX) and not entry.name.startswith(".")
            ]
        if len(found) > MOST:
            _log.warning("too many dashboards: the rest is left out", directory=str(self.path))
        return sorted(found)[:MOST]

    def get(self, name: str, *, fresh: bool = False) -> Held | Broken | None:
        """What a file holds; None if there is none. Raises OSError.

        `fresh` reads it also where it looks unchanged: two writes within one tick of the file
        system's clock can look like one.
        """
        with self._reading:
            try:
                # Not to wait on what is no file: a pipe without a writer.
                handle = os.open(self._file(name), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                self._known.pop(name, None)
                return None
            with os.fdopen(handle, "rb") as stream:
                status = os.fstat(handle)
                stamp = (status.st_mtime_ns, status.st_ino, status.st_dev, status.st_size)
                known = self._known.get(name)
                if known is not None and known[0] == stamp and not fresh:
                    return known[1]
                if stat.S_ISREG(status.st_mode):
                    found = self._parse(name, stream.read(MOST_BYTES + 1), stamp[0] // 1_000_000)
                else:
                    found = Broken(name, self.source, "not a file")
            if isinstance(found, Broken):
                _log.error("not a dashboard", file=str(self._file(name)), reason=found.reason)
            self._known[name] = stamp, found
            return found

    def _file(self, name: str) -> Path:
        return self.path / f"{name}{_SUFFIX}"

    def _parse(self, name: str, text: bytes, modified: int) -> Held | Broken:
        try:
            check_name(name)
            if len(text) > MOST_BYTES:
                raise Rejected("size", f"larger than {MOST_BYTES} bytes")
            dashboard = read(text)
        except Problem as problem:
            return Broken(name, self.source, problem.detail)
        body = write(dashboard)
        return Held(name, self.source, dashboard, body, etag_of(body), modified)

    def put(self, name: str, body: bytes) -> None:
        """Replace a file, whole or not at all, also where power is lost. Raises OSError."""
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".new", dir=self.path)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(body)
                stream.flush()
                os.fsync(handle)
            Path(temporary).replace(self._file(name))
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
        self._settle()

    def remove(self, name: str) -> None:
        """Raises OSError."""
        self._file(name).unlink()
        self._settle()

    def _settle(self) -> None:
        """Have the directory itself on the disk."""
        handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


SHIPPED: Final = Path(str(resources.files("pushsvc.dashboards") / "shipped"))
"""Where those are that come with the program."""


class Library:
    """All dashboards of one service. Of one name, a provisioned one hides a saved one, and that the
    one that comes with the program."""

    def __init__(
        self, saved: Path | None, provisioned: Path | None, shipped: Path | None = None
    ) -> None:
        """The directories; None where there are none."""
        self._shipped = None if shipped is None else Folder(shipped, "shipped")
        self._saved = None if saved is None else Folder(saved, "saved")
        self._provisioned = None if provisioned is None else Folder(provisioned, "provisioned")

    @property
    def writable(self) -> bool:
        """Whether dashboards can be saved."""
        return self._saved is not None

    def prepare(self) -> None:
        """Make the directory, and clear what a crash left half written. Raises OSError where
        nothing could be saved."""
        if self._saved is None:
            return
        self._saved.path.mkdir(parents=True, exist_ok=True)
        with self._alone(self._saved):
            for rest in self._saved.path.glob(".*.new"):
                rest.unlink()

    def list(self) -> list[Held | Broken]:
        """All of them, by name, broken ones too. Raises Overloaded if a directory can't be read."""
        found: dict[str, Held | Broken] = {}
        with _storage():
            for folder in (self._shipped, self._saved, self._provisioned):
                if folder is None:
                    continue
                try:
                    names = folder.names()
                except FileNotFoundError:
                    continue  # a volume that is optional, and not there
                for name in names:
                    one = folder.get(name)
                    if one is not None:
                        found[name] = one
        return [found[name] for name in sorted(found)]

    def get(self, name: str) -> Held:
        """Raises Malformed, Unknown, Overloaded."""
        found = self._find(check_name(name))
        if found is None:
            raise Unknown("dashboard", f"there is no dashboard {name}")
        if isinstance(found, Broken):
            raise Unknown("dashboard_broken", f"the file of {name} is no dashboard: {found.reason}")
        return found

    def save(self, name: str, dashboard: Dashboard, condition: Precondition) -> tuple[Held, bool]:
        """Keep a dashboard; tells what is kept now, and whether it is new.

        Two that save at once, of whatever process, come one after the other: the second fails its
        condition. Raises Malformed, Forbidden where the name is provisioned or nothing can be
        saved, PreconditionFailed, Rejected where there are MOST, Overloaded if the disk fails.
        """
        folder = self._writable(check_name(name))
        body = write(dashboard)
        if len(body) > MOST_BYTES:
            raise Rejected("size", f"the dashboard is larger than {MOST_BYTES} bytes as it is kept")
        with _storage(), self._alone(folder):
            present = folder.get(name, fresh=True)
            _hold(condition, present)
            if present is None and len(folder.names()) >= MOST:
                raise Rejected("dashboards", f"there are {MOST} dashboards: delete one first")
            folder.put(name, body)
            kept = folder.get(name, fresh=True)
        if not isinstance(kept, Held):
            raise Unknown("dashboard", f"{name} was deleted as it was saved")
        return kept, present is None

    def delete(self, name: str, condition: Precondition) -> None:
        """Raises what `save` does, and Unknown."""
        folder = self._writable(check_name(name))
        with _storage(), self._alone(folder):
            present = folder.get(name, fresh=True)
            if present is None:
                raise Unknown("dashboard", f"there is no dashboard {name}")
            _hold(condition, present)
            folder.remove(name)

    def _find(self, name: str) -> Held | Broken | None:
        with _storage():
            for folder in (self._provisioned, self._saved, self._shipped):
                found = None if folder is None else folder.get(name)
                if found is not None:
                    return found
        return None

    def _writable(self, name: str) -> Folder:
        with _storage():
            if self._provisioned is not None and self._provisioned.get(name) is not None:
                raise Forbidden(
                    "provisioned", f"{name} is provisioned: save a copy by another name"
                )
        if self._saved is None:
            raise Forbidden("saving_off", "nothing is saved here: dashboards.directory is not set")
        return self._saved

    @staticmethod
    @contextmanager
    def _alone(folder: Folder) -> Iterator[None]:
        """One writer at a time, among threads and processes: each opens the lock for itself."""
        handle = os.open(folder.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def etag_of(body: bytes) -> str:
    """The entity tag of what is kept (RFC 9110 section 8.8.3)."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _hold(condition: Precondition, present: Held | Broken | None) -> None:
    if isinstance(present, Broken):
        condition.hold("", None)
    elif present is None:
        condition.hold(None, None)
    else:
        condition.hold(present.etag, present.modified)


@contextmanager
def _storage() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _log.error("dashboards can't be reached", error=str(error))
        raise Overloaded(
            "storage", "the dashboards can't be read or written just now", retry_after=5
        ) from error
