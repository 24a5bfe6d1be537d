"""Converts links of Grafana's panels and values, as far as they lead somewhere from here."""

from __future__ import annotations

import re
from typing import Final

from pushsvc.dashboards.grafana.members import items, text
from pushsvc.dashboards.grafana.templating import Templating, Unknown
from pushsvc.dashboards.model import Link, link_fault

_MOST: Final = 20
_FILLED: Final = (
    (re.compile(r"\$\{__field\.labels\.(?:(\w+)|\[?\"([^\"]+)\"\]?)\}"), r"{{\1\2}}"),
    (re.compile(r"\$\{__value\.(?:raw|numeric|text)\}"), "{{__value}}"),
    (re.compile(r"\$\{__(?:field|series)\.(?:name|displayName)\}"), "{{__name}}"),
    (re.compile(r"\$\{?__url_time_range\}?"), "from={{__from}}&to={{__to}}"),
    (re.compile(r"\$\{__(from|to)(?::\w+)?\}|\$__(from|to)\b"), r"{{__\1\2}}"),
    # A parameter for each value is what a variable becomes here, where it is one.
    (re.compile(r"\$\{(\w+):queryparam\}"), r"var-\1=${\1}"),
)
"""What Grafana fills into addresses, and what that is here."""


def links_of(given: object, templating: Templating) -> tuple[list[Link], list[str]]:
    """The links, and why others are left out."""
    found: list[Link] = []
    reasons: dict[str, None] = {}
    for one in items(given):
        title = text(one.get("title")) or text(one.get("url"))
        url = text(one.get("url"))
        for pattern, ours in _FILLED:
            url = pattern.sub(ours, url)
        try:
            url = templating.written(url)
        except Unknown as unknown:
            reasons[f"its link {title}, which depends on {unknown}"] = None
            continue
        link = Link(title=templating.written(title, strictly=False)[:200], url=url)
        reason = link_fault(link)
        if not re.match("https?://", url, re.IGNORECASE):
            reason = reason or "it leads within Grafana"
        if len(url) > 2000 or len(found) == _MOST:
            reason = "it is too long" if len(url) > 2000 else f"a panel has {_MOST} at the most"
        if reason:
            reasons[f"its link {title or '?'}: {reason}"] = None
        else:
            found.append(link)
    return found, list(reasons)
