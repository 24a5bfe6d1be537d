"""Access control as the sections `auth` and `web` of the configuration define it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
import trio
from joserfc.jwk import Key

from pushsvc.auth.access import Access
from pushsvc.auth.credentials import Cookie
from pushsvc.auth.jwks import Jwks
from pushsvc.auth.jwt import (
    ALGORITHMS,
    KeySource,
    StaticKeys,
    UnusableKey,
    Verifier,
    check_algorithms,
    read_keys,
    read_secret,
)
from pushsvc.auth.keys import KeyFileError, KeyRing, load_keys
from pushsvc.auth.leases import Leases
from pushsvc.auth.origins import Origins
from pushsvc.auth.proxies import Proxies, is_loopback
from pushsvc.auth.sessions import Sessions
from pushsvc.config import Auth, ConfigError, Settings
from pushsvc.config.hosts import UNIX_PREFIX
from pushsvc.log import get_logger

_log = get_logger("pushsvc.auth")

_ASYMMETRIC: Final = ("RS256", "ES256", "EdDSA")
_LOOK: Final = 5.0
"""Seconds between two looks at the file of keys."""


class AccessControl(msgspec.Struct, frozen=True):
    """What decides on requests, and the tasks that it needs."""

    access: Access
    jwks: Jwks | None = None
    key_file: Path | None = None


def make_access_control(settings: Settings, inherited: Sequence[str] = ()) -> AccessControl:
    """Read what the configuration names. Raises ConfigError where the service must not start.

    `inherited` are the hosts of sockets that were passed by a service manager. A Unix socket counts
    as local, like loopback: the permissions of its file decide who may connect.
    """
    auth, web = settings.auth, settings.web
    try:
        origins = Origins(web.allowed_origins, web.embedders)
        proxies = Proxies(web.proxies, header=web.header, depth=web.forwarded_depth)
    except ValueError as error:
        raise ConfigError(f"web: {error}") from None
    cookie = Cookie.under(settings.server.prefix)
    if auth.mode == "none":
        others = [f"server.host is {one}" for one in settings.server.hosts if not _is_local(one)]
        others += [f"systemd passed a socket on {one}" for one in inherited if not _is_local(one)]
        if others and not auth.insecure_no_auth:
            raise ConfigError(
                f"{others[0]}, which others can reach, and auth.mode is none: anyone could read "
                "and write everything. Set auth.mode to keys or jwt, or say --insecure-no-auth "
                "(auth.insecure_no_auth) if something else keeps them out"
            )
        open_to_all = auth.insecure_no_auth
        access = Access(origins=origins, proxies=proxies, cookie=cookie, local_only=not open_to_all)
        return AccessControl(access)
    if auth.mode == "keys":
        if not auth.keys_file:
            raise ConfigError("auth.mode is keys: auth.keys_file must say where they are")
        file = Path(auth.keys_file)
        try:
            ring = _first_keys(file)
        except KeyFileError as error:
            raise ConfigError(f"auth.keys_file: {error}") from None
        sessions = _sessions(auth, ring)
        access = Access(
            ring=ring, sessions=sessions, origins=origins, proxies=proxies, cookie=cookie
        )
        return AccessControl(access, key_file=file)
    source, jwks, algorithms = _source(auth)
    verifier = Verifier(
        source,
        algorithms=algorithms,
        issuer=auth.issuer,
        audience=auth.audience,
        leeway=auth.leeway,
    )
    sessions = _sessions(auth, None)
    access = Access(
        verifier=verifier, sessions=sessions, origins=origins, proxies=proxies, cookie=cookie
    )
    return AccessControl(access, jwks=jwks)


def _is_local(host: str) -> bool:
    """Whether only this machine can reach it."""
    return host.startswith(UNIX_PREFIX) or is_loopback(host.strip("[]"))


def _first_keys(file: Path) -> KeyRing:
    """The keys at the start. Where the file doesn't exist yet, like one that is mounted from a
    Secret, there are no keys, and everyone is refused until it exists. Raises KeyFileError."""
    if file.parent.is_dir() and not file.exists():
        return KeyRing({})
    return load_keys(file)


def _sessions(auth: Auth, ring: KeyRing | None) -> Sessions:
    if auth.session_secret:
        try:
            read_secret(auth.session_secret)
        except UnusableKey as error:
            raise ConfigError(f"auth.session_secret: {error}") from None
    return Sessions(auth.session_secret, auth.session_seconds, ring)


def _source(auth: Auth) -> tuple[KeySource, Jwks | None, tuple[str, ...]]:
    configured = [
        name
        for name, value in (
            ("auth.secret", auth.secret),
            ("auth.public_keys_file", auth.public_keys_file),
            ("auth.jwks_url", auth.jwks_url),
        )
        if value
    ]
    if len(configured) != 1:
        which = " and ".join(configured) or "none"
        raise ConfigError(
            "auth.mode is jwt: one of auth.secret, auth.public_keys_file and auth.jwks_url must "
            f"say how tokens are verified, not {which}"
        )
    try:
        names = auth.algorithm_names or (("HS256",) if auth.secret else _ASYMMETRIC)
        algorithms = check_algorithms(names)
    except UnusableKey as error:
        raise ConfigError(f"auth.algorithms: {error}") from None
    kinds = {ALGORITHMS[name][0] for name in algorithms}
    if ("oct" in kinds) != bool(auth.secret) or (auth.secret and len(kinds) > 1):
        raise ConfigError(
            f"auth.algorithms: HS256 goes with auth.secret and with nothing else: {configured[0]} "
            "is configured"
        )
    if auth.jwks_url:
        if not (auth.issuer and auth.audience):
            raise ConfigError(
                "auth.jwks_url: whoever publishes it signs for others too: auth.issuer and "
                "auth.audience must say whose tokens are meant for this service"
            )
        _check_url(auth.jwks_url)
        jwks = Jwks(auth.jwks_url, refresh=auth.jwks_refresh, stale=auth.jwks_stale)
        return jwks, jwks, algorithms
    keys: list[Key] = []
    try:
        keys = [read_secret(auth.secret)] if auth.secret else read_keys(Path(auth.public_keys_file))
    except OSError as error:
        raise ConfigError(f"{auth.public_keys_file}: {error.strerror or error}") from None
    except UnusableKey as error:
        raise ConfigError(f"{configured[0]}: {error}") from None
    return StaticKeys(keys), None, algorithms


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return
    raise ConfigError("auth.jwks_url starts with https:// (http:// on this machine only)")


async def run_key_file(
    file: Path,
    ring: KeyRing,
    changed: Callable[[], None],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Read the file of keys again when it has changed, and call `changed`.

    If it can't be used, or is gone, that is logged, and the keys stay as they were. A file without
    any key may be about to be written: it counts only if it is unchanged at the next look.
    """
    task_status.started()
    seen = _stamp(file)
    emptied = None
    while True:
        await trio.sleep(_LOOK)
        stamp = _stamp(file)
        if stamp == seen:
            continue
        try:
            found = load_keys(file)
        except KeyFileError as error:
            reason = (
                f"{error}; to take all keys out, leave the file empty" if stamp is None else error
            )
            _log.error("the keys stay as they were", reason=str(reason))
        else:
            if not len(found) and stamp != emptied:
                emptied = stamp
                continue
            ring.replace(found)
            _log.info("keys", file=str(file), count=len(ring))
            changed()
        seen = stamp


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


async def start_access_control(
    nursery: trio.Nursery, access_control: AccessControl, leases: Leases
) -> None:
    """Start what keeps keys fresh and ends streams whose token has expired."""
    await nursery.start(leases.run)
    ring = access_control.access.ring
    if access_control.jwks is not None:
        await nursery.start(access_control.jwks.run)
    if access_control.key_file is not None and ring is not None:
        if not len(ring):
            _log.warning(
                "no keys yet: everyone is refused",
                file=str(access_control.key_file),
                make="pushsvc key new",
            )

        def reconsider() -> None:
            leases.reconsider(lambda owner: ring.owner(owner, time.time()))

        await nursery.start(run_key_file, access_control.key_file, ring, reconsider)
