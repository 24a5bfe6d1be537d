"""Schemas of the custom resources that the components use.

No package of PyPI carries these definitions, so here are the fields that the manifests have, with
their types and patterns, and nothing else: a field that isn't here is an error, and adding one
means looking it up. They were written from, and the manifests also checked with unknown fields
refused against, the definitions of:

- Gateway API 1.6.1, standard channel
  https://github.com/kubernetes-sigs/gateway-api/tree/v1.6.1/config/crd/standard
- Envoy Gateway 1.9.1
  https://github.com/envoyproxy/gateway/tree/v1.9.1/charts/gateway-helm/charts/crds/crds/generated
- Prometheus Operator 0.85.0
  https://github.com/prometheus-operator/prometheus-operator/tree/v0.85.0/example/prometheus-operator-crd

Those of GKE are from Google's reference alone:

- https://docs.cloud.google.com/kubernetes-engine/docs/how-to/ingress-configuration
- https://googlecloudplatform.github.io/gke-gateway-api
"""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]

_NAME: Final[Schema] = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"}
_PORT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 65535}
_GATEWAY_DURATION: Final[Schema] = {
    "type": "string",
    "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$",  # GEP-2257
}
_PROMETHEUS_DURATION: Final[Schema] = {"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"}
_SECRET_KEY: Final[Schema] = {
    "type": "object",
    "properties": {"name": _NAME, "key": {"type": "string"}, "optional": {"type": "boolean"}},
    "required": ["key"],
    "additionalProperties": False,
}
_TEXTS: Final[Schema] = {"type": "object", "additionalProperties": {"type": "string"}}


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
        "additionalProperties": False,
    }


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def _target(group: str, kind: str) -> Schema:
    return _object({"group": {"const": group}, "kind": {"const": kind}, "name": _NAME})


_BACKEND = _object({"name": _NAME, "port": _PORT})
_LISTENER = _object(
    {"name": _NAME, "protocol": {"enum": ["HTTP", "HTTPS"]}, "port": _PORT},
    {
        "hostname": _NAME,
        "tls": _object(
            {
                "mode": {"enum": ["Terminate", "Passthrough"]},
                "certificateRefs": _array(_object({"name": _NAME})),
            }
        ),
    },
)
_ROUTE_RULE = _object(
    {
        "matches": _array(
            _object(
                {
                    "path": _object(
                        {
                            "type": {"enum": ["Exact", "PathPrefix", "RegularExpression"]},
                            "value": {"type": "string", "pattern": "^/"},
                        }
                    )
                }
            )
        ),
        "backendRefs": _array(_BACKEND),
    },
    {"timeouts": _object({"request": _GATEWAY_DURATION, "backendRequest": _GATEWAY_DURATION})},
)
_ALERT = _object(
    {
        "alert": {"type": "string", "pattern": "^[A-Z][A-Za-z]+$"},
        "expr": {"type": "string"},
        "for": _PROMETHEUS_DURATION,
        "labels": _TEXTS,
        "annotations": _TEXTS,
    }
)
_HEALTH_CHECK: Final[dict[str, Schema]] = {
    "checkIntervalSec": {"type": "integer", "minimum": 1, "maximum": 300},
    "timeoutSec": {"type": "integer", "minimum": 1, "maximum": 300},
}
_HTTP_CHECK = _object({"requestPath": {"type": "string", "pattern": "^/"}, "port": _PORT})
_LONGEST_RESPONSE: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 2147483647}
_DRAINING = _object({"drainingTimeoutSec": {"type": "integer", "minimum": 0, "maximum": 3600}})

SPECS: Final[dict[tuple[str, str], Schema]] = {
    ("gateway.networking.k8s.io/v1", "Gateway"): _object(
        {"gatewayClassName": _NAME, "listeners": _array(_LISTENER)}
    ),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): _object(
        {
            "parentRefs": _array(_object({"name": _NAME}, {"namespace": _NAME})),
            "hostnames": _array(_NAME),
            "rules": _array(_ROUTE_RULE),
        }
    ),
    ("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy"): _object(
        {
            "targetRefs": _array(_target("gateway.networking.k8s.io", "HTTPRoute")),
            "timeout": _object({"http": _object({"streamIdleTimeout": _GATEWAY_DURATION})}),
            "loadBalancer": _object(
                {"type": {"enum": ["ConsistentHash", "LeastRequest", "Random", "RoundRobin"]}}
            ),
        }
    ),
    ("gateway.envoyproxy.io/v1alpha1", "ClientTrafficPolicy"): _object(
        {
            "targetRefs": _array(_target("gateway.networking.k8s.io", "Gateway")),
            "timeout": _object({"http": _object({"streamIdleTimeout": _GATEWAY_DURATION})}),
        }
    ),
    ("monitoring.coreos.com/v1", "PodMonitor"): _object(
        {
            "selector": _object({"matchLabels": _TEXTS}),
            "podMetricsEndpoints": _array(
                _object(
                    {
                        "port": {"type": "string"},
                        "path": {"type": "string"},
                        "interval": _PROMETHEUS_DURATION,
                    },
                    {"authorization": _object({"credentials": _SECRET_KEY})},
                )
            ),
        }
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): _object(
        {"groups": _array(_object({"name": {"type": "string"}, "rules": _array(_ALERT)}))}
    ),
    ("cloud.google.com/v1", "BackendConfig"): _object(
        {
            "timeoutSec": _LONGEST_RESPONSE,
            "connectionDraining": _DRAINING,
            "healthCheck": _object(
                {
                    "type": {"enum": ["HTTP", "HTTPS", "HTTP2"]},
                    "requestPath": {"type": "string", "pattern": "^/"},
                    "port": _PORT,
                    **_HEALTH_CHECK,
                }
            ),
        }
    ),
    ("networking.gke.io/v1", "GCPBackendPolicy"): _object(
        {
            "targetRef": _target("", "Service"),
            "default": _object({"timeoutSec": _LONGEST_RESPONSE, "connectionDraining": _DRAINING}),
        }
    ),
    ("networking.gke.io/v1", "HealthCheckPolicy"): _object(
        {
            "targetRef": _target("", "Service"),
            "default": _object(
                {
                    **_HEALTH_CHECK,
                    "config": _object(
                        {
                            "type": {"enum": ["HTTP", "HTTPS", "HTTP2"]},
                            "httpHealthCheck": _HTTP_CHECK,
                        }
                    ),
                }
            ),
        }
    ),
}
