"""All dashboards: saved ones, provisioned ones, and those that come with the program.

Everything here blocks on files: call it from a thread. Files are checked each time and parsed again
if they have changed, so that newly mounted files appear without a restart. This also works if a
symbolic link replaces a whole directory, as kubelets do with a ConfigMap.
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
from typing import Final, Literal, Protocol

import msgspec

from pushsvc.dashboards.model import MOST_BYTES, Dashboard, check_name, read, write
from pushsvc.dashboards.precondition import Precondition
from pushsvc.errors import Forbidden, Overloaded, Problem, Rejected, Unknown
from pushsvc.log import get_logger

_log = get_logger("pushsvc.dashboards")

MOST: Final = 500
"""The most dashboards in one directory."""
_SUFFIX: Final = ".json"
Source = Literal["saved", "provisioned", "shipped"]


class Held(msgspec.Struct, frozen=True):
    """A dashboard, and the version it has."""

    name: str
    source: Source
    dashboard: Dashboard
    body: bytes
    etag: str
    """A strong entity tag, quotes included."""
    modified: int
    """Unix milliseconds."""


class Broken(msgspec.Struct, frozen=True):
    """A file that should be a dashboard and isn't, and why."""

    name: str
    source: Source
    reason: str


class DashboardStore(Protocol):
    """A store of saved dashboards. Blocks, like the library."""

    def names(self) -> list[str]:
        """The names of its dashboards, at most MOST. Raises OSError."""
        ...

    def get(self, name: str) -> Held | Broken | None:
        """The dashboard with a name; None if there is none. Raises OSError."""
        ...

    def put(self, name: str, body: bytes, condition: Precondition) -> tuple[Held, bool]:
        """Save these bytes under a name, if the condition holds for the present version; returns
        what is saved now, and whether it is new.

        If two callers save at the same time, from any thread or process, the second finds the
        result of the first. Raises OSError, PreconditionFailed, Rejected if there are too many.
        """
        ...

    def remove(self, name: str, condition: Precondition) -> None:
        """Delete a dashboard, with a condition as in `put`. Raises Unknown if there is none."""
        ...


