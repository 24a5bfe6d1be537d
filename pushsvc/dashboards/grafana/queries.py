"""Converts the queries of a panel, and says why some can't be."""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import UNSET

from pushsvc.core.model.duration import parse_duration
from pushsvc.dashboards.grafana.members import Fields, items, text
from pushsvc.dashboards.grafana.sources import Sources
from pushsvc.dashboards.grafana.templating import Templating, Unknown
from pushsvc.dashboards.model import Query
from pushsvc.dashboards.variables import check_asked
from pushsvc.errors import Problem

_MOST: Final = 16
_AUTO: Final = "__auto"
_SAMPLED: Final = 15
"""Seconds between two samples, where nothing else is said."""


class Queries(msgspec.Struct):
    """The queries of one panel."""

    taken: list[Query]
    refs: list[str]
    """Grafana's names of these."""
    reasons: list[str]
    """Why other queries are left out or changed."""


def queries_of(panel: Fields, sources: Sources, templating: Templating) -> Queries:
    """The queries of a panel that can be converted."""
    found = Queries([], [], [])
    for index, target in enumerate(items(panel.get("targets"))):
        name = f"query {text(target.get('refId')) or index + 1}"
        if target.get("hide") is True:
            found.reasons.append(f"{name}, which is hidden")
            continue
        foreign = sources.foreign(target.get("datasource") or panel.get("datasource"))
        if foreign is not None:
            found.reasons.append(f"{name}, which asks the data source {foreign}")
            continue
        asked = text(target.get("expr"))
        if not asked:
            what = "an expression of Grafana's" if target.get("expression") else "no PromQL"
            found.reasons.append(f"{name}, which is {what}")
        elif len(found.taken) == _MOST:
            found.reasons.append(f"{name}: a panel has {_MOST} at the most")
        else:
            _take(found, name, asked, target, panel, templating)
    return found


def _take(
    found: Queries,
    name: str,
    asked: str,
    target: Fields,
    panel: Fields,
    templating: Templating,
) -> None:
    own, panels = (text(one.get("interval")).lstrip("> ") for one in (target, panel))
    if "$" in own:
        own = ""  # one of the built-in variables, which mean the same in the query then
    if own or panels:
        try:
            asked = _with_step(asked, own, panels)
        except Problem:
            found.reasons.append(f"its min step {own or panels}")
    try:
        select = templating.written(asked)
        if len(select) > 4096:
            found.reasons.append(f"{name}, which is longer than 4096 characters")
            return
        check_asked(select, templating.variables, name)
    except Unknown as unknown:
        found.reasons.append(f"{name}, which depends on {unknown}: that is not taken")
    except Problem as problem:
        found.reasons.append(problem.detail)
    else:
        legend = templating.written(text(target.get("legendFormat")), strictly=False)[:200]
        wanted = legend if legend and legend != _AUTO else UNSET
        found.taken.append(Query(select=select, legend=wanted))
        found.refs.append(text(target.get("refId")))


def _with_step(asked: str, own: str, panels: str) -> str:
    """The query with the shortest step of its own filled in, or that of its panel.

    As in Grafana, `$__interval` is that step. `$__rate_interval` is four times the query's own
    step; a panel's isn't how often there are samples, and so one of these is added to it. Raises
    Problem if a step isn't a duration.
    """
    if not any(name in asked for name in ("__interval", "__rate_interval")):
        return asked
    every = parse_duration(own, "interval") if own else _SAMPLED
    interval = parse_duration(panels, "interval") if panels else every
    rate = max(interval + every, 4 * every)
    step = every if own else interval
    meanings = {
        "__rate_interval": f"{_whole(rate)}s",
        "__rate_interval_ms": str(_whole(1000 * rate)),
        "__interval": f"{_whole(step)}s",
        "__interval_ms": str(_whole(1000 * step)),
    }
    for name, meaning in meanings.items():
        asked = re.sub(rf"\$(?:{name}\b|\{{{name}\}})", meaning, asked)
    return asked


def _whole(value: float) -> int:
    return max(1, round(value))
