"""Plots are right: what is measured stands where its axes say, and in words."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from tests.bench.plot import Line, Plot

SVG = "{http://www.w3.org/2000/svg}"
PLOT = Plot(
    "Cost <of> it",
    "clients",
    "CPU, ms",
    [Line("ours & theirs", [(1, 0.5), (10, 5), (1_000, 500)]), Line("flat", [(1, 2), (1_000, 2)])],
)


def test_a_line_of_slope_one_is_straight() -> None:
    root = ElementTree.fromstring(PLOT.svg())  # noqa: S314 - it is ours
    way = next(path for path in root.iter(f"{SVG}path") if path.get("class") == "line")
    numbers = [float(number) for number in re.findall(r"[\d.]+", way.get("d", ""))]
    (x, y), (x2, y2), (x3, y3) = zip(numbers[::2], numbers[1::2], strict=True)
    assert abs((y2 - y) / (x2 - x) - (y3 - y2) / (x3 - x2)) < 0.01
    assert x < x2 < x3
    assert y > y2 > y3
    assert [round(line.slope, 6) for line in PLOT.lines] == [1.0, 0.0]


def test_it_is_told_in_words_and_by_axes() -> None:
    root = ElementTree.fromstring(PLOT.svg())  # noqa: S314 - it is ours
    assert root.get("role") == "img"
    described = {one.get("id"): one.text or "" for one in root if one.get("id")}
    assert set(root.get("aria-labelledby", "").split()) == set(described)
    assert described["title"] == "Cost <of> it"
    assert "ours & theirs: 0.5 at 1, 5 at 10, 500 at 1,000." in described["desc"]
    texts = [one.text for one in root.iter(f"{SVG}text")]
    for text in ("clients", "CPU, ms", "1", "10", "100", "1,000", "0.1", "ours & theirs", "flat"):
        assert text in texts
    assert "prefers-color-scheme: dark" in (root.findtext(f"{SVG}style") or "")


def test_marks_tell_lines_apart_without_colour() -> None:
    marks = re.findall(r'class="mark" transform="[^"]*" d="([^"]*)"', PLOT.svg())
    assert len(marks) == 3 + 2 + 2  # each point, and one in the key
    assert len(set(marks)) == 2
