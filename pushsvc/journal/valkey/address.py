"""`journal.url`: the address of a Valkey or Redis, and the credentials for it."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from pushsvc.journal import JournalError

PORT = 6379
SENTINEL_PORT = 26379
_FORMS = (
    "valkey://HOST:PORT, valkeys://HOST:PORT (TLS), redis://, rediss:// or unix:///PATH, "
    "with USER:PASSWORD@ before the host where it wants them"
)
_PLAIN = ("valkey", "redis")
_TLS = ("valkeys", "rediss")
_UNIX = ("unix", "valkey+unix", "redis+unix")
_OPTIONS = ("db", "sentinel", "sentinel_username", "sentinel_password")


class AddressError(JournalError):
    """An invalid URL. The message is one line, and contains no secret."""


class Host(msgspec.Struct, frozen=True):
    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a URL."""

    hosts: tuple[Host, ...] = ()
    """One server, several servers of a Cluster, or Sentinels. Empty with a `path`."""
    path: str | None = None
    tls: bool = False
    username: str | None = None
    password: str | None = None
    db: int = 0
    sentinel: str | None = None
    """The name by which Sentinels know the primary; then `hosts` are the Sentinels."""
    sentinel_username: str | None = None
    sentinel_password: str | None = None

    def __str__(self) -> str:
        """For people; without secrets."""
        return self.path or ",".join(map(str, self.hosts))

    def __repr__(self) -> str:
        return f"Address({self})"


def parse_address(url: str) -> Address:
    """Parse a URL. Raises AddressError, which contains no secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise AddressError(f"journal.url can't be read: it is {_FORMS}") from None
    if parts.scheme not in (*_PLAIN, *_TLS, *_UNIX):
        raise AddressError(f"journal.url begins with {parts.scheme or 'nothing'}: it is {_FORMS}")
    if parts.fragment:
        raise AddressError("journal.url has a #: in a password it is written as %23")
    userinfo, _, netloc = parts.netloc.rpartition("@")
    username, _, password = userinfo.partition(":")
    options = _options(parts.query)
    hosts: tuple[Host, ...] = ()
    path: str | None = None
    if parts.scheme in _UNIX:
        if netloc or len(parts.path) < 2:
            raise AddressError("journal.url of a Unix socket is unix:///PATH, with three slashes")
        path, db = unquote(parts.path), options.get("db")
    else:
        port = SENTINEL_PORT if "sentinel" in options else PORT
        hosts = tuple(_host(each, port) for each in netloc.split(","))
        db = options.get("db") or parts.path.strip("/")
    return Address(
        hosts=hosts,
        path=path,
        tls=parts.scheme in _TLS,
        username=unquote(username) or None,
        password=unquote(password) or None,
        db=_db(db or "0"),
        sentinel=options.get("sentinel"),
        sentinel_username=options.get("sentinel_username"),
        sentinel_password=options.get("sentinel_password"),
    )


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in _OPTIONS:
            raise AddressError(f"journal.url has an option {name}: it takes {', '.join(_OPTIONS)}")
    return options


def _db(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise AddressError(
            "journal.url has a path that is no number of a database: after the host comes /0, or "
            "nothing; a / in a password is written as %2F"
        )
    return int(text)


def _host(text: str, port: int) -> Host:
    if text.startswith("["):
        name, bracket, rest = text[1:].partition("]")
        given = rest.removeprefix(":") if bracket and rest[:1] in ("", ":") else "?"
    else:
        name, _, given = text.partition(":")
    if not name:
        raise AddressError(f"journal.url names no host: it is {_FORMS}")
    if given:
        if not given.isascii() or not given.isdigit() or not 0 < int(given) < 65536:
            raise AddressError(
                f"journal.url has a port that is none, after {name}; a : or @ in a password is "
                "written as %3A or %40, the address of IPv6 in brackets"
            )
        port = int(given)
    return Host(unquote(name), port)
