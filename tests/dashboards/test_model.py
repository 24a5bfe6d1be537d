"""What is a dashboard, and what isn't."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushsvc.dashboards.model import (
    Grid,
    Line,
    Link,
    Mapping,
    Panel,
    Query,
    Threshold,
    check_name,
    read,
    schema,
    write,
)
from pushsvc.errors import Malformed, Problem

PANEL: dict[str, Any] = {"id": "a", "kind": "line", "select": 'up{host="$host"}'}
WHOLE: dict[str, Any] = {
    "title": "All of it",
    "description": "Every member.",
    "window": "15m",
    "interval": "10s",
    "variables": [
        {
            "name": "host",
            "title": "Host",
            "label": "host",
            "select": "up",
            "multi": True,
            "all": True,
            "all_value": ".*",
            "default": ["$__all"],
        },
        {"name": "span", "values": ["1m", "5m"]},
    ],
    "panels": [
        {
            "id": "t",
            "kind": "text",
            "text": "What it is.",
            "grid": {"x": 0, "y": 0, "w": 6, "h": 1},
        },
        {
            "id": "r",
            "kind": "row",
            "title": "On $host",
            "collapsed": True,
            "repeat": "host",
            "grid": {"x": 0, "y": 1, "w": 12, "h": 1},
        },
        {
            **PANEL,
            "repeat": "host",
            "across": 3,
            "title": "Up",
            "legend": "{{host}} is up",
            "also": [{"select": "sum(up)", "legend": "all"}, {"select": "max(up)"}],
            "description": "Which are up.",
            "decimals": 1,
            "unit": "bytes",
            "thresholds": [
                {"at": 1.5, "level": "warning"},
                {"at": 0.5, "level": "critical", "below": True},
            ],
            "areas": True,
            "links": [{"title": "Docs", "url": "https://example.org/$host"}],
            "data_links": [{"title": "{{host}}", "url": "?var-host={{host}}"}],
            "style": "steps",
            "log": True,
            "mappings": [{"value": 1.0, "text": "up", "colour": "#00aa00"}],
            "lines": [
                {"query": 2, "title": "{{host}} in all", "unit": "ratio", "decimals": 2},
                {"name": "a", "colour": "#00aa00"},
                {"regex": "^b", "colour": "#0000aa"},
            ],
            "min": 0.0,
            "max": 2.0,
            "rate": False,
            "by": "host",
            "grid": {"x": 6, "y": 2, "w": 6, "h": 4},
        },
    ],
}


def test_nothing_is_lost() -> None:
    kept = write(read(msgspec.json.encode(WHOLE)))
    assert msgspec.json.decode(kept) == WHOLE
    assert write(read(kept)) == kept
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.Draft202012Validator(schema()).validate(WHOLE)


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({**WHOLE, "titel": "x"}, "dashboard"),
        ({"panels": []}, "dashboard"),
        ({**WHOLE, "title": None}, "dashboard"),
        ({**WHOLE, "window": "soon"}, "window"),
        ({**WHOLE, "panels": [{**PANEL, "kind": "cake"}]}, "dashboard"),
        ({**WHOLE, "panels": [{**PANEL, "select": "up{"}]}, "selector"),
        ({**WHOLE, "panels": [PANEL, PANEL]}, "double"),
        ({**WHOLE, "panels": [{"id": "a", "kind": "row"}]}, "row"),
        ({**WHOLE, "panels": [{**PANEL, "kind": "row", "title": "x"}]}, "row"),
        ({**WHOLE, "panels": [{**PANEL, "collapsed": True}]}, "row"),
        ({**WHOLE, "panels": [{**PANEL, "repeat": "other"}]}, "repeat"),
        ({**WHOLE, "panels": [{**PANEL, "percent": True}]}, "stack"),
        ({**WHOLE, "panels": [{**PANEL, "style": "dots"}]}, "dashboard"),
        ({**WHOLE, "panels": [{**PANEL, "min": 2, "max": 2}]}, "bounds"),
        ({**WHOLE, "panels": [{**PANEL, "grid": {"x": 7, "y": 0, "w": 6, "h": 1}}]}, "grid"),
        ({**WHOLE, "panels": [{**PANEL, "id": str(i)} for i in range(251)]}, "dashboard"),
        ({**WHOLE, "variables": [*WHOLE["variables"], *WHOLE["variables"]]}, "double"),
    ],
)
def test_a_slip_is_told(document: dict[str, Any], code: str) -> None:
    with pytest.raises(Problem) as told:
        read(msgspec.json.encode(document))
    assert (told.value.code, told.value.status) == (code, 422)


@given(st.binary(max_size=200))
def test_whatever_bytes_come_the_answer_is_a_problem(body: bytes) -> None:
    with pytest.raises(Problem):
        read(body)


@given(st.one_of(st.text(max_size=80), st.from_regex(r"[a-z0-9./\\-]{1,70}")))
def test_no_name_is_that_of_another_file(name: str) -> None:
    try:
        check_name(name)
    except Malformed:
        return
    root = Path("/data")
    assert (root / f"{name}.json").resolve().parent == root
    assert not name.startswith(".")
    assert re.fullmatch("[a-z0-9-]{1,64}", name)


def test_the_page_has_the_same_panel() -> None:
    source = (Path(__file__).parents[2] / "web/src/panels/model.ts").read_text(encoding="utf-8")
    for struct in (Panel, Query, Threshold, Mapping, Line, Link):
        [text] = re.findall(rf"interface {struct.__name__} {{(.*?)\n}}", source, re.DOTALL)
        members = dict(re.findall(r"^  readonly (\w+)(\??):", text, re.MULTILINE))
        assert members == {
            field.name: "" if field.required else "?" for field in msgspec.structs.fields(struct)
        }
    [place] = re.findall(r"readonly grid\?: {(.*?)}", source, re.DOTALL)
    assert tuple(re.findall(r"readonly (\w+):", place)) == Grid.__struct_fields__
    [kinds] = re.findall(r"type PanelKind =(.*?);", source, re.DOTALL)
    described = schema()["$defs"]["Panel"]["properties"]["kind"]["enum"]
    assert sorted(re.findall(r"'(\w+)'", kinds)) == sorted(described)


VARIABLE: dict[str, Any] = {"name": "host", "label": "host", "select": "up"}
LISTED: dict[str, Any] = {"name": "span", "values": ["1m", "5m"]}


def with_variables(*variables: dict[str, Any], select: str = "up") -> bytes:
    panels = [{"id": "a", "kind": "line", "select": select}]
    return msgspec.json.encode({"title": "x", "variables": variables, "panels": panels})


@pytest.mark.parametrize(
    "select",
    [
        'up{host="$host"}',
        'up{host=~"${host}:9100"}',
        "rate(a_total[$span])",
        "sum by ($host) (a)",
        "topk($host, a)",
        "rate(a_total[$__rate_interval])",
        "increase(a_total[${__range}]) / $__range_s",
        'label_replace(a, "b", "$1", "c", "(.*)")',
    ],
)
def test_where_a_variable_may_stand(select: str) -> None:
    read(with_variables(VARIABLE, LISTED, select=select))


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ([{"name": "a", "label": "b"}], "takes label and select, or values"),
        ([{"name": "a"}], "takes label and select, or values"),
        ([{**LISTED, "select": "up"}], "neither a label nor a selector"),
        ([{**LISTED, "default": ["2m"]}], "its default 2m is none of its values"),
        ([{**LISTED, "default": ["1m", "5m"]}], "one value at a time"),
        ([{**LISTED, "multi": True, "all": True, "default": ["1m", "$__all"]}], "stands alone"),
        ([{**LISTED, "default": ["$__all"]}], "takes all: true"),
        ([{**LISTED, "all_value": ".*"}], "takes all: true"),
        ([{**LISTED, "all": True, "all_value": "("}], "all_value"),
        ([{**LISTED, "name": "__range"}], "every dashboard has one of this name"),
        ([{**VARIABLE, "select": 'up{a="$host"}'}], "depends on itself"),
        ([{**VARIABLE, "select": 'up{a="$span"}'}, LISTED], "which stands after it"),
        ([{**VARIABLE, "select": "up{"}], "variable host: "),
    ],
)
def test_a_variable_without_a_meaning_is_told(variables: list[Any], reason: str) -> None:
    with pytest.raises(Problem, match=re.escape(reason)) as told:
        read(with_variables(*variables))
    assert told.value.status == 422


def test_a_variable_that_is_never_what_is_needed_is_told() -> None:
    with pytest.raises(Problem, match="panel a"):
        read(with_variables(LISTED, select="rate(a[$nothing])"))


@pytest.mark.parametrize(
    ("panel", "reason"),
    [
        ({"id": "a", "kind": "text"}, "neither a text nor a title"),
        ({"id": "a", "kind": "text", "text": "x", "select": "up"}, "shows no series"),
        ({"id": "a", "kind": "line", "text": "x", "select": "up"}, "takes kind: text"),
        ({"id": "a", "kind": "line"}, "lacks select"),
        ({"id": "a", "kind": "line", "select": "up", "also": [{"select": "up{"}]}, "panel a"),
    ],
)
def test_a_panel_that_shows_nothing_is_told(panel: dict[str, Any], reason: str) -> None:
    with pytest.raises(Problem, match=reason) as told:
        read(msgspec.json.encode({"title": "x", "panels": [panel]}))
    assert (told.value.status, told.value.extra) == (422, {"panel": 0})


@pytest.mark.parametrize(
    ("url", "right"),
    [
        ("https://example.org/{{host}}", True),
        ("HTTP://example.org", True),
        ("d/other?var-host={{host}}", True),
        ("/a:b", True),
        ("?at=12:00", True),
        ("{{host}}", True),
        ("javascript:alert(1)", False),
        (" \tJavaScript:alert(1)", False),
        ("data:text/html,x", False),
        ("{{host}}:1", False),
    ],
)
def test_links_lead_to_the_web_only(url: str, right: bool) -> None:
    for name in ("links", "data_links"):
        given = {**PANEL, name: [{"title": "x", "url": url}]}
        document = msgspec.json.encode({**WHOLE, "panels": [given]})
        if right:
            read(document)
        else:
            with pytest.raises(Problem) as told:
                read(document)
            assert (told.value.code, told.value.status) == ("link", 422)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ({"title": "x"}, "it takes one of"),
        ({"query": 1, "name": "a", "title": "x"}, "it takes one of"),
        ({"query": 1}, "it takes a title"),
        ({"query": 2, "title": "x"}, "there is no query 2"),
        ({"regex": "(a+)+", "title": "x"}, "its regex repeats"),
    ],
)
def test_what_single_lines_have(line: dict[str, Any], fault: str) -> None:
    document = {**WHOLE, "panels": [{**PANEL, "lines": [line]}]}
    with pytest.raises(Problem) as told:
        read(msgspec.json.encode(document))
    assert (told.value.code, told.value.status) == ("line", 422)
    assert f"panel a, line 1: {fault}" in told.value.detail


@pytest.mark.parametrize(
    ("mapping", "fault"),
    [
        ({"value": 1, "text": "up"}, ""),
        ({"value": "on", "colour": "#00Ff00"}, ""),
        ({"min": 1, "text": "some"}, ""),
        ({"min": 1, "max": 1, "text": "one"}, ""),
        ({"regex": "^(?i)ok(.*)$", "text": "fine$1"}, ""),
        ({"regex": r"[*+]{2}\+\+a*", "text": "x"}, ""),
        ({"special": "none", "text": "?"}, ""),
        ({"text": "x"}, "it takes one of"),
        ({"value": 1, "min": 0, "text": "x"}, "it takes one of"),
        ({"value": 1}, "it takes a text"),
        ({"min": 2, "max": 1, "text": "x"}, "min must not"),
        ({"regex": "(", "text": "x"}, "its regex: "),
        ({"regex": "(a+)+$", "text": "x"}, "its regex repeats"),
        ({"regex": "a*a*a*a*", "text": "x"}, "its regex repeats"),
    ],
)
def test_what_values_are_shown_as(mapping: dict[str, Any], fault: str) -> None:
    document = {**WHOLE, "panels": [{**PANEL, "mappings": [mapping]}]}
    if not fault:
        [made] = read(msgspec.json.encode(document)).panels
        assert made.mappings == (msgspec.convert(mapping, Mapping),)
        return
    with pytest.raises(Problem) as told:
        read(msgspec.json.encode(document))
    assert (told.value.code, told.value.status) == ("mapping", 422)
    assert f"panel a, mapping 1: {fault}" in told.value.detail
