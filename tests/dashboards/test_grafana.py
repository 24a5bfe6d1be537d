"""Dashboards of Grafana's become ours, and what could not be taken is said."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from pushsvc.dashboards.grafana import Imported, take_in
from pushsvc.dashboards.grafana.appearance.colours import colour_of
from pushsvc.dashboards.grafana.appearance.levels import level_of
from pushsvc.dashboards.model import Line, Link, Mapping, Panel, Query, Threshold, read, write
from pushsvc.dashboards.variables import Variable
from pushsvc.errors import Problem
from tests.dashboards.grafana_files import HOSTS, OLD, dashboard, panel, target, variable


def imported(document: Any) -> Imported:
    found = take_in(msgspec.json.encode(document))
    assert read(write(found.dashboard)) == found.dashboard
    assert not overlapping(found)
    return found


def only(document: Any) -> Panel:
    [one] = imported(document).dashboard.panels
    return one


def reasons(found: Imported, where: str | None = None) -> list[str]:
    return [one.reason for one in found.left_out if where in (None, one.where)]


def overlapping(found: Imported) -> list[tuple[str, str]]:
    places = [(one.id, one.grid) for one in found.dashboard.panels if one.grid is not UNSET]
    return [
        (a, b)
        for index, (a, one) in enumerate(places)
        for b, other in places[:index]
        if one.x < other.x + other.w
        and other.x < one.x + one.w
        and one.y < other.y + other.h
        and other.y < one.y + one.h
    ]


def test_a_dashboard_as_a_whole() -> None:
    found = imported(HOSTS)
    assert (found.source, found.panels, found.taken) == ("grafana", 5, 4)
    made = found.dashboard
    assert (made.title, made.window) == ("Hosts", "1h")
    row, busy, memory, more, latency, text = made.panels
    assert (row.kind, row.title, row.collapsed) == ("row", "Processors of $node", UNSET)
    assert (more.kind, more.title, more.collapsed) == ("row", "More", True)
    assert busy == Panel(
        id="p2",
        title="Busy on $node",
        kind="stacked",
        select='sum by (mode) (rate(node_cpu_seconds_total{instance=~"$node",'
        'mode!="idle",site="hall3"}[$__rate_interval]))',
        legend="{{mode}}",
        also=(
            Query(
                select='avg(rate(node_cpu_seconds_total{instance=~"$node"}[$span]))',
                legend="mean of ${node}s",
            ),
        ),
        description="Without what is idle.",
        unit="ratio",
        min=0.0,
        max=1.0,
        decimals=1,
        grid=busy.grid,
    )
    assert (memory.kind, memory.legend, memory.unit) == ("gauge", UNSET, "percent")
    assert memory.thresholds == (Threshold(80.0, "warning"), Threshold(95.0, "critical"))
    assert (latency.kind, latency.by) == ("heatmap", "le")
    assert (text.kind, text.text) == ("text", "<h1>On $node</h1> &amp; more")


def test_variables_come_after_those_that_they_depend_on() -> None:
    found = imported(HOSTS)
    assert found.dashboard.variables == (
        Variable(name="job", title="Job", label="job", select="node_uname_info"),
        Variable(
            name="node",
            label="instance",
            select='node_uname_info{job="$job"}',
            multi=True,
            all=True,
            default=("$__all",),
        ),
        Variable(name="span", values=("1m", "5m", "1h"), default=("5m",)),
    )
    assert reasons(found, "variable filters") == ["variables of the type adhoc are not taken"]


def test_what_could_not_be_taken_is_said() -> None:
    found = imported(HOSTS)
    busy = reasons(found, "Busy on $node")
    assert busy[0] == "query C, which is hidden"
    assert busy[1].startswith("query D: ")
    assert busy[2:] == ["overrides for some of its lines (color)"]
    assert reasons(found, "Memory") == ["its value, the mean: it is the newest"]
    assert reasons(found, "Journal") == ["a panel of the kind logs, which there is none of here"]
    assert reasons(found, "More") == []
    assert reasons(found, "dashboard") == ["its annotations (deployments)", "its tags"]
    assert {one.panel for one in found.left_out if one.where == "Memory"} == {"p3"}


def test_rows_follow_each_other_and_nothing_lies_on_something_else() -> None:
    places = [one.grid for one in imported(HOSTS).dashboard.panels]
    assert [(at.x, at.y, at.w, at.h) for at in places if at is not UNSET] == [
        (0, 0, 12, 1),
        (0, 1, 8, 5),
        (8, 1, 4, 5),
        (0, 6, 12, 1),
        (6, 7, 6, 4),
        (0, 11, 12, 2),
    ]


def test_panels_are_as_far_up_as_there_is_room() -> None:
    """Files have gaps that Grafana closes, and what is left out leaves none."""

    def at(kind: str, x: int, y: int, w: int, h: int) -> dict[str, Any]:
        return panel(kind, target("sum(up)"), gridPos={"x": x, "y": y, "w": w, "h": h})

    found = imported(
        dashboard(
            at("stat", 12, 400, 12, 8),
            at("stat", 0, 10, 12, 4),
            at("logs", 0, 20, 24, 30),
            at("stat", 3, 900, 3, 3),
        )
    )
    places = [one.grid for one in found.dashboard.panels]
    assert [(at.x, at.y, at.w, at.h) for at in places if at is not UNSET] == [
        (6, 0, 6, 4),
        (0, 0, 6, 2),
        (2, 2, 1, 2),
    ]


def test_rows_from_before_the_grid() -> None:
    found = imported(OLD)
    title, requests, up, targets = found.dashboard.panels
    assert title.title == "Traffic"
    assert (requests.kind, requests.unit, requests.legend) == ("stacked", "requests/s", "{{code}}")
    assert (requests.min, requests.decimals) == (0.0, 0)
    assert requests.thresholds == (Threshold(100.0, "critical"),)
    assert (up.kind, up.unit) == ("stat", "")
    assert up.thresholds == (Threshold(3.0, "warning"), Threshold(5.0, "critical"))
    assert (targets.kind, targets.rate) == ("table", False)
    assert [(at.x, at.y, at.w, at.h) for one in (requests, up, targets) if (at := one.grid)] == [
        (0, 1, 8, 4),
        (8, 1, 4, 4),
        (0, 5, 6, 4),
    ]
    assert reasons(found) == ["its alert"]


@pytest.mark.parametrize(
    ("kind", "ours"),
    [
        ("timeseries", "line"),
        ("graph", "line"),
        ("stat", "stat"),
        ("gauge", "gauge"),
        ("bargauge", "bars"),
        ("table", "table"),
        ("heatmap", "heatmap"),
        ("state-timeline", "timeline"),
        ("barchart", "bars"),
        ("piechart", "pie"),
    ],
)
def test_kinds_of_panels(kind: str, ours: str) -> None:
    assert only(dashboard(panel(kind, target("sum(up)")))).kind == ours


@pytest.mark.parametrize(
    ("grafana", "ours"),
    [
        ("bytes", "bytes"), ("decbytes", "bytes"), ("Bps", "bytes_per_second"),
        ("bps", "bits_per_second"), ("s", "seconds"), ("ms", "milliseconds"),
        ("percent", "percent"), ("percentunit", "ratio"), ("short", ""), ("none", ""),
        ("reqps", "requests/s"), ("hertz", "hertz"), ("celsius", "celsius"),
        ("suffix: users", "users"),
    ],
)  # fmt: skip
def test_units(grafana: str, ours: str) -> None:
    given = panel("stat", target("sum(up)"), fieldConfig={"defaults": {"unit": grafana}})
    assert only(dashboard(given)).unit == ours


def test_a_unit_that_there_is_none_like_is_said() -> None:
    given = panel("stat", target("up"), fieldConfig={"defaults": {"unit": "dateTimeAsIso"}})
    found = imported(dashboard(given))
    assert found.dashboard.panels[0].unit is UNSET
    assert reasons(found) == ["the unit dateTimeAsIso"]


@pytest.mark.parametrize(
    ("colour", "level"),
    [
        ("red", "critical"), ("dark-red", "critical"), ("semi-dark-orange", "warning"),
        ("#EAB839", "warning"), ("#73BF69", None), ("green", None), ("blue", None),
        ("rgba(245, 54, 54, 0.9)", "critical"), ("#808080", None), ("transparent", None),
        (None, None),
    ],
)  # fmt: skip
def test_a_colour_is_a_level(colour: object, level: str | None) -> None:
    assert level_of(colour) == level


def test_colours_have_names() -> None:
    names = ("red", "dark-red", "#ABC", "rgba(1, 2, 3, 0.4)", "white", "text", "transparent", None)
    assert [colour_of(one) for one in names] == [
        "#f04c60", "#d01128", "#aabbcc", "#010203", "#ffffff", None, None, None,
    ]  # fmt: skip


def test_texts_of_values_are_taken() -> None:
    mappings = [
        {
            "type": "value",
            "options": {
                "1": {"text": "Up", "color": "#00ff00", "index": 1},
                "0": {"text": "Down", "index": 0},
                "null": {"text": "?", "index": 2},
            },
        },
        {"type": "range", "options": {"from": 2, "to": None, "result": {"text": "many"}}},
        {"type": "regex", "options": {"pattern": "/^a/i", "result": {"color": "blue"}}},
        {"type": "special", "options": {"match": "nan", "result": {"text": "none"}}},
        {"type": "special", "options": {"match": "true", "result": {"text": "yes"}}},
        {"type": "regex", "options": {"pattern": "(?=a)", "result": {"text": "x"}}},
        {"type": 1, "value": "3", "text": "three"},
        {"type": 2, "from": "4", "to": "5", "text": "some"},
    ]
    given = panel("state-timeline", target("up"), fieldConfig={"defaults": {"mappings": mappings}})
    found = imported(dashboard(given))
    assert found.dashboard.panels[0].mappings == (
        Mapping(value=0.0, text="Down"),
        Mapping(value=1.0, text="Up", colour="#00ff00"),
        Mapping(special="none", text="?"),
        Mapping(min=2.0, text="many"),
        Mapping(regex="(?i)^a", colour=colour_of("blue") or UNSET),
        Mapping(special="none", text="none"),
        Mapping(value="true", text="yes"),
        Mapping(value=3.0, text="three"),
        Mapping(min=4.0, max=5.0, text="some"),
    )
    [reason] = reasons(found)
    assert reason.startswith("texts for some values: its regex: ")
    old = panel("singlestat", target("up"), valueMaps=[{"op": "=", "value": "1", "text": "OK"}])
    assert only(dashboard(old)).mappings == (Mapping(value=1.0, text="OK"),)


@pytest.mark.parametrize(
    ("steps", "ours"),
    [
        ([("red", None), ("green", 1)], (Threshold(1.0, "critical", below=True),)),
        (
            [("red", None), ("orange", 1), ("green", 2), ("red", 3)],
            (
                Threshold(1.0, "critical", below=True),
                Threshold(2.0, "warning", below=True),
                Threshold(3.0, "critical"),
            ),
        ),
        ([("green", None), ("orange", 1), ("green", 2)], UNSET),
        ([("orange", None), ("red", 1)], UNSET),
    ],
)
def test_alarms_from_a_value_on_and_below_one(
    steps: list[tuple[str, float | None]], ours: object
) -> None:
    listed = [{"color": colour, "value": at} for colour, at in steps]
    given = panel("stat", target("up"), fieldConfig={"defaults": {"thresholds": {"steps": listed}}})
    found = imported(dashboard(given))
    assert found.dashboard.panels[0].thresholds == ours
    expected = ["thresholds between which values are normal, or of all values"]
    assert reasons(found) == (expected if ours is UNSET else [])


@pytest.mark.parametrize(
    ("custom", "ours"),
    [
        ({}, {}),
        ({"drawStyle": "bars"}, {"style": "bars"}),
        ({"drawStyle": "points"}, {"style": "points"}),
        ({"drawStyle": "line", "lineInterpolation": "stepAfter"}, {"style": "steps"}),
        ({"scaleDistribution": {"type": "log", "log": 2}}, {"log": True}),
        ({"thresholdsStyle": {"mode": "dashed+area"}}, {"areas": True}),
        ({"stacking": {"mode": "percent"}}, {"kind": "stacked", "percent": True}),
    ],
)
def test_how_lines_are_drawn(custom: dict[str, Any], ours: dict[str, Any]) -> None:
    given = panel("timeseries", target("up"), fieldConfig={"defaults": {"custom": custom}})
    found = imported(dashboard(given))
    [made] = found.dashboard.panels
    names = ("style", "log", "areas", "percent")
    assert {name: one for name in names if (one := getattr(made, name)) is not UNSET} == {
        name: one for name, one in ours.items() if name != "kind"
    }
    assert made.kind == ours.get("kind", "line")
    assert reasons(found) == []


@pytest.mark.parametrize(
    ("own", "panels", "expr", "ours"),
    [
        ("30s", "", "rate(a[$__rate_interval])", "rate(a[120s])"),
        ("30s", "", "rate(a[${__interval}])", "rate(a[30s])"),
        ("30s", "", "a * $__rate_interval_ms / $__interval_ms", "a * 120000 / 30000"),
        ("30s", "", "increase(a[$__range])", "increase(a[$__range])"),
        # By Grafana's own tests: 5m of its own are 20m.
        ("5m", "", "rate(a[$__rate_interval])", "rate(a[1200s])"),
        # A panel's only keeps points apart: it isn't how often there are samples.
        ("", "1m", "rate(a[$__rate_interval])", "rate(a[75s])"),
        ("", ">10s", "rate(a[$__rate_interval])", "rate(a[60s])"),
        ("", "1m", "rate(a[$__interval])", "rate(a[60s])"),
        ("30s", "100s", "rate(a[$__rate_interval])", "rate(a[130s])"),
        ("30s", "100s", "rate(a[$__interval])", "rate(a[30s])"),
        # A step that is one of these means the same in the query.
        ("$__rate_interval", "", "rate(a[$__rate_interval])", "rate(a[$__rate_interval])"),
        ("${__interval}", "", "rate(a[$__interval])", "rate(a[$__interval])"),
    ],
)
def test_a_min_step_is_filled_in(own: str, panels: str, expr: str, ours: str) -> None:
    made = only(dashboard(panel("timeseries", target(expr, interval=own), interval=panels)))
    assert made.select == ours


@pytest.mark.parametrize(
    ("source", "foreign"),
    [
        (None, None),
        ("Main", None),
        ({"type": "prometheus", "uid": "a"}, None),
        ({"type": "grafana-amazonprometheus-datasource"}, None),
        ({"type": "victoriametrics-metrics-datasource"}, None),
        ({"type": "loki"}, "loki"),
        ("${DS_LOGS}", "loki"),
        ("$logs", "loki"),
        ("${prom}", None),
        ("-- Grafana --", "-- Grafana --"),
    ],
)
def test_a_data_source_counts_for_panels_and_variables_alike(
    source: object, foreign: str | None
) -> None:
    listed = [
        variable("logs", "loki", "datasource"),
        variable("prom", "prometheus", "datasource"),
        {**variable("x", "label_values(up, job)"), "datasource": source},
    ]
    inputs = [{"name": "DS_LOGS", "type": "datasource", "pluginId": "loki"}]
    asking = {**panel("stat", {"expr": "up", "refId": "A"}), "datasource": source}
    kept = panel("stat", target("up"))
    found = imported(dashboard(asking, kept, templating={"list": listed}, __inputs=inputs))
    x = Variable(name="x", label="job", select="up")
    assert found.dashboard.variables == (UNSET if foreign else (x,))
    assert found.taken == (1 if foreign else 2)
    if foreign:
        asked = f"all of it: query A, which asks the data source {foreign}"
        assert asked in reasons(found)
        assert reasons(found, "variable x") == ["it asks another data source than Prometheus"]


@pytest.mark.parametrize(
    ("query", "label", "select"),
    [
        ("label_values(up, instance)", "instance", "up"),
        ("label_values(instance)", "instance", '{instance!=""}'),
        ('label_values(up{job=~"a,b|c"},  instance)', "instance", 'up{job=~"a,b|c"}'),
        ("metrics(node_.*)", "__name__", '{__name__=~".*(?:node_.*).*"}'),
    ],
)
def test_queries_of_variables(query: str, label: str, select: str) -> None:
    listed = [variable("x", query), {**variable("y", ""), "query": {"query": query}}]
    made = imported(dashboard(templating={"list": listed})).dashboard.variables
    assert made == tuple(Variable(name=name, label=label, select=select) for name in "xy")


@pytest.mark.parametrize(
    ("query", "regex", "label", "select"),
    [
        # A filter becomes a matcher.
        ("label_values(up, job)", "/^prod-/", "job", 'up{job=~".*(?:^prod-).*"}'),
        ('label_values(up{a="b"}, job)', "web|db", "job", 'up{a="b",job=~".*(?:web|db).*"}'),
        ("label_values(job)", "/WEB/i", "job", '{job!="",job=~".*(?:(?i)WEB).*"}'),
        ("label_values(up{}, job)", r"/a\.b/", "job", 'up{job=~".*(?:a\\\\.b).*"}'),
        # A part of a series' text is the value of a label.
        ("query_result(up)", '/.*instance="([^"]*)".*/', "instance", "up"),
        ('query_result(up{job="$j"})', 'host="(?<text>[^"]+)"', "host", 'up{job="j"}'),
        ("query_result(up)", '/.*instance="([^"]*).*/', "instance", "up"),
        # A part of a value isn't taken; neither is what the service can't match.
        ("label_values(up, job)", "/(.*)-web/", "job", "up"),
        ("label_values(up, job)", "/^(?!web)/", "job", "up"),
    ],
)
def test_regexes_of_variables(query: str, regex: str, label: str, select: str) -> None:
    listed = [variable("j", "j", "constant"), variable("x", query, regex=regex)]
    found = imported(dashboard(panel("stat", target("up")), templating={"list": listed}))
    assert found.dashboard.variables == (Variable(name="x", label=label, select=select),)
    taken = [] if regex not in ("/(.*)-web/", "/^(?!web)/") else [
        "its regex, which picks parts of the values: they are whole"
    ]  # fmt: skip
    assert reasons(found, "variable x") == taken


def override(kind: str, options: Any, **properties: Any) -> dict[str, Any]:
    listed = [{"id": id_.replace("__", "."), "value": one} for id_, one in properties.items()]
    return {"matcher": {"id": kind, "options": options}, "properties": listed}


NETWORK = (
    target("rate(rx[1m])", "A", legendFormat="{{device}} in"),
    target("rate(tx[1m])", "B", legendFormat="{{device}} out"),
    target("sum(rate(tx[1m]))", "C", legendFormat="total"),
)


def overridden(*overrides: dict[str, Any], kind: str = "timeseries", **more: Any) -> Imported:
    config = {"defaults": {"unit": "Bps"}, "overrides": list(overrides)}
    return imported(dashboard(panel(kind, *NETWORK, fieldConfig=config, **more)))


def asked_of(found: Imported) -> list[tuple[object, object]]:
    [made] = found.dashboard.panels
    also = made.also or ()
    return [(made.select, made.legend), *((one.select, one.legend) for one in also)]


AS_IT_IS = [(one["expr"], one["legendFormat"]) for one in NETWORK]


@pytest.mark.parametrize(
    ("given", "at"),
    [
        (override("byRegexp", "/.*out.*/", custom__transform="negative-Y"), [1]),
        (override("byRegexp", "/OUT$/i", custom__transform="negative-Y"), [1]),
        (override("byFrameRefID", "C", custom__transform="negative-Y"), [2]),
        (override("byName", "total", custom__transform="negative-Y"), [2]),
        (override("byNames", {"names": ["total"]}, custom__transform="negative-Y"), [2]),
        (
            override(
                "byNames",
                {"mode": "exclude", "names": ["total"]},
                custom__transform="negative-Y",
            ),
            [0, 1],
        ),
    ],
)
def test_what_is_drawn_downwards_is_negative(given: dict[str, Any], at: list[int]) -> None:
    found = overridden(given)
    assert asked_of(found) == [
        (f"-({select})" if index in at else select, legend)
        for index, (select, legend) in enumerate(AS_IT_IS)
    ]
    assert reasons(found) == []


def test_overrides_of_whole_queries_are_taken() -> None:
    found = overridden(
        override("byName", "total", displayName="All of them"),
        override("byRegexp", "in$", displayName="${__field.labels.device}, received"),
        override("byRegexp", "out$", custom__hideFrom={"viz": True, "legend": False}),
    )
    assert asked_of(found) == [
        ("rate(rx[1m])", "{{device}}, received"),
        ("sum(rate(tx[1m]))", "All of them"),
    ]
    assert reasons(found) == []
    every = override("byRegexp", "/.*/", unit="percentunit", decimals=2, min=0, max=1)
    [made] = overridden(every).dashboard.panels
    assert (made.unit, made.decimals, made.min, made.max) == ("ratio", 2, 0, 1)
    # A column of a table is called by its query.
    tabled = panel("table", target("a"), target("b", "B"))
    tabled["fieldConfig"] = {"overrides": [override("byName", "Value #B", displayName="Bees")]}
    assert asked_of(imported(dashboard(tabled))) == [("a", UNSET), ("b", "Bees")]


@pytest.mark.parametrize(
    "given",
    [
        # For some lines of a query, for what isn't a name, or for what lines here don't have.
        override("byRegexp", "/eth/", custom__transform="negative-Y"),
        override("byRegexp", "/(?=a)/", displayName="x"),
        override("byRegexp", "/(a+)+/", displayName="x"),
        override("byType", "number", displayName="x"),
        override("byName", "total", unit="dateTimeAsIso"),
        override("byName", "total", color={"mode": "palette-classic"}),
        override("byName", "eth0 in", custom__lineWidth=2),
        override("byName", '{device="eth0"}', decimals=1),
        # Hiding all of them would leave none.
        override("byRegexp", "/.*/", custom__hideFrom={"viz": True}),
    ],
)
def test_other_overrides_are_said(given: dict[str, Any]) -> None:
    found = overridden(given)
    assert asked_of(found) == AS_IT_IS
    name = given["properties"][0]["id"]
    assert reasons(found) == [f"overrides for some of its lines ({name})"]


def test_overrides_of_single_lines_are_taken() -> None:
    found = overridden(
        override("byName", "eth0 out", unit="bits", decimals=1, displayName="Out of $x"),
        override("byRegexp", "/^eth/i", color={"mode": "fixed", "fixedColor": "#abc"}),
        override("byName", "total", unit="percent", color={"fixedColor": "red"}),
        override("byFrameRefID", "A", custom__hideFrom={"viz": True}),
        override("byFrameRefID", "A", unit="bits"),
        override("byNames", {"names": ["eth1 out", "eth2 out"]}, decimals=0),
    )
    assert [select for select, _ in asked_of(found)] == ["rate(tx[1m])", "sum(rate(tx[1m]))"]
    assert found.dashboard.panels[0].lines == (
        Line(name="eth0 out", title="Out of $x", unit="bits", decimals=1),
        Line(regex="(?i)^eth", colour="#aabbcc"),
        Line(query=2, unit="percent", colour="#f04c60"),
        Line(name="eth1 out", decimals=0),
        Line(name="eth2 out", decimals=0),
    )
    assert reasons(found) == []
    old = overridden(kind="graph", aliasColors={"eth0 in": "#010203", "total": "blue"})
    assert old.dashboard.panels[0].lines == (
        Line(name="eth0 in", colour="#010203"),
        Line(query=3, colour=colour_of("blue") or UNSET),
    )


def test_overrides_of_old_graphs() -> None:
    given = [{"alias": "/out/", "transform": "negative-Y", "yaxis": 2}, {"alias": "total"}]
    found = overridden(kind="graph", seriesOverrides=given)
    assert asked_of(found)[1] == ("-(rate(tx[1m]))", "{{device}} out")
    assert reasons(found) == ["overrides for some of its lines (yaxis)"]


def test_a_variable_of_another_query_has_its_saved_values() -> None:
    options = [{"value": "$__all"}, {"value": "a"}, {"value": "b"}]
    listed = [
        variable("x", "query_result(up)", options=options, current={"value": "b"}),
        variable("y", "query_result(up)"),
        variable("z", 'label_values(up{a="$y"}, b)'),
    ]
    given = panel("stat", target('up{a="$y"}'), target('a{b="$x"}', "B"), target("$y", "C"))
    found = imported(dashboard(given, templating={"list": listed}))
    assert found.dashboard.variables == (Variable(name="x", values=("a", "b"), default=("b",)),)
    assert reasons(found, "variable y") == [
        "its query 'query_result(up)', which is none of label_values(...)"
    ]
    assert reasons(found, "variable z") == ["it depends on $y, which is not taken"]
    assert reasons(found, "Stat") == [
        f"query {ref}, which depends on $y: that is not taken" for ref in "AC"
    ]


@pytest.mark.parametrize(
    "wrapped",
    [
        {"dashboard": dashboard(), "meta": {}},
        {"apiVersion": "dashboard.grafana.app/v1beta1", "kind": "Dashboard", "spec": dashboard()},
        {"apiVersion": "dashboard.grafana.app/v0alpha1", "spec": dashboard()},
    ],
)
def test_whatever_a_file_is_wrapped_in(wrapped: Any) -> None:
    assert imported(wrapped).dashboard.title == "Hosts"


@pytest.mark.parametrize(
    "new",
    [
        {"apiVersion": "dashboard.grafana.app/v2beta1", "kind": "Dashboard", "spec": {}},
        {"title": "x", "elements": {}, "layout": {}},
        {"dashboard": {"title": "x", "elements": {}, "layout": {}}},
    ],
)
def test_the_new_schema_is_refused_and_what_to_do_is_said(new: Any) -> None:
    with pytest.raises(Problem, match="export it from Grafana as Classic") as told:
        take_in(msgspec.json.encode(new))
    assert (told.value.code, told.value.status) == ("grafana_v2", 422)


def test_a_panel_of_the_library_is_what_came_with_the_file() -> None:
    given = {"libraryPanel": {"uid": "u", "name": "Shared"}, "gridPos": {"x": 0, "y": 0}}
    elements = {"u": {"name": "Shared", "model": panel("stat", target("sum(up)"))}}
    assert only(dashboard(given, __elements=elements)).select == "sum(up)"
    assert reasons(imported(dashboard(given))) == [
        "a panel from Grafana's library, which there is none of here"
    ]


def test_one_of_ours_is_itself() -> None:
    ours = {"title": "Ours", "panels": [{"id": "a", "kind": "line", "select": "up"}]}
    found = take_in(msgspec.json.encode(ours))
    assert (found.source, found.left_out, found.panels) == ("pushsvc", [], 1)
    assert msgspec.json.decode(write(found.dashboard)) == ours


def test_repetitions_are_taken() -> None:
    listed = [variable("host", "a,b", "custom")]
    row = {"type": "row", "title": "On $host", "repeat": "host", "panels": []}
    found = imported(
        dashboard(
            panel("stat", target("up"), repeat="host", repeatDirection="v"),
            panel("stat", target("up"), repeat="host", maxPerRow=3),
            panel("stat", target("up"), repeatPanelId=1, scopedVars={}),
            panel("stat", target("up"), repeat="other"),
            row,
            templating={"list": listed},
        )
    )
    assert [(one.repeat, one.across) for one in found.dashboard.panels] == [
        ("host", 1),
        ("host", 3),
        (UNSET, UNSET),
        ("host", UNSET),
    ]
    assert reasons(found, "Stat") == ["its repetition for each other, which is not taken"]


def test_links_are_taken_as_far_as_they_lead_somewhere() -> None:
    of_values = [
        {
            "title": "Host",
            "url": "https://a/${__field.labels.host}?v=${__value.raw}&$__url_time_range",
        },
        {"title": "All $x", "url": "http://a?${x:queryparam}&at=${__from}"},
        {"title": "Inside", "url": "/d/abc/other?var-x=$x"},
        {"title": "Script", "url": "javascript:alert(1)"},
        {"title": "Other", "url": "https://a?${__all_variables}"},
    ]
    given = panel(
        "stat",
        target("up"),
        fieldConfig={"defaults": {"links": of_values}},
        links=[
            {"title": "Docs", "url": "https://docs/", "targetBlank": True},
            {"type": "dashboard"},
        ],
    )
    found = imported(dashboard(given, templating={"list": [variable("x", "a,b", "custom")]}))
    [made] = found.dashboard.panels
    assert made.links == (Link("Docs", "https://docs/"),)
    assert made.data_links == (
        Link("Host", "https://a/{{host}}?v={{__value}}&from={{__from}}&to={{__to}}"),
        Link("All $x", "http://a?var-x=$x&at={{__from}}"),
    )
    assert reasons(found) == [
        "its link ?: it leads within Grafana",
        "its link Inside: it leads within Grafana",
        "its link Script: its address begins with 'javascript': "
        "that takes http:, https:, or a path",
        "its link Other, which depends on ${__all_variables}",
    ]


def test_more_panels_than_a_dashboard_has_are_said() -> None:
    found = imported(dashboard(*(panel("stat", target("up")) for _ in range(252))))
    assert (found.panels, found.taken, len(found.dashboard.panels)) == (252, 250, 250)
    assert "all of it: a dashboard has 250 panels at the most" in reasons(found)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_stands_in_a_file_the_answer_is_a_dashboard_or_a_problem(
    data: st.DataObject,
) -> None:
    """Any member may be anything: files are edited by hand, and Grafana's have changed."""
    document = msgspec.json.decode(msgspec.json.encode(data.draw(st.sampled_from([HOSTS, OLD]))))
    place: Any = document
    for _ in range(data.draw(st.integers(0, 6))):
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            place[key] = data.draw(ANYTHING)
            break
        place = place[key]
    with contextlib.suppress(Problem):
        imported(document)
