"""The routes of the API."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Final

import msgspec
import trio
from msgspec import Meta
from quart import Response
from quart_trio import QuartTrio
from werkzeug.datastructures import MultiDict

from pushsvc.app.dashboards.lookup import label_names_of, label_values_of, series_of
from pushsvc.app.dashboards.prometheus.answers import (
    NO_RESULT,
    REFUSED,
    Alerts,
    Answer,
    Build,
    Described,
    Exemplars,
    Group,
    Groups,
    Metadata,
    Recorded,
    Rules,
    Sets,
    Text,
    Texts,
    fail,
    refuse,
    respond,
)
from pushsvc.app.dashboards.prometheus.evaluation import answer
from pushsvc.app.dashboards.prometheus.parameters import (
    END,
    LIMIT,
    LOOKBACK_DELTA,
    MATCH,
    QUERY,
    START,
    TIME,
    TIMEOUT,
    duration_ms,
    limit_of,
    read_parameters,
    required,
    time_ms,
    timeout_of,
    unescaped,
)
from pushsvc.app.http import problems
from pushsvc.app.http.context import Context
from pushsvc.app.http.described import Parameter, described, json
from pushsvc.app.http.guard import principal_of_request
from pushsvc.core.expression.errors import EvaluationError, TooMuch
from pushsvc.core.expression.evaluate import LOOKBACK, least_read
from pushsvc.core.expression.reading import pretty, read
from pushsvc.core.expression.stored import gather, labels_of
from pushsvc.core.expression.tree import Node, Type, type_of
from pushsvc.core.model.promql import METRIC_LABEL
from pushsvc.core.query.selector import EVERY_SERIES, Matcher, parse, selector_of
from pushsvc.errors import Malformed
from pushsvc.pipeline import now_ms
from pushsvc.pipeline.background import Background
from pushsvc.recording.rules import Rule
from pushsvc.version import __version__

_MOST_STEPS: Final = 11_000
"""Steps of one range, as in Prometheus."""
_CONCURRENT: Final = 2
"""Queries that are evaluated at the same time; others wait."""
_PATHS: Final = (
    "query",
    "query_range",
    "series",
    "labels",
    "label/<name>/values",
    "metadata",
    "status/buildinfo",
    "format_query",
    "query_exemplars",
    "rules",
    "alerts",
)
_TYPES: Final = {"counter": "counter", "gauge": "gauge", "delta": "unknown", "state": "unknown"}
_PLAIN: Final[dict[Type, str]] = {"matrix": "range vector", "string": "string"}


def install(app: QuartTrio, context: Context) -> None:
    hub, limits, pacing = context.hub, context.limits, context.pacing
    evaluating = Background(_CONCURRENT)

    async def parameters() -> MultiDict[str, str]:
        return await read_parameters(pacing.body_timeout)

    async def evaluate(
        args: MultiDict[str, str], node: Node, start: int, end: int, step: int
    ) -> Response:
        lookback, limit = duration_ms(args, "lookback_delta", LOOKBACK), limit_of(args)
        seconds = timeout_of(args, limits.expression_seconds)
        allowed, most = principal_of_request().read, limits.expression_samples
        steps = (end - start) // step + 1 if step else 1
        if least_read(node) * steps > most:  # so that others don't wait for what has no answer
            raise TooMuch("expression_samples", most, "samples")

        def begin() -> Callable[[Callable[[], None]], bytes]:
            # When it is its turn, so that queries that wait hold no rows.
            source = gather(hub.catalog, node, start, end, lookback, allowed, limits)
            return partial(answer, source, node, start, end, step, lookback, most, limit)

        found = None
        with trio.move_on_after(seconds):
            found = await evaluating.run(begin)
        if found is None:
            return fail(503, "timeout", f"the query took longer than {seconds:g} s")
        return respond(found)

    @app.route("/api/v1/query", methods=["GET", "POST"])
    @described(
        "Ask in PromQL, at one time",
        parameters=(
            QUERY,
            Parameter("time", str, f"Now, or {TIME}."),
            LOOKBACK_DELTA,
            LIMIT,
            TIMEOUT,
        ),
        answers={
            200: json(Answer, "What the expression is at that time."),
            **REFUSED,
            **NO_RESULT,
        },
    )
    async def prometheus_query() -> Response:
        args = await parameters()
        node = read(required(args, "query"), limits)
        time = time_ms(args, "time", now_ms())
        return await evaluate(args, node, time, time, 0)

    @app.route("/api/v1/query_range", methods=["GET", "POST"])
    @described(
        "Ask in PromQL, at each step of a range",
        parameters=(
            QUERY,
            Parameter("start", str, f"The first step, {TIME}.", required=True),
            Parameter("end", str, f"No step is after it, {TIME}.", required=True),
            Parameter("step", str, "15s, or seconds.", required=True),
            LOOKBACK_DELTA,
            LIMIT,
            TIMEOUT,
        ),
        answers={
            200: json(Answer, "What the expression is at each step."),
            **REFUSED,
            **NO_RESULT,
        },
    )
    async def prometheus_query_range() -> Response:
        args = await parameters()
        node = read(required(args, "query"), limits)
        if type_of(node) not in ("vector", "scalar"):
            raise Malformed(
                "query",
                f'invalid expression type "{_PLAIN[type_of(node)]}" for range query, must be '
                "Scalar or instant Vector",
            )
        start, end = time_ms(args, "start"), time_ms(args, "end")
        step = duration_ms(args, "step", 0)
        if end < start:
            raise Malformed("end", "end timestamp must not be before start time")
        if (end - start) // step >= _MOST_STEPS:
            raise Malformed(
                "step",
                f"exceeded maximum resolution of {_MOST_STEPS} points per series: ask for a "
                "longer step or a shorter range",
            )
        return await evaluate(args, node, start, end, step)

    @app.route("/api/v1/series", methods=["GET", "POST"])
    @described(
        "Series by selector, as Prometheus lists them",
        parameters=(MATCH, START, END, LIMIT),
        answers={200: json(Sets, "The labels of each."), **REFUSED},
    )
    async def prometheus_series() -> Response:
        args = await parameters()
        if not args.getlist("match[]"):
            raise Malformed("match[]", "no match[] parameter provided")
        found = series_of(hub.catalog, args, limits, "match[]")[: limit_of(args)]
        return await _encoded(Sets(data=[dict(labels_of(one.identity)) for one in found]))

    @app.route("/api/v1/labels", methods=["GET", "POST"])
    @described(
        "Names of labels, as Prometheus lists them",
        parameters=(MATCH, START, END, LIMIT),
        answers={200: json(Texts, "In alphabetical order."), **REFUSED},
    )
    async def prometheus_labels() -> Response:
        args = await parameters()
        names = label_names_of(hub.catalog, args, limits, "match[]")
        return await _encoded(Texts(data=sorted(names)[: limit_of(args)]))

    @app.get("/api/v1/label/<name>/values")
    @described(
        "Values of a label, as Prometheus lists them",
        parameters=(
            Parameter(
                "name", str, "The label; a name in UTF-8 as U__ and escapes.", "path", required=True
            ),
            MATCH,
            START,
            END,
            LIMIT,
        ),
        answers={200: json(Texts, "In alphabetical order."), **REFUSED},
    )
    async def prometheus_label_values(name: str) -> Response:
        args = await parameters()
        values = label_values_of(hub.catalog, unescaped(name), args, limits, "match[]")
        return await _encoded(Texts(data=sorted(values)[: limit_of(args)]))

    @app.get("/api/v1/metadata")
    @described(
        "What metrics are, as Prometheus tells it",
        parameters=(
            Parameter("metric", str, "Only this one."),
            LIMIT,
            Parameter(
                "limit_per_metric", Annotated[int, Meta(ge=0)], "The most of one metric; 0: all."
            ),
        ),
        answers={200: json(Metadata, "Type, help and unit by name."), **REFUSED},
    )
    async def prometheus_metadata() -> Response:
        args = await parameters()
        metric = args.get("metric")
        asked = selector_of({Matcher(METRIC_LABEL, "=", metric)}) if metric else parse(EVERY_SERIES)
        found: dict[str, list[Described]] = {}
        for one in hub.catalog.select((asked,), principal_of_request().read):
            said = Described(_TYPES[one.kind], one.help, one.unit)
            known = found.setdefault(one.identity.name, [])
            if said not in known:
                known.append(said)
        each = limit_of(args, "limit_per_metric")
        listed = {name: known[:each] for name, known in sorted(found.items())[: limit_of(args)]}
        return await _encoded(Metadata(data=listed))

    @app.get("/api/v1/status/buildinfo")
    @described(
        "Which program this is",
        "Clients choose by the version what they ask for: it is that of the Prometheus whose API "
        "this is. `application` says who answers.",
        answers={200: json(Build, "Its version."), **REFUSED},
    )
    async def prometheus_buildinfo() -> Response:
        return await _encoded(
            Build(
                data={
                    "application": f"pushsvc {__version__}",
                    "version": "3.0.0",
                    "revision": "",
                    "branch": "",
                    "buildUser": "",
                    "buildDate": "",
                    "goVersion": f"python{platform.python_version()}",
                }
            )
        )

    @app.route("/api/v1/format_query", methods=["GET", "POST"])
    @described(
        "An expression, well laid out",
        parameters=(QUERY,),
        answers={200: json(Text, "The same expression."), **REFUSED},
    )
    async def prometheus_format_query() -> Response:
        args = await parameters()
        return await _encoded(Text(data=pretty(required(args, "query"), limits)))

    @app.route("/api/v1/query_exemplars", methods=["GET", "POST"])
    @described(
        "Exemplars",
        "None are kept: it is the answer of a Prometheus that keeps none.",
        parameters=(QUERY, START, END),
        answers={200: json(Exemplars, "None."), **REFUSED},
    )
    async def prometheus_exemplars() -> Response:
        args = await parameters()
        read(required(args, "query"), limits)
        return await _encoded(Exemplars())

    @app.get("/api/v1/rules")
    @described(
        "What is recorded",
        "Expressions are given to those who may read all series.",
        parameters=(Parameter("type", str, "`record`, or `alert`: there are none of these."),),
        answers={200: json(Rules, "Recorded expressions by their interval."), **REFUSED},
    )
    async def prometheus_rules() -> Response:
        args = await parameters()
        hidden = args.get("type") == "alert" or principal_of_request().read.selectors is not None
        return await _encoded(Rules(data=Groups([] if hidden else _groups(context.rules()))))

    @app.get("/api/v1/alerts")
    @described(
        "Alerts",
        "There are none: alerts are not for this service.",
        answers={200: json(Alerts, "None."), **REFUSED},
    )
    async def prometheus_alerts() -> Response:
        return await _encoded(Alerts())

    @app.errorhandler(EvaluationError)
    async def failed(error: EvaluationError) -> Response:
        return fail(422, "execution", str(error))

    for path in _PATHS:
        problems.answer_by(app, f"/api/v1/{path}", refuse)


def _groups(rules: Sequence[Rule]) -> list[Group]:
    """Recorded expressions by their interval: in Prometheus a group has one."""
    found: dict[float, list[Recorded]] = {}
    for rule in rules:
        found.setdefault(rule.interval, []).append(
            Recorded(name=rule.name, query=rule.text, labels=dict(rule.labels))
        )
    return [Group(f"every {interval:g}s", "", interval, found[interval]) for interval in found]


async def _encoded(answer: msgspec.Struct) -> Response:
    return respond(await trio.to_thread.run_sync(msgspec.json.encode, answer))
