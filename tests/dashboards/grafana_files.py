"""Dashboards as Grafana exports them, written for these tests: small, with what such files have."""

from __future__ import annotations

from typing import Any

PROMETHEUS = {"type": "prometheus", "uid": "${ds}"}


def target(expr: str, ref: str = "A", **more: Any) -> dict[str, Any]:
    return {"datasource": PROMETHEUS, "expr": expr, "refId": ref, **more}


def panel(kind: str, *targets: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "title": kind.title(),
        "datasource": PROMETHEUS,
        "targets": list(targets),
        "gridPos": {"x": 0, "y": 0, "w": 12, "h": 8},
        **more,
    }


def variable(name: str, query: str, kind: str = "query", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "query": query, "definition": query, **more}


def dashboard(*panels: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"title": "Hosts", "schemaVersion": 39, "panels": list(panels), **more}


HOSTS: dict[str, Any] = {
    "__inputs": [
        {"name": "DS_PROM", "type": "datasource", "pluginId": "prometheus"},
        {"name": "DS_LOGS", "type": "datasource", "pluginId": "loki"},
        {"name": "VAR_SITE", "type": "constant", "value": "hall3"},
    ],
    "title": "Hosts",
    "schemaVersion": 39,
    "time": {"from": "now-1h", "to": "now"},
    "tags": ["linux"],
    "annotations": {
        "list": [
            {"builtIn": 1, "name": "Annotations & Alerts"},
            {"name": "deployments", "datasource": {"type": "loki"}},
        ]
    },
    "templating": {
        "list": [
            variable("ds", "prometheus", "datasource"),
            variable("node", 'label_values(node_uname_info{job="$job"}, instance)', multi=True,
                     includeAll=True, current={"text": "All", "value": ["$__all"]}),
            variable("job", "label_values(node_uname_info, job)", label="Job",
                     current={"text": "made-elsewhere", "value": "made-elsewhere"}),
            variable("span", "1m,5m,1h", "interval", current={"value": "5m"}),
            variable("site", "${VAR_SITE}", "constant"),
            variable("filters", "", "adhoc"),
        ]
    },
    "panels": [
        {
            "type": "row", "title": "Processors of $node", "collapsed": False, "panels": [],
            "gridPos": {"x": 0, "y": 0, "w": 24, "h": 1},
        },
        {
            "type": "timeseries",
            "title": "Busy on [[node]]",
            "description": "Without what is idle.",
            "datasource": PROMETHEUS,
            "gridPos": {"x": 0, "y": 1, "w": 16, "h": 9},
            "targets": [
                target(
                    'sum by (mode) (rate(node_cpu_seconds_total{instance=~"$node",'
                    'mode!="idle",site="$site"}[$__rate_interval]))',
                    legendFormat="{{mode}}",
                ),
                target('avg(rate(node_cpu_seconds_total{instance=~"${node:regex}"}[$span]))', "B",
                       legendFormat="mean of ${node}s"),
                target("up", "C", hide=True),
                target("sum(((", "D"),
            ],
            "fieldConfig": {
                "defaults": {
                    "unit": "percentunit", "min": 0, "max": 1, "decimals": 1,
                    "custom": {"stacking": {"mode": "normal"}, "fillOpacity": 20,
                               "thresholdsStyle": {"mode": "off"}},
                    "thresholds": {"mode": "absolute", "steps": [
                        {"color": "green", "value": None}, {"color": "red", "value": 80}]},
                },
                "overrides": [
                    {"matcher": {"id": "byName", "options": "user"},
                     "properties": [{"id": "color", "value": {}}]},
                ],
            },
        },
        {
            "type": "gauge",
            "title": "Memory",
            "datasource": {"type": "prometheus", "uid": "abc"},
            "gridPos": {"x": 16, "y": 1, "w": 8, "h": 9},
            "targets": [target("node_memory_used_ratio", instant=True, legendFormat="__auto")],
            "options": {"reduceOptions": {"calcs": ["mean"]}},
            "fieldConfig": {"defaults": {
                "unit": "percent", "min": 0, "max": 100,
                "thresholds": {"mode": "percentage", "steps": [
                    {"color": "green", "value": None},
                    {"color": "#EAB839", "value": 80},
                    {"color": "rgb(224, 47, 68)", "value": 95}]},
            }},
        },
        {
            "type": "row", "title": "More", "collapsed": True,
            "gridPos": {"x": 0, "y": 10, "w": 24, "h": 1},
            "panels": [
                {"type": "logs", "title": "Journal", "gridPos": {"x": 0, "y": 11, "w": 12, "h": 8},
                 "datasource": "${DS_LOGS}", "targets": [{"expr": "{job=\"x\"}", "refId": "A"}]},
                {"type": "heatmap", "title": "Latency", "datasource": "${DS_PROM}",
                 "gridPos": {"x": 12, "y": 11, "w": 12, "h": 8},
                 "targets": [{"expr": "sum by (le) (rate(latency_seconds_bucket[1m]))",
                              "format": "heatmap", "legendFormat": "{{le}}", "refId": "A"}]},
                {"type": "text", "title": "", "gridPos": {"x": 0, "y": 19, "w": 24, "h": 3},
                 "options": {"mode": "html", "content": "<h1>On $node</h1> &amp; more"}},
            ],
        },
    ],
}  # fmt: skip
"""With variables that depend on each other, folded rows, and what can't be taken."""

OLD: dict[str, Any] = {
    "title": "From before the grid",
    "schemaVersion": 14,
    "rows": [
        {
            "title": "Traffic", "showTitle": True, "height": "304px",
            "panels": [
                {
                    "type": "graph", "title": "Requests", "span": 8, "datasource": None,
                    "stack": True, "fill": 1,
                    "targets": [target("rate(http_requests_total[5m])", legendFormat="{{code}}")],
                    "yaxes": [{"format": "reqps", "min": "0", "logBase": 1, "decimals": 0}],
                    "thresholds": [{"value": 100, "op": "gt", "colorMode": "critical"}],
                    "alert": {"name": "too many"},
                },
                {
                    "type": "singlestat", "title": "Up", "span": 4, "datasource": None,
                    "targets": [target("sum(up)")], "format": "short", "valueName": "current",
                    "colorValue": True, "thresholds": "3,5",
                    "colors": ["rgba(50, 172, 45, 0.97)", "rgba(237, 129, 40, 0.89)",
                               "rgba(245, 54, 54, 0.9)"],
                },
                {
                    "type": "table", "title": "Targets", "span": 6, "datasource": None,
                    "targets": [target("up", format="table")],
                },
            ],
        }
    ],
}  # fmt: skip