class Folder:
    """The dashboards in one directory, each in NAME.json. Only one thread of one process writes at
    a time."""

    def __init__(self, path: Path, source: Source) -> None:
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
        """The content of a file; None if there is none. Raises OSError.

        `fresh` reads it even if it looks unchanged: two writes within one tick of the file
        system's clock can look like one.
        """
        with self._reading:
            try:
                # O_NONBLOCK, so that opening a pipe without a writer doesn't wait.
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
                    modified = stamp[0] // 1_000_000
                    found = parse(name, self.source, stream.read(MOST_BYTES + 1), modified)
                else:
                    found = Broken(name, self.source, "not a file")
            if isinstance(found, Broken):
                _log.error("not a dashboard", file=str(self._file(name)), reason=found.reason)
            self._known[name] = stamp, found
            return found

    def _file(self, name: str) -> Path:
        return self.path / f"{name}{_SUFFIX}"

    def put(self, name: str, body: bytes, condition: Precondition) -> tuple[Held, bool]:
        with self._alone():
            present = self.get(name, fresh=True)
            hold(condition, present)
            if present is None and len(self.names()) >= MOST:
                raise too_many()
            self._write(name, body)
            kept = self.get(name, fresh=True)
        if not isinstance(kept, Held):
            raise Unknown("dashboard", f"{name} was deleted as it was saved")
        return kept, present is None

    def remove(self, name: str, condition: Precondition) -> None:
        with self._alone():
            present = self.get(name, fresh=True)
            if present is None:
                raise no_such(name)
            hold(condition, present)
            self._file(name).unlink()
            self._settle()

    def clear(self) -> None:
        """Make the directory, and remove files that a crash left half-written. Raises OSError."""
        self.path.mkdir(parents=True, exist_ok=True)
        with self._alone():
            for rest in self.path.glob(".*.new"):
                rest.unlink()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock on the directory. Each caller opens it anew, so that it works between
        threads too."""
        handle = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _write(self, name: str, body: bytes) -> None:
        """Replace a file atomically, even if the power fails. Raises OSError."""
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

    def _settle(self) -> None:
        """Sync the directory itself to the disk."""
        handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


SHIPPED: Final = Path(str(resources.files("pushsvc.dashboards") / "shipped"))
"""The directory of the dashboards that come with the program."""


class Library:
    """All dashboards of one service. If names are equal, a provisioned dashboard hides a saved one,
    and a saved one hides the one that comes with the program."""

    def __init__(
        self,
        saved: Path | DashboardStore | None,
        provisioned: Path | None,
        shipped: Path | None = None,
    ) -> None:
        """The directories, or another store of saved ones; None if there is none."""
        self._shipped = None if shipped is None else Folder(shipped, "shipped")
        self._saved = Folder(saved, "saved") if isinstance(saved, Path) else saved
        self._provisioned = None if provisioned is None else Folder(provisioned, "provisioned")

    def kept_by(self, saved: DashboardStore) -> Library:
        """The same library with another store for saved dashboards."""
        other = Library(saved, None)
        other._shipped, other._provisioned = self._shipped, self._provisioned
        return other

    @property
    def folder(self) -> Folder | None:
        """The directory of saved dashboards, if they are in one."""
        return self._saved if isinstance(self._saved, Folder) else None

    @property
    def writable(self) -> bool:
        """Whether dashboards can be saved."""
        return self._saved is not None

    def prepare(self) -> None:
        """Make the directory, and remove files that a crash left half-written. Raises OSError if
        nothing could be saved."""
        if self.folder is not None:
            self.folder.clear()

    def list(self) -> list[Held | Broken]:
        """All dashboards by name, with broken ones. Raises Overloaded if a directory can't be
        read."""
        found: dict[str, Held | Broken] = {}
        with _storage():
            for folder in (self._shipped, self._saved, self._provisioned):
                if folder is None:
                    continue
                try:
                    names = folder.names()
                except FileNotFoundError:
                    continue  # an optional volume that isn't mounted
                for name in names:
                    one = folder.get(name)
                    if one is not None:
                        found[name] = one
        return [found[name] for name in sorted(found)]

    def get(self, name: str) -> Held:
        """The dashboard with a name. Raises Malformed, Unknown, Overloaded."""
        found = self._find(check_name(name))
        if found is None:
            raise no_such(name)
        if isinstance(found, Broken):
            raise Unknown("dashboard_broken", f"the file of {name} is no dashboard: {found.reason}")
        return found

    def save(self, name: str, dashboard: Dashboard, condition: Precondition) -> tuple[Held, bool]:
        """Save a dashboard; returns what is saved now, and whether it is new.

        Two saves at the same time, from any process, are done one after the other: the condition of
        the second fails. Raises Malformed, Forbidden if the name is provisioned or nothing can be
        saved, PreconditionFailed, Rejected if there are MOST, Overloaded if the disk fails.
        """
        store = self._writable(check_name(name))
        body = write(dashboard)
        if len(body) > MOST_BYTES:
            raise Rejected("size", f"the dashboard is larger than {MOST_BYTES} bytes as it is kept")
        with _storage():
            return store.put(name, body, condition)

    def delete(self, name: str, condition: Precondition) -> None:
        """Delete a saved dashboard. Raises the same as `save`, and Unknown."""
        store = self._writable(check_name(name))
        with _storage():
            store.remove(name, condition)

    def _find(self, name: str) -> Held | Broken | None:
        with _storage():
            for folder in (self._provisioned, self._saved, self._shipped):
                found = None if folder is None else folder.get(name)
                if found is not None:
                    return found
        return None

    def _writable(self, name: str) -> DashboardStore:
        with _storage():
            if self._provisioned is not None and self._provisioned.get(name) is not None:
                raise Forbidden(
                    "provisioned", f"{name} is provisioned: save a copy by another name"
                )
        if self._saved is None:
            raise Forbidden(
                "saving_off",
                "nothing is saved here: dashboards.directory is not set, and no log is kept "
                "(journal.path, journal.url)",
            )
        return self._saved


def etag_of(body: bytes) -> str:
    """The entity tag of a saved dashboard (RFC 9110 section 8.8.3)."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def parse(name: str, source: Source, text: bytes, modified: int) -> Held | Broken:
    """The dashboard in saved bytes, or Broken with the reason."""
    try:
        check_name(name)
        if len(text) > MOST_BYTES:
            raise Rejected("size", f"larger than {MOST_BYTES} bytes")
        dashboard = read(text)
    except Problem as problem:
        return Broken(name, source, problem.detail)
    body = write(dashboard)
    return Held(name, source, dashboard, body, etag_of(body), modified)


def no_such(name: str) -> Unknown:
    return Unknown("dashboard", f"there is no dashboard {name}")


def too_many() -> Rejected:
    return Rejected("dashboards", f"there are {MOST} dashboards: delete one first")


def hold(condition: Precondition, present: Held | Broken | None) -> None:
    """Raise PreconditionFailed unless the condition holds for the present dashboard."""
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
