"""Tells which data sources of Grafana are Prometheus, or speak its language."""

from __future__ import annotations

from typing import Final

from pushsvc.dashboards.grafana.members import Fields, items, text, within

_ELSEWHERE: Final = ("-- Grafana --", "-- Dashboard --")
"""Names of what Grafana itself answers."""


class Sources:
    """The data sources that a dashboard names."""

    def __init__(self, document: Fields) -> None:
        # Kinds by the names of the inputs and variables that stand for a data source.
        self._kinds = {
            text(given.get("name")): text(given.get("pluginId"))
            for given in items(document.get("__inputs"))
            if given.get("type") == "datasource"
        }
        for given in items(within(document, "templating").get("list")):
            if given.get("type") == "datasource":
                self._kinds[text(given.get("name"))] = text(given.get("query"))

    def foreign(self, source: object) -> str | None:
        """The data source that a query or a variable asks, if it isn't Prometheus; else None."""
        if isinstance(source, dict):
            kind = text(source.get("type"))
        else:
            name = text(source)
            kind = self._kinds.get(name.removeprefix("$").strip("{}"), "")
            if name in _ELSEWHERE:
                return name
        return None if _speaks_promql(kind) else kind


def _speaks_promql(kind: str) -> bool:
    """Whether a kind of data source, "" if it isn't known, can be asked in PromQL."""
    return kind in ("", "datasource", "victoriametrics-metrics-datasource") or "prometheus" in kind
