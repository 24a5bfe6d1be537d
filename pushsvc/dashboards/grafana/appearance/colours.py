"""Converts Grafana's colours, which have names too, to those of ours."""

from __future__ import annotations

import colorsys
import re
from typing import Final

from pushsvc.dashboards.grafana.members import text

_HUES: Final = {
    "red": (0.98, 0.62, 0.85),
    "orange": (0.08, 0.59, 0.95),
    "yellow": (0.14, 0.57, 0.95),
    "green": (0.31, 0.58, 0.4),
    "blue": (0.6, 0.65, 0.85),
    "purple": (0.78, 0.66, 0.55),
    "white": (0, 1, 0),
    "black": (0, 0, 0),
    "gray": (0, 0.5, 0),
    "grey": (0, 0.5, 0),
}
"""Hue, lightness and saturation of Grafana's names of colours."""
_SHADES: Final = {"super-light-": 0.2, "light-": 0.1, "semi-dark-": -0.1, "dark-": -0.18, "": 0}
_NAME: Final = re.compile(r"(super-light-|light-|semi-dark-|dark-|)([a-z]+)")
_NUMBERS: Final = re.compile(r"\d+(?:\.\d+)?")


def colour_of(colour: object) -> str | None:
    """A colour as `#rrggbb`; None for what is none, or has no colour of its own."""
    name = text(colour).lower()
    parts = channels(name)
    if parts is None and (match := _NAME.fullmatch(name)) and match[2] in _HUES:
        hue, lightness, saturation = _HUES[match[2]]
        shade = min(1.0, max(0.0, lightness + _SHADES[match[1]]))
        parts = colorsys.hls_to_rgb(hue, shade, saturation)
    return None if parts is None else "#" + "".join(f"{round(255 * one):02x}" for one in parts)


def channels(name: str) -> tuple[float, float, float] | None:
    """Red, green and blue, up to 1, of a colour that is written in numbers."""
    if re.fullmatch(r"#[0-9a-f]{3}", name):
        name = "#" + "".join(2 * digit for digit in name[1:])
    if re.fullmatch(r"#[0-9a-f]{6}(?:[0-9a-f]{2})?", name):
        red, green, blue = (int(name[at : at + 2], 16) / 255 for at in (1, 3, 5))
        return red, green, blue
    if name.startswith("rgb") and len(found := _NUMBERS.findall(name)) >= 3:
        red, green, blue = (min(255.0, float(part)) / 255 for part in found[:3])
        return red, green, blue
    return None
