"""API keys: made here, kept as hashes in a file, and looked up by the part that isn't secret.

    pushsvc_9f3ab2c41d07_Zk1…          pushsvc _ id _ secret

The id finds the entry; the secret is 256 bits of chance. What is kept is the SHA-256 of the whole
key, without salt or stretching: those slow down guessing of what people choose, and a value of 256
random bits can't be guessed at any speed. A slow hash would only let strangers burn our CPU. The
fixed prefix lets scanners of repositories and logs find a key that has leaked.

The file is TOML, a table for each key:

    [keys.9f3ab2c41d07]
    name = "sensors in hall 3"
    hash = "sha256:…"
    read = ['{site="hall3"}']
    write = ['{site="hall3"}']
    operator = false
    expires = 2027-01-01T00:00:00Z      # optional
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
import secrets
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pushsvc.auth.principal import Grants, Principal, principal_of
from pushsvc.core.query.selector import SelectorError
from pushsvc.errors import Unauthorized

_KEY = re.compile(r"pushsvc_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_NO_HASH = bytes(32)
_HASH = re.compile(r"sha256:[0-9a-f]{64}")


class KeyFileError(Exception):
    """The file of keys can't be used; the message is one line for the person who edits it."""


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    hash: str
    name: str = ""
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    operator: bool = False
    expires: datetime.datetime | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: dict[str, _Entry] = {}


class KeyRing:
    """The valid keys, by id."""

    def __init__(
        self, entries: Mapping[str, tuple[bytes, Principal]], names: Mapping[str, str] | None = None
    ) -> None:
        """`entries` maps ids to the SHA-256 of the key and its principal, `names` those that have
        one to what people call them."""
        self._entries = dict(entries)
        self._names = dict(names or {})

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def grounds(self) -> object:
        """Another object after each `replace`."""
        return self._entries

    def replace(self, other: KeyRing) -> None:
        """Take over the keys of another ring."""
        self._entries, self._names = other._entries, other._names

    def verify(self, key: str, now: float) -> Principal:
        """The principal of this key at `now` (Unix seconds). Raises Unauthorized."""
        parts = _KEY.fullmatch(key)
        entry = None if parts is None else self._entries.get(parts[1])
        # Compared even if the id is unknown, so that the time taken doesn't reveal that.
        right = hmac.compare_digest(_digest(key), _NO_HASH if entry is None else entry[0])
        if entry is None or not right:
            raise Unauthorized("token", "this is not a key that is known here")
        return self._alive(entry[1], now)

    def name_of(self, subject: str) -> str:
        """What the key of a principal with this id is called; empty if it has no name, or is no
        key's."""
        return self._names.get(subject.removeprefix("key:"), "")

    def owner(self, subject: str, now: float) -> Principal:
        """The principal with this id, while its key is in the file. Raises Unauthorized."""
        entry = self._entries.get(subject.removeprefix("key:"))
        if entry is None:
            raise Unauthorized("token", "the key behind this session is gone")
        return self._alive(entry[1], now)

    @staticmethod
    def _alive(principal: Principal, now: float) -> Principal:
        if principal.expires is not None and now >= principal.expires:
            raise Unauthorized("token_expired", "this key has expired")
        return principal


def load_keys(file: Path) -> KeyRing:
    """Read a file of keys; one that is empty has none. Raises KeyFileError."""
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise KeyFileError(f"{file}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{file}: not TOML: {error}") from None
    try:
        read = msgspec.convert(document, _File)
    except msgspec.ValidationError as error:
        raise KeyFileError(f"{file}: {error}") from None
    entries = {id_: _read(file, id_, entry) for id_, entry in read.keys.items()}
    return KeyRing(entries, {id_: entry.name for id_, entry in read.keys.items() if entry.name})


def _read(file: Path, id_: str, entry: _Entry) -> tuple[bytes, Principal]:
    if not re.fullmatch(r"[0-9a-f]{12}", id_) or not _HASH.fullmatch(entry.hash):
        raise KeyFileError(
            f"{file}: keys.{id_} isn't what `pushsvc key new` prints: an id of 12 hex digits and "
            'hash = "sha256:" with 64'
        )
    expires = None
    if entry.expires is not None:
        if entry.expires.tzinfo is None:
            raise KeyFileError(f"{file}: keys.{id_}: expires needs a time zone, such as Z")
        expires = entry.expires.timestamp()
    grants = Grants(entry.read, entry.write, entry.operator)
    try:
        principal = principal_of(f"key:{id_}", grants, expires)
    except SelectorError as error:
        raise KeyFileError(f"{file}: keys.{id_}: {error.detail}") from None
    except ValueError as error:
        raise KeyFileError(f"{file}: keys.{id_}: {error}") from None
    return bytes.fromhex(entry.hash.removeprefix("sha256:")), principal


def make_key() -> tuple[str, str, str]:
    """A new key, its id, and its hash as the file has it."""
    id_ = secrets.token_hex(6)
    key = f"pushsvc_{id_}_{secrets.token_urlsafe(32)}"
    return key, id_, f"sha256:{_digest(key).hex()}"


def table_of(
    id_: str,
    hash_: str,
    *,
    name: str,
    read: Iterable[str],
    write: Iterable[str],
    operator: bool,
) -> str:
    """The table for a key, as it goes into the file."""
    fields: dict[str, Any] = {
        "name": name,
        "hash": hash_,
        "read": list(read),
        "write": list(write),
        "operator": operator,
    }
    # JSON's strings, arrays and booleans are valid TOML.
    lines = [
        f"{field} = {msgspec.json.encode(value).decode()}"
        for field, value in fields.items()
        if value
    ]
    return "\n".join([f"[keys.{id_}]", *lines]) + "\n"


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
