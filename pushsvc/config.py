"""One typed configuration out of defaults, a TOML file, the environment and flags.

Later sources win. Whatever can't be understood is refused in one line that names the source, the
key, the value and what is expected; an unknown key is never passed over.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from pushsvc.core.resources.limits import Limits, Pacing, Retention
from pushsvc.hosts import PathTooLong, parse_host, split_hosts

_PREFIX: Final = "PUSHSVC_"
_MOST: Final = 1e12
"""No limit or time needs to be larger, and milliseconds of it fit into 64 bits."""
_BASE_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?")
_RESERVED: Final = {"PUSHSVC_CAFILE", "PUSHSVC_CONFIG", "PUSHSVC_TOKEN", "PUSHSVC_URL"}
"""Variables that mean something to the command line itself."""


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where to listen, and how to stop."""

    host: str | tuple[str, ...] = "127.0.0.1"
    """Address, host name or unix:PATH?mode=660, or a list of these; 0.0.0.0 for all interfaces,
    :: for IPv6 as well."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8080
    """TCP port; 0 for any that is free."""
    certfile: str = ""
    """PEM file with the certificate and those it was signed with; with it TLS is spoken."""
    keyfile: str = ""
    """PEM file with the certificate's key, not encrypted."""
    base_path: str = ""
    """Path under which a proxy asks for the service, where it passes that on: /push."""
    workers: Annotated[int, msgspec.Meta(ge=1, le=256)] | Literal["auto"] = 1
    """Processes that serve on one port, with one log; auto: one for each core."""
    backlog: Annotated[int, msgspec.Meta(ge=1)] = 1024
    """Connections the kernel holds until they are accepted."""
    drain_delay: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Seconds between failing readiness and the first goodbye: what a load balancer takes to
    notice."""
    drain_timeout: Annotated[float, msgspec.Meta(ge=0)] = 15.0
    """Seconds within which all subscribers are told to come back."""
    shutdown_timeout: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    """Seconds that open requests get to finish when the service ends."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """Each of those in `host`, which as a text has them with commas or spaces."""
        return split_hosts(self.host) if isinstance(self.host, str) else self.host

    @property
    def prefix(self) -> str:
        """The base path without a slash at its end; empty where there is none."""
        return self.base_path.rstrip("/")


class Ingest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How producers' formats are taken in."""

    statsd: str = ""
    """HOST:PORT of a UDP socket for StatsD; none if empty."""
    statsd_interval: float = 1.0
    """Seconds over which StatsD's counts and timings are gathered into one sample."""
    own_interval: float = 0.0
    """Seconds between samples of the service's own metrics as series, pushsvc_*; none if 0."""
    otlp_names: Literal["underscores", "as-they-are"] = "underscores"
    """How OpenTelemetry's metrics are called: http_server_duration_seconds, which is Prometheus'
    own default, or http.server.duration."""
    otlp_attributes: str | tuple[str, ...] = ""
    """Resource attributes of OpenTelemetry that become labels of every series: with commas, or a
    list."""

    @property
    def statsd_address(self) -> tuple[str, int] | None:
        """Host and port of `statsd`. Raises ValueError where it isn't HOST:PORT."""
        if not self.statsd:
            return None
        host, colon, port = self.statsd.rpartition(":")
        number = int(port) if port.isascii() and port.isdigit() else -1
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not host or not 0 <= number <= 65535:
            raise ValueError(self.statsd)
        return host, number

    @property
    def promoted(self) -> tuple[str, ...]:
        """The names in `otlp_attributes`."""
        return _names(self.otlp_attributes)


