"""All settings, in sections: one typed structure with its defaults."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from pushsvc.config.hosts import split_hosts
from pushsvc.core.resources.limits import Limits, Pacing, Retention


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where to listen, and how to stop."""

    host: str | tuple[str, ...] = "127.0.0.1"
    """Address, host name or unix:PATH?mode=660, or a list of these; 0.0.0.0 for all interfaces,
    :: for IPv6 as well."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8080
    """TCP port; 0 for any that is free."""
    grpc_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """A second port on the same hosts, which serves the same: 4317 is where exporters by gRPC look
    first; none if 0."""
    certfile: str = ""
    """PEM file with the certificate and its chain; connections use TLS if it is given."""
    keyfile: str = ""
    """PEM file with the certificate's key, not encrypted."""
    base_path: str = ""
    """Path that stands before those of requests, if a proxy doesn't remove it: /push."""
    workers: Annotated[int, msgspec.Meta(ge=1, le=256)] | Literal["auto"] = 1
    """Processes that serve on one port, with one log; auto: one for each core."""
    backlog: Annotated[int, msgspec.Meta(ge=1)] = 1024
    """Connections the kernel holds until they are accepted."""
    drain_delay: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Seconds between failing readiness and ending the first stream, for a load balancer to
    notice."""
    drain_timeout: Annotated[float, msgspec.Meta(ge=0)] = 15.0
    """Seconds within which all subscribers are told to come back."""
    shutdown_timeout: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    """Seconds that open requests get to finish when the service ends."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts in `host`; in a text they are separated by commas or spaces."""
        return split_hosts(self.host) if isinstance(self.host, str) else self.host

    @property
    def prefix(self) -> str:
        """The base path without a slash at its end; empty if there is none."""
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
    histogram_buckets: Annotated[int, msgspec.Meta(ge=10, le=160)] = 20
    """Buckets that are kept of OpenTelemetry's exponential and Prometheus' native histograms, at
    the most."""
    influx_counters: str | tuple[str, ...] = ""
    """Metrics of line protocol that are counters besides those of Telegraf's usual plugins, with
    commas or as a list: shop_orders_*; !net_err_* for what is none, whatever Telegraf says."""

    @property
    def statsd_address(self) -> tuple[str, int] | None:
        """Host and port of `statsd`. Raises ValueError if it isn't HOST:PORT."""
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

    @property
    def counters(self) -> tuple[str, ...]:
        """The patterns in `influx_counters`."""
        return _names(self.influx_counters)


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
    """Mode jwt: algorithms that are accepted, with commas or as a list; all that fit the keys if
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
    """Seconds for which known keys are used while the URL doesn't answer."""
    session_secret: str = ""
    """What cookies are signed with, the same on all pods; if empty, each process makes one."""
    session_seconds: float = 43_200.0
    """Seconds for which a cookie is good, but no longer than its token."""

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
    """The header that they write: x-forwarded-for (with -proto and -host), or forwarded; the other
    isn't read."""
    forwarded_depth: Annotated[int, msgspec.Meta(ge=0, le=32)] = 0
    """Which address from the right is the client's: 2 behind Google's load balancers, which append
    "client, balancer". 0: the first that isn't a trusted proxy's."""

    compress: bool = True
    """Whether answers and the page's files are compressed for clients that accept it."""

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
    """The names in a list, or in a text with commas."""
    parts = given.split(",") if isinstance(given, str) else given
    return tuple(name for part in parts if (name := part.strip()))


class Dashboards(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where dashboards are kept."""

    directory: str = ""
    """Directory of those that are saved. If empty, they can only be saved where the log is kept; if
    the log is kept, they are saved there, and files in this directory are taken in once."""
    provisioned: str = ""
    """Directory of those that come from elsewhere and are only read; none if empty."""


class Recording(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Expressions that are always worked out, and appear as series."""

    file: str = ""
    """TOML file with them; none if empty. Read again on SIGHUP."""


class Keeping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the log of what was published is kept."""

    path: str = ""
    """File of SQLite, made if it isn't there: with it the past outlives a restart. In memory if
    empty."""
    synchronous: Literal["full", "normal"] = "full"
    """full: what was answered is on the disk. normal: it outlives the process, but what came last
    may be lost if the machine goes down; this is cheaper."""
    max_bytes: Annotated[int, msgspec.Meta(ge=1_000_000)] = 4_000_000_000
    """Bytes of the log that are kept at the most; beyond that the oldest entries are removed,
    however young they are. In a Valkey they are memory, and half of its maxmemory at the most."""
    url: str = ""
    """A Valkey or Redis instead, which several processes share: valkey://USER:PASSWORD@HOST:PORT,
    valkeys:// with TLS, several hosts of a Cluster, or Sentinels with ?sentinel=NAME."""
    ca: str = ""
    """PEM file of the certificates that are trusted for its TLS; the system's if empty."""
    prefix: Annotated[str, msgspec.Meta(pattern=r"^[^{}\s]{1,100}$")] = "pushsvc"
    """What its keys begin with, in braces; services that don't share a log need different ones."""
    replicas: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    """How many replicas must have what was published before it is answered."""
    fsync: bool = False
    """Whether what was published must be on the Valkey's disk before it is answered."""
    start_wait: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 60.0
    """Seconds for which a start waits until the Valkey can be reached; with 0 it fails at once."""


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
    recording: Recording = Recording()
    journal: Keeping = Keeping()
    log: Log = Log()


class ConfigError(Exception):
    """The configuration can't be used; the message is one line for its author."""
