"""Converts Grafana's value mappings, of its new kind and of both old ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import UNSET

from pushsvc.dashboards.grafana.appearance.colours import colour_of
from pushsvc.dashboards.grafana.members import Fields, fields, items, number, regex_of, text, within
from pushsvc.dashboards.model import Mapping, mapping_fault

_MOST: Final = 100
_MISSING: Final = ("null", "nan", "null+nan")
_SPECIAL: Final = {"true": "true", "false": "false", "empty": ""}


def mappings_of(panel: Fields) -> tuple[list[Mapping], list[str]]:
    """The mappings of a panel, and why others are left out."""
    found: list[Mapping] = []
    reasons: dict[str, None] = {}
    for mapping in _all(panel):
        reason = mapping_fault(mapping)
        if not reason and len(found) == _MOST:
            reason = f"a panel has {_MOST} at the most"
        if reason:
            reasons[f"texts for some values: {reason}"] = None
        elif mapping not in found:
            found.append(mapping)
    return found, list(reasons)


def _all(panel: Fields) -> Iterator[Mapping]:
    for one in items(within(panel, "fieldConfig", "defaults").get("mappings")):
        kind, options = one.get("type"), fields(one.get("options"))
        if kind == "value":
            ranked = sorted(options.items(), key=lambda each: _index(each[1]))
            for value, result in ranked:
                yield _mapping(fields(result), **_meant(value))
        elif kind == "range":
            yield _mapping(within(options, "result"), **_ends(options))
        elif kind == "regex":
            pattern = regex_of(text(options.get("pattern")))
            yield _mapping(within(options, "result"), regex=pattern or UNSET)
        elif kind == "special":
            match = text(options.get("match"))
            meant = (
                {"special": "none"} if match in _MISSING else {"value": _SPECIAL.get(match, UNSET)}
            )
            yield _mapping(within(options, "result"), **meant)
        elif kind in (1, 2):
            yield _old(one, ranged=kind == 2)
    if panel.get("type") == "singlestat":
        ranged = number(panel.get("mappingType")) == 2
        for one in items(panel.get("rangeMaps" if ranged else "valueMaps")):
            yield _old(one, ranged=ranged)


def _old(one: Fields, *, ranged: bool) -> Mapping:
    meant = _ends(one) if ranged else _meant(text(one.get("value")))
    return _mapping(one, **meant)


def _mapping(result: Fields, **meant: Any) -> Mapping:
    shown = result.get("text")
    return Mapping(
        **meant,
        text=shown[:200] if isinstance(shown, str) and shown else UNSET,
        colour=colour_of(result.get("color")) or UNSET,
    )


def _meant(value: str) -> dict[str, Any]:
    """A number where it is one; where nothing is there it is written as null."""
    if value in _MISSING:
        return {"special": "none"}
    as_number = number(value)
    return {"value": value if as_number is None else as_number}


def _ends(given: Fields) -> dict[str, Any]:
    least, most = number(given.get("from")), number(given.get("to"))
    return {"min": UNSET if least is None else least, "max": UNSET if most is None else most}


def _index(result: object) -> float:
    return number(fields(result).get("index")) or 0
