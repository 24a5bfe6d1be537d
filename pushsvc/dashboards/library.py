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
from typing import Final, Literal, Protocol

import msgspec

from pushsvc.dashboards.model import MOST_BYTES, Dashboard, check_name, read, write
from pushsvc.dashboards.precondition import Precondition
from pushsvc.errors import Forbidden, Overloaded, Problem, Rejected, Unknown
from pushsvc.log import get_logger

_log = get_logger("pushsvc.dashboards")

MOST: Final = 500
"""Dashboards in one directory."""
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
    """Where dashboards are kept that can be saved. Blocks, as the library does."""

    def names(self) -> list[str]:
        """At most MOST. Raises OSError."""
        ...

    def get(self, name: str) -> Held | Broken | None:
        """None where there is none. Raises OSError."""
        ...

    def put(self, name: str, body: bytes, condition: Precondition) -> tuple[Held, bool]:
        """Keep these bytes under a name, if what is there is as wanted; gives what is kept now, and
        whether it is new.

        Of two that do so at once, whoever they are, the second finds what the first has left.
        Raises OSError, PreconditionFailed, Rejected where there is no room.
        """
        ...

    def remove(self, name: str, condition: Precondition) -> None:
        """As `put`, to keep it no more. Raises Unknown where there is none."""
        ...


class Folder:
    """The dashboards in one directory, NAME.json each. Writers are one at a time, among threads and
    processes."""

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
        """Make the directory, and remove what a crash left half written. Raises OSError."""
        self.path.mkdir(parents=True, exist_ok=True)
        with self._alone():
            for rest in self.path.glob(".*.new"):
                rest.unlink()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Each opens the lock for itself."""
        handle = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _write(self, name: str, body: bytes) -> None:
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
        self,
        saved: Path | DashboardStore | None,
        provisioned: Path | None,
        shipped: Path | None = None,
    ) -> None:
        """The directories, or where else saved ones are kept; None where there are none."""
        self._shipped = None if shipped is None else Folder(shipped, "shipped")
        self._saved = Folder(saved, "saved") if isinstance(saved, Path) else saved
        self._provisioned = None if provisioned is None else Folder(provisioned, "provisioned")

    def kept_by(self, saved: DashboardStore) -> Library:
        """The same, with saved ones kept elsewhere."""
        other = Library(saved, None)
        other._shipped, other._provisioned = self._shipped, self._provisioned
        return other

    @property
    def folder(self) -> Folder | None:
        """The directory of saved ones, where there is one."""
        return self._saved if isinstance(self._saved, Folder) else None

    @property
    def writable(self) -> bool:
        """Whether dashboards can be saved."""
        return self._saved is not None

    def prepare(self) -> None:
        """Make the directory, and clear what a crash left half written. Raises OSError where
        nothing could be saved."""
        if self.folder is not None:
            self.folder.clear()

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
            raise no_such(name)
        if isinstance(found, Broken):
            raise Unknown("dashboard_broken", f"the file of {name} is no dashboard: {found.reason}")
        return found

    def save(self, name: str, dashboard: Dashboard, condition: Precondition) -> tuple[Held, bool]:
        """Keep a dashboard; tells what is kept now, and whether it is new.

        Two that save at once, of whatever process, come one after the other: the second fails its
        condition. Raises Malformed, Forbidden where the name is provisioned or nothing can be
        saved, PreconditionFailed, Rejected where there are MOST, Overloaded if the disk fails.
        """
        store = self._writable(check_name(name))
        body = write(dashboard)
        if len(body) > MOST_BYTES:
            raise Rejected("size", f"the dashboard is larger than {MOST_BYTES} bytes as it is kept")
        with _storage():
            return store.put(name, body, condition)

    def delete(self, name: str, condition: Precondition) -> None:
        """Raises what `save` does, and Unknown."""
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
    """The entity tag of what is kept (RFC 9110 section 8.8.3)."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def parse(name: str, source: Source, text: bytes, modified: int) -> Held | Broken:
    """What bytes are that were kept under a name."""
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
    """Raise PreconditionFailed unless what is there is as wanted."""
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