class Auth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who may read and write what."""

    mode: str = "none"
    """none, keys or jwt."""
    insecure_no_auth: bool = False
    """Whether mode none is meant even where others can reach the service."""
    keys_file: str = ""
    """Mode keys: TOML file with the hashes of API keys; read again when it changes."""
    secret: str = ""
    """Mode jwt: the shared secret of HS256."""
    public_keys_file: str = ""
    """Mode jwt: PEM, JWK or JWK set with the keys of RS256, ES256 or EdDSA."""
    jwks_url: str = ""
    """Mode jwt: where the issuer publishes its keys."""
    algorithms: str | tuple[str, ...] = ""
    """Mode jwt: those that are taken, with commas or as a list; all that go with the keys if
    empty."""
    issuer: str = ""
    """Mode jwt: what `iss` must be; anything if empty."""
    audience: str = ""
    """Mode jwt: what `aud` must name; anything if empty."""
    leeway: float = 30.0
    """Seconds that clocks may differ by."""
    jwks_refresh: float = 600.0
    """Seconds after which published keys are fetched again, unless they come with a max-age."""
    jwks_stale: float = 86_400.0
    """Seconds that known keys stay good while the URL doesn't answer."""
    session_secret: str = ""
    """What cookies are signed with, the same on all pods; one of the process's own if empty."""
    session_seconds: float = 43_200.0
    """How long a cookie is good, as long as its token is."""

    @property
    def algorithm_names(self) -> tuple[str, ...]:
        return _names(self.algorithms)


