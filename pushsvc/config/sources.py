"""The configuration from defaults, a TOML file, the environment and flags.

Later sources override earlier ones. An invalid value is refused in one line that names the source,
the key, the value and what is expected; an unknown key is never ignored.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from pushsvc.config.hosts import PathTooLong, parse_host
from pushsvc.config.settings import ConfigError, Ingest, Server, Settings

_PREFIX: Final = "PUSHSVC_"
_MOST: Final = 1e12
"""No limit or time needs to be larger, and milliseconds of it fit into 64 bits."""
_BASE_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?")
_RESERVED: Final = {"PUSHSVC_CAFILE", "PUSHSVC_CONFIG", "PUSHSVC_TOKEN", "PUSHSVC_URL"}
"""Variables that the command line itself uses."""


_SECTIONS: Final = {field.name: field.type for field in msgspec.structs.fields(Settings)}
_KEYS: Final = {
    f"{section}.{field.name}": field
    for section, struct in _SECTIONS.items()
    for field in msgspec.structs.fields(struct)
}

_TEXTS: Final = str | tuple[str, ...]
"""The type of settings that may be a list."""
_SPANS: Final = ("auth.jwks_refresh", "auth.jwks_stale", "auth.session_seconds")

_MASKED: Final = "********"
SECRET: Final = frozenset(("auth.secret", "auth.session_secret", "journal.url"))
"""Keys whose values, or the passwords in them, are never shown."""
_PASSWORD: Final = re.compile(r"(password=)[^&]*", re.IGNORECASE)


def load_settings(
    config: Mapping[str, Any] | None = None,
    *,
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The configuration for `open_service`: defaults < `file` < `environ` < `config`.

    `file` is a TOML file, which is read at once. From `environ` (usually `os.environ`) the
    variables PUSHSVC_SECTION_KEY are used. `config` has sections and keys like a file, such as
    `{"journal": {"path": "push.db"}}`. Sources that aren't given are not used.

    Raises ConfigError, in one line that says which value is wrong, where, and what is expected.
    """
    where = None if file is None else Path(file)
    return load(where, environ or {}, document=config).settings


def _without_password(url: str) -> str:
    """The URL with its passwords masked, or masked as a whole if they can't be found."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return _MASKED
    userinfo, at, hosts = parts.netloc.rpartition("@")
    if not parts.scheme or not (hosts or parts.path) or "@" in parts.path + parts.fragment:
        return _MASKED  # such as a password with a slash that wasn't escaped
    user, colon, _ = userinfo.partition(":")
    netloc = f"{user}{colon and colon + _MASKED}{at}{hosts}"
    query = _PASSWORD.sub(rf"\1{_MASKED}", parts.query)
    return f"{parts.scheme}://{netloc}{parts.path}{query and '?' + query}"


class Loaded(msgspec.Struct, frozen=True):
    """A configuration, and the source of each value that isn't a default."""

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
                    value = _without_password(value) if key == "journal.url" else _MASKED
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
    """Merge all sources. `flags` are (flag as written, key, one text or several). `defaults` are
    those of a command, which all other sources override. `document` has the form of a file, comes
    from a program, and overrides all other sources. Raises ConfigError."""
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
    """Convert text from the environment or a flag to the type of the key."""
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
    if key == "ingest.histogram_buckets":
        return "a whole number from 10 to 160"
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
    # A JSON string is a TOML basic string, and numbers are written the same way.
    return msgspec.json.encode(value).decode()
