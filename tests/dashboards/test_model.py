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

from pushsvc.dashboards.model import Grid, Panel, Threshold, check_name, read, schema, write
from pushsvc.errors import Malformed, Problem

PANEL: dict[str, Any] = {"id": "a", "kind": "line", "select": 'up{host="$host"}'}
WHOLE: dict[str, Any] = {
    "title": "All of it",
    "description": "Every member.",
    "window": "15m",
    "variables": [{"name": "host", "label": "host", "select": "up"}],
    "panels": [
        {
            **PANEL,
            "title": "Up",
            "unit": "bytes",
            "thresholds": [{"at": 1.5, "level": "warning"}],
            "min": 0.0,
            "max": 2.0,
            "rate": False,
            "by": "host",
            "grid": {"x": 6, "y": 0, "w": 6, "h": 4},
        }
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
        ({**WHOLE, "panels": [{**PANEL, "kind": "pie"}]}, "dashboard"),
        ({**WHOLE, "panels": [{**PANEL, "select": "up{"}]}, "selector"),
        ({**WHOLE, "panels": [PANEL, PANEL]}, "double"),
        ({**WHOLE, "panels": [{**PANEL, "min": 2, "max": 2}]}, "bounds"),
        ({**WHOLE, "panels": [{**PANEL, "grid": {"x": 7, "y": 0, "w": 6, "h": 1}}]}, "grid"),
        ({**WHOLE, "panels": [{**PANEL, "id": str(i)} for i in range(101)]}, "dashboard"),
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
    for struct in (Panel, Threshold):
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