class Web(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What other pages may do, and which proxies are believed."""

    origins: str | tuple[str, ...] = ""
    """Origins of other pages that may use the API, with commas or as a list:
    https://dash.example."""
    frame_ancestors: str | tuple[str, ...] = "none"
    """Who may embed the page: none, self, or origins, with commas or as a list."""
    trusted_proxies: str | tuple[str, ...] = ""
    """Addresses and networks whose forwarding headers are believed, with commas or as a list; unix
    for those who come by a Unix socket."""
    forwarded_header: str = "x-forwarded-for"
    """What they write: x-forwarded-for (with -proto and -host), or forwarded; the other isn't
    read."""
    forwarded_depth: Annotated[int, msgspec.Meta(ge=0, le=32)] = 0
    """Which address from the right is the client's: 2 behind Google's load balancers, which append
    "client, balancer". 0: the first that isn't a trusted proxy's."""

    compress: bool = True
    """Whether answers and the page's files are compressed for who takes that."""

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        return _names(self.origins)

    @property
    def embedders(self) -> tuple[str, ...]:
        return _names(self.frame_ancestors)

    @property
    def header(self) -> Literal["x-forwarded-for", "forwarded"]:
        return "forwarded" if self.forwarded_header == "forwarded" else "x-forwarded-for"

    @property
    def proxies(self) -> tuple[str, ...]:
        return _names(self.trusted_proxies)


def _names(given: str | tuple[str, ...]) -> tuple[str, ...]:
    """Those in a text that has them with commas, or in a list."""
    parts = given.split(",") if isinstance(given, str) else given
    return tuple(name for part in parts if (name := part.strip()))


class Dashboards(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where dashboards are kept."""

    directory: str = ""
    """Directory of those that are saved; nothing can be saved if empty."""
    provisioned: str = ""
    """Directory of those that come from elsewhere and are only read; none if empty."""


class Keeping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the log of what was published is kept."""

    path: str = ""
    """File of SQLite, made if it isn't there: the past outlives a restart. In memory if empty."""
    synchronous: Literal["full", "normal"] = "full"
    """full: what was answered is on the disk. normal: it outlives the process, but what came in the
    last moments may be lost where the machine goes down; cheaper."""
    max_bytes: Annotated[int, msgspec.Meta(ge=1_000_000)] = 4_000_000_000
    """Bytes that are kept at the most; beyond, the oldest go, however young they are. At a Valkey
    they are memory, and half of its maxmemory at the most."""
    url: str = ""
    """A Valkey or Redis instead, which several processes share: valkey://USER:PASSWORD@HOST:PORT,
    valkeys:// with TLS, several hosts of a Cluster, or Sentinels with ?sentinel=NAME."""
    ca: str = ""
    """File of certificates in PEM that its TLS is trusted by; the system's if empty."""
    prefix: Annotated[str, msgspec.Meta(pattern=r"^[^{}\s]{1,100}$")] = "pushsvc"
    """Its keys begin with it, in braces; services that don't share a log have two."""
    replicas: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    """Replicas that have what was published before it is answered."""
    fsync: bool = False
    """Whether it is on disk there before it is answered."""
    start_wait: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 60.0
    """Seconds that a start waits for it to be reached; 0 has it fail at once."""


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is logged, to standard error."""

    level: str = "info"
    """debug, info, warning or error."""
    format: str = "auto"
    """console, json, or auto: console on a terminal."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole configuration."""

    server: Server = Server()
    limits: Limits = Limits()
    history: Retention = Retention()
    stream: Pacing = Pacing()
    ingest: Ingest = Ingest()
    auth: Auth = Auth()
    web: Web = Web()
    dashboards: Dashboards = Dashboards()
    journal: Keeping = Keeping()
    log: Log = Log()


class ConfigError(Exception):
    """The configuration can't be used; the message is one line for whoever wrote it."""


_SECTIONS: Final = {field.name: field.type for field in msgspec.structs.fields(Settings)}
_KEYS: Final = {
    f"{section}.{field.name}": field
    for section, struct in _SECTIONS.items()
    for field in msgspec.structs.fields(struct)
}

_TEXTS: Final = str | tuple[str, ...]
"""Of settings that may be a list."""
_SPANS: Final = ("auth.jwks_refresh", "auth.jwks_stale", "auth.session_seconds")

SECRET: Final = frozenset(("auth.secret", "auth.session_secret", "journal.url"))
"""Keys whose values are never shown."""


def load_settings(
    config: Mapping[str, Any] | None = None,
    *,
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The configuration for `open_service`: defaults < `file` < `environ` < `config`.

    `file` is one of TOML, which is read at once; of `environ` (`os.environ`, usually) the variables
    PUSHSVC_SECTION_KEY count; `config` has sections and keys as a file has them, such as
    `{"journal": {"path": "push.db"}}`. What isn't given is not looked for.

    Raises ConfigError, in one line that says where which value is wrong, and what is expected.
    """
    where = None if file is None else Path(file)
    return load(where, environ or {}, document=config).settings


class Loaded(msgspec.Struct, frozen=True):
    """A configuration, and where each value that isn't a default came from."""

    settings: Settings
    origins: dict[str, str]

    def toml(self) -> str:
        """The effective configuration as TOML, secrets masked."""
        lines: list[str] = []
        for section in _SECTIONS:
            lines.append(f"[{section}]")
            part = getattr(self.settings, section)
            for field in msgspec.structs.fields(part):
                key = f"{section}.{field.name}"
                value = getattr(part, field.name)
                if key in SECRET and value:
                    value = "********"
                line = f"{field.name} = {_toml_value(value)}"
                if key in self.origins:
                    line += f"  # {self.origins[key]}"
                lines.append(line)
            lines.append("")
        return "\n".join(lines).rstrip() + "\n"


def load(
    file: Path | None,
    environment: Mapping[str, str],
    flags: Iterable[tuple[str, str, str | tuple[str, ...]]] = (),
    *,
    defaults: Mapping[str, Any] | None = None,
    document: Mapping[str, Any] | None = None,
) -> Loaded:
    """Merge all sources. `flags` are (flag as written, key, text or several of them); `defaults`
    are a command's own, which everything else overrides; `document` is a program's own, as a file
    would have it, and overrides all else. Raises ConfigError."""
    values: dict[str, Any] = dict(defaults or {})
    origins: dict[str, str] = dict.fromkeys(values, "default of the command")
    if file is not None:
        for key, value in _read_file(file).items():
            values[key], origins[key] = value, str(file)
    for variable, text in sorted(environment.items()):
        if variable.startswith(_PREFIX) and variable not in _RESERVED:
            key = _key_of_variable(variable)
            values[key], origins[key] = _parse(key, text, variable), variable
    for flag, key, given in flags:
        if key not in _KEYS:
            raise ConfigError(f"{flag}: there is no setting {key}{_suggest(key, _KEYS)}")
        values[key], origins[key] = _parse(key, given, flag), flag
    for key, value in _flat(document or {}, "config").items():
        values[key] = os.fspath(value) if isinstance(value, os.PathLike) else value
        origins[key] = "config"
    sections: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        _check(key, value, origins[key])
        sections.setdefault(section, {})[name] = value
    settings = msgspec.convert(sections, Settings)
    tls = {"server.certfile": settings.server.certfile, "server.keyfile": settings.server.keyfile}
    if any(tls.values()) and not all(tls.values()):
        [given] = (key for key, value in tls.items() if value)
        [missing] = (key for key, value in tls.items() if not value)
        raise ConfigError(f"{origins[given]}: {given} needs {missing} too")
    if settings.journal.url and settings.journal.path:
        raise ConfigError(
            f"{origins['journal.url']}: the log is either at journal.url or in journal.path "
            f"({origins['journal.path']}), not in both"
        )
    pacing = settings.stream
    if pacing.default_hz > pacing.max_hz:
        if "stream.default_hz" in origins:
            raise ConfigError(
                f"{origins['stream.default_hz']}: stream.default_hz ({pacing.default_hz:g}) must "
                f"not be more than stream.max_hz ({pacing.max_hz:g})"
            )
        pacing = msgspec.structs.replace(pacing, default_hz=pacing.max_hz)
        settings = msgspec.structs.replace(settings, stream=pacing)
    if pacing.min_heartbeat > pacing.max_heartbeat:
        key = max(("stream.min_heartbeat", "stream.max_heartbeat"), key=origins.__contains__)
        raise ConfigError(
            f"{origins[key]}: stream.min_heartbeat ({pacing.min_heartbeat:g}) must not be more "
            f"than stream.max_heartbeat ({pacing.max_heartbeat:g})"
        )
    return Loaded(settings, origins)


def _read_file(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            document = tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not TOML: {error}") from None
    return _flat(document, str(file))


def _flat(document: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """The values of a document with sections, by SECTION.KEY. Raises ConfigError."""
    values = {}
    for section, part in document.items():
        if section not in _SECTIONS:
            raise ConfigError(
                f"{origin}: there is no section [{section}]{_suggest(section, _SECTIONS)}"
            )
        if not isinstance(part, Mapping):
            raise ConfigError(f"{origin}: {section} is a section: write [{section}] above its keys")
        for name, value in part.items():
            key = f"{section}.{name}"
            if key not in _KEYS:
                raise ConfigError(f"{origin}: there is no setting {key}{_suggest(key, _KEYS)}")
            values[key] = value
    return values


def _key_of_variable(variable: str) -> str:
    for key in _KEYS:
        if _variable(key) == variable:
            return key
    known = [_variable(key) for key in _KEYS] + sorted(_RESERVED)
    raise ConfigError(f"{variable}: there is no such setting{_suggest(variable, known)}")


def _variable(key: str) -> str:
    return _PREFIX + key.replace(".", "_").upper()


def _parse(key: str, text: str | tuple[str, ...], origin: str) -> Any:
    """Text of the environment or a flag as a value of the type the key has."""
    if _KEYS[key].type in (str, _TEXTS):
        return text
    try:
        return msgspec.convert(text, _KEYS[key].type, strict=False)
    except msgspec.ValidationError:
        raise ConfigError(f"{origin}: {key} must be {_expected(key)}, not {text!r}") from None


def _check(key: str, value: Any, origin: str) -> None:
    try:
        msgspec.convert(value, _KEYS[key].type)
        usable = not isinstance(value, float) or math.isfinite(value)
    except msgspec.ValidationError:
        usable = False
    if key == "log.level":
        usable = value in ("debug", "info", "warning", "error")
    elif key == "log.format":
        usable = value in ("auto", "console", "json")
    elif key == "web.forwarded_header":
        usable = value in ("x-forwarded-for", "forwarded")
    elif usable and key == "server.host":
        hosts = Server(host=value).hosts
        try:
            bad = [host for host in hosts if not _is_host(host)]
        except PathTooLong as error:
            raise ConfigError(f"{origin}: {key}: {error}") from None
        usable = bool(hosts) and not bad
        value = bad[0] if bad else value
    elif usable and key == "server.base_path":
        usable = _BASE_PATH.fullmatch(value) is not None and "/." not in value
    elif usable and key == "ingest.statsd":
        usable = _is_address(value)
    elif usable and key == "ingest.own_interval":
        usable = value == 0 or 0.1 <= value <= 3600
    elif usable and key == "ingest.statsd_interval":
        usable = 0.01 <= value <= 3600
    elif key == "auth.mode":
        usable = value in ("none", "keys", "jwt")
    elif usable and key == "auth.leeway":
        usable = 0 <= value <= 3600
    elif usable and (key.split(".")[0] in ("limits", "history", "stream") or key in _SPANS):
        usable = isinstance(value, bool) or 0 < value <= _MOST
    if not usable:
        shown = "what it is" if key in SECRET else repr(value)
        raise ConfigError(f"{origin}: {key} must be {_expected(key)}, not {shown}")


def _is_host(text: str) -> bool:
    """Raises PathTooLong."""
    try:
        parse_host(text)
    except PathTooLong:
        raise
    except ValueError:
        return False
    return True


def _is_address(text: str) -> bool:
    try:
        Ingest(statsd=text).statsd_address  # noqa: B018 - it raises
    except ValueError:
        return False
    return True


def _expected(key: str) -> str:
    if key == "web.forwarded_header":
        return "x-forwarded-for or forwarded"
    if key == "web.forwarded_depth":
        return "a whole number from 0 to 32"
    if key == "server.host":
        return "an address, a host name or unix:PATH, which may end in ?mode=660, or a list of them"
    if key == "server.workers":
        return "a whole number from 1 to 256, or auto"
    if key == "server.base_path":
        return "a path such as /push, of letters, digits and ._~-, or empty"
    if key == "ingest.statsd":
        return "HOST:PORT, or empty for none"
    if key == "ingest.own_interval":
        return "a number of seconds from 0.1 to 3600, or 0 for none"
    if key == "ingest.statsd_interval":
        return "a number of seconds from 0.01 to 3600"
    if key == "log.level":
        return "debug, info, warning or error"
    if key == "log.format":
        return "auto, console or json"
    if key == "journal.synchronous":
        return "full or normal"
    if key == "journal.prefix":
        return "1 to 100 characters without braces and spaces"
    if key == "journal.replicas":
        return "a whole number from 0 to 100"
    if key == "journal.start_wait":
        return "from 0 to 86400 seconds"
    if key == "journal.max_bytes":
        return "a whole number, a million or more"
    if key == "auth.mode":
        return "none, keys or jwt"
    if key == "auth.leeway":
        return "a number from 0 to 3600"
    if _KEYS[key].type is bool:
        return "true or false"
    if key == "server.port":
        return "a port from 0 to 65535"
    kind = _KEYS[key].type
    if kind is str:
        return "text"
    if kind == _TEXTS:
        return "text, with commas between several, or a list of texts"
    whole = kind is int or getattr(kind, "__origin__", None) is int
    noun = "a whole number" if whole else "a number"
    if key in ("server.drain_delay", "server.drain_timeout", "server.shutdown_timeout"):
        return f"{noun}, 0 or more"
    return f"{noun} above 0, a million million at most"


def _suggest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f": did you mean {close[0]}?" if close else ""


def _toml_value(value: Any) -> str:
    # A JSON string is a TOML basic string, and numbers are written alike.
    return msgspec.json.encode(value).decode()
