"""Prometheus' query API (https://prometheus.io/docs/prometheus/latest/querying/api/): for Grafana's
data source of that name, `promtool query` and whatever else asks a Prometheus.

Answers and errors are in its words: `{"status": "error", "errorType": …, "error": …}`.
"""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl

import msgspec
import trio
from msgspec import UNSET, Meta, UnsetType
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.datastructures import MultiDict

import pushsvc
from pushsvc.app.dashboards.lookup import label_names_of, label_values_of, series_of
from pushsvc.app.http import problems
from pushsvc.app.http.connection import read_body
from pushsvc.app.http.context import Context
from pushsvc.app.http.described import Parameter, described, json
from pushsvc.app.http.guard import principal_of_request
from pushsvc.core.expression import labels as label_sets
from pushsvc.core.expression.aggregates import written
from pushsvc.core.expression.errors import EvaluationError
from pushsvc.core.expression.evaluate import LOOKBACK, Evaluator, Result
from pushsvc.core.expression.evaluate import Series as Ranged
from pushsvc.core.expression.labels import Labels
from pushsvc.core.expression.reading import pretty, read
from pushsvc.core.expression.stored import Stored, gather, labels_of
from pushsvc.core.expression.tree import Node, Type, type_of
from pushsvc.core.model.duration import parse_duration
from pushsvc.core.model.promql import METRIC_LABEL
from pushsvc.core.model.series import shorten
from pushsvc.core.query.selector import EVERY_SERIES, Matcher, Selector, parse, selector_of
from pushsvc.errors import Malformed, Problem
from pushsvc.pipeline import now_ms

_MOST_STEPS: Final = 11_000
"""Steps of one range, as in Prometheus."""
_AT_ONCE: Final = 2
"""Queries that are worked out at the same time; others wait."""
_BODY: Final = 64 * 1024
_PATHS: Final = (
    "query",
    "query_range",
    "series",
    "labels",
    "label/<name>/values",
    "metadata",
    "status/buildinfo",
    "format_query",
)
_TYPES: Final = {"counter": "counter", "gauge": "gauge", "delta": "unknown", "state": "unknown"}


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, in Prometheus' words."""

    status: Literal["error"] = "error"
    error_type: Annotated[
        Literal["bad_data", "execution", "unavailable", "internal", "unauthorized", "forbidden"],
        Meta(description="Whose fault it is."),
    ] = msgspec.field(name="errorType")
    error: str


_Pair = Annotated[
    tuple[float, str], Meta(description="[Unix seconds, number].", min_length=2, max_length=2)
]


class Found(msgspec.Struct, frozen=True, omit_defaults=True):
    """One series of a result: `value` at one time, or `values` at several."""

    metric: dict[str, str]
    value: _Pair | UnsetType = UNSET
    values: Sequence[_Pair] | UnsetType = UNSET


class Data(msgspec.Struct, frozen=True):
    result_type: Literal["vector", "matrix", "scalar", "string"] = msgspec.field(name="resultType")
    result: Annotated[
        Sequence[Any],
        Meta(
            description="Series, each with its labels as `metric` and a `value`, or `values`; of a "
            "scalar or a string one pair of time and value."
        ),
    ]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["success"] = "success"
    data: Data
    warnings: list[str] | UnsetType = UNSET
    """What is likely to be a mistake in the question."""
    infos: list[str] | UnsetType = UNSET
    """What may be one."""


class Sets(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["success"] = "success"
    data: list[dict[str, str]]


class Texts(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["success"] = "success"
    data: list[str]


class Text(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["success"] = "success"
    data: str


class Described(msgspec.Struct, frozen=True):
    type: str
    help: str
    unit: str


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["success"] = "success"
    data: dict[str, list[Described]]


class Build(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["success"] = "success"
    data: dict[str, str]


_QUERY = Parameter("query", str, "An expression in PromQL.", required=True)
_TIME = "a time: RFC 3339, or Unix seconds"
_MATCH = Parameter("match[]", list[str], "Selectors of the series that are meant, repeatable.")
_START = Parameter("start", str, "Taken and ignored: it is about the series that are held.")
_END = Parameter("end", str, "Taken and ignored: it is about the series that are held.")
_MOST = Parameter("limit", Annotated[int, Meta(ge=0)], "The most there are to be; 0: all.")
_LOOKBACK = Parameter("lookback_delta", str, "For how long a sample stands for its series: 5m.")
_FORM = "application/x-www-form-urlencoded"
_REFUSED = {
    400: json(Failed, "bad_data: a parameter, the expression or the token can't be read."),
    401: json(Failed, "unauthorized: no token, or one that isn't good (any more)."),
    403: json(
        Failed,
        "forbidden: the token doesn't grant this, or the request comes from a page of "
        "another origin.",
    ),
}
_NO_RESULT = {
    422: json(Failed, "execution: the expression has no result, or would read too much."),
}


def install(app: QuartTrio, context: Context) -> None:
    hub, limits, pacing = context.hub, context.limits, context.pacing
    working = trio.CapacityLimiter(_AT_ONCE)

    async def parameters() -> MultiDict[str, str]:
        """Those of the URL, and of the form that a POST brings."""
        found: MultiDict[str, str] = MultiDict(request.args)
        if request.method == "POST" and request.mimetype == _FORM:
            body = await read_body(request, most=_BODY, timeout=pacing.body_timeout)
            for name, value in parse_qsl(body.decode("utf-8", "replace"), max_num_fields=1000):
                found.add(name, value)
        return found

    async def work_out(
        node: Node, start: int, end: int, step: int, lookback: int, limit: int | None
    ) -> bytes:
        allowed, most = principal_of_request().read, limits.expression_samples
        async with working:  # also what is taken for it: those that wait have nothing yet
            source = gather(hub.catalog, node, start, end, lookback, allowed, limits)
            return await trio.to_thread.run_sync(
                _answer, source, node, start, end, step, lookback, most, limit
            )

    @app.route("/api/v1/query", methods=["GET", "POST"])
    @described(
        "Ask in PromQL, at one time",
        parameters=(_QUERY, Parameter("time", str, f"Now, or {_TIME}."), _LOOKBACK, _MOST),
        answers={
            200: json(Answer, "What the expression is at that time."),
            **_REFUSED,
            **_NO_RESULT,
        },
    )
    async def prometheus_query() -> Response:
        args = await parameters()
        node = read(_wanted(args, "query"), limits)
        time = _time(args, "time", now_ms())
        lookback = _milliseconds(args, "lookback_delta", LOOKBACK)
        return _response(await work_out(node, time, time, 0, lookback, _limit(args)))

    @app.route("/api/v1/query_range", methods=["GET", "POST"])
    @described(
        "Ask in PromQL, at each step of a range",
        parameters=(
            _QUERY,
            Parameter("start", str, f"The first step, {_TIME}.", required=True),
            Parameter("end", str, f"No step is after it, {_TIME}.", required=True),
            Parameter("step", str, "15s, or seconds.", required=True),
            _LOOKBACK,
            _MOST,
        ),
        answers={
            200: json(Answer, "What the expression is at each step."),
            **_REFUSED,
            **_NO_RESULT,
        },
    )
    async def prometheus_query_range() -> Response:
        args = await parameters()
        node = read(_wanted(args, "query"), limits)
        if type_of(node) not in ("vector", "scalar"):
            raise Malformed(
                "query",
                f'invalid expression type "{_PLAIN[type_of(node)]}" for range query, must be '
                "Scalar or instant Vector",
            )
        start, end = _time(args, "start"), _time(args, "end")
        step = _milliseconds(args, "step", 0)
        if end < start:
            raise Malformed("end", "end timestamp must not be before start time")
        if (end - start) // step >= _MOST_STEPS:
            raise Malformed(
                "step",
                f"exceeded maximum resolution of {_MOST_STEPS} points per series: ask for a "
                "longer step or a shorter range",
            )
        lookback = _milliseconds(args, "lookback_delta", LOOKBACK)
        return _response(await work_out(node, start, end, step, lookback, _limit(args)))

    @app.route("/api/v1/series", methods=["GET", "POST"])
    @described(
        "Series by selector, as Prometheus lists them",
        parameters=(_MATCH, _START, _END, _MOST),
        answers={200: json(Sets, "The labels of each."), **_REFUSED},
    )
    async def prometheus_series() -> Response:
        args = await parameters()
        if not args.getlist("match[]"):
            raise Malformed("match[]", "no match[] parameter provided")
        found = series_of(hub.catalog, args, limits, "match[]")[: _limit(args)]
        return await _encoded(Sets(data=[dict(labels_of(one.identity)) for one in found]))

    @app.route("/api/v1/labels", methods=["GET", "POST"])
    @described(
        "Names of labels, as Prometheus lists them",
        parameters=(_MATCH, _START, _END, _MOST),
        answers={200: json(Texts, "In alphabetical order."), **_REFUSED},
    )
    async def prometheus_labels() -> Response:
        args = await parameters()
        names = label_names_of(hub.catalog, args, limits, "match[]")
        return await _encoded(Texts(data=sorted(names)[: _limit(args)]))

    @app.get("/api/v1/label/<name>/values")
    @described(
        "Values of a label, as Prometheus lists them",
        parameters=(
            Parameter(
                "name", str, "The label; a name in UTF-8 as U__ and escapes.", "path", required=True
            ),
            _MATCH,
            _START,
            _END,
            _MOST,
        ),
        answers={200: json(Texts, "In alphabetical order."), **_REFUSED},
    )
    async def prometheus_label_values(name: str) -> Response:
        args = await parameters()
        values = label_values_of(hub.catalog, _unescaped(name), args, limits, "match[]")
        return await _encoded(Texts(data=sorted(values)[: _limit(args)]))

    @app.get("/api/v1/metadata")
    @described(
        "What metrics are, as Prometheus tells it",
        parameters=(Parameter("metric", str, "Only this one."), _MOST),
        answers={200: json(Metadata, "Type, help and unit by name."), **_REFUSED},
    )
    async def prometheus_metadata() -> Response:
        args = await parameters()
        metric = args.get("metric")
        asked = _of_metric(metric) if metric else parse(EVERY_SERIES)
        found: dict[str, list[Described]] = {}
        for one in hub.catalog.select((asked,), principal_of_request().read):
            said = Described(_TYPES[one.kind], one.help, one.unit)
            known = found.setdefault(one.identity.name, [])
            if said not in known:
                known.append(said)
        listed = dict(sorted(found.items())[: _limit(args)])
        return await _encoded(Metadata(data=listed))

    @app.get("/api/v1/status/buildinfo")
    @described(
        "Which program this is",
        "Clients choose by the version what they ask for: it is that of the Prometheus whose API "
        "this is. `application` says who answers.",
        answers={200: json(Build, "Its version."), **_REFUSED},
    )
    async def prometheus_buildinfo() -> Response:
        return await _encoded(
            Build(
                data={
                    "application": f"pushsvc {pushsvc.__version__}",
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
        parameters=(_QUERY,),
        answers={200: json(Text, "The same expression."), **_REFUSED},
    )
    async def prometheus_format_query() -> Response:
        args = await parameters()
        return await _encoded(Text(data=pretty(_wanted(args, "query"), limits)))

    @app.errorhandler(EvaluationError)
    async def failed(error: EvaluationError) -> Response:
        return _failed(422, "execution", str(error))

    for path in _PATHS:
        problems.answer_by(app, f"/api/v1/{path}", _refuse)


_PLAIN: Final[dict[Type, str]] = {"matrix": "range vector", "string": "string"}


def _answer(
    source: Stored,
    node: Node,
    start: int,
    end: int,
    step: int,
    lookback: int,
    most: int,
    limit: int | None,
) -> bytes:
    """Work an expression out and write the answer; it is for a thread."""
    evaluator = Evaluator(source, start, end, step=step, lookback=lookback, most=most)
    if not step:
        return _annotated(_at_one_time(evaluator.at(node, start), start, limit), evaluator)
    series: dict[Labels, list[_Pair]] = {}
    for moment in range(start, end + 1, step):
        result = evaluator.at(node, moment)
        if isinstance(result, float):
            series.setdefault(label_sets.NONE, []).append(_pair(moment, result))
            continue
        assert isinstance(result, list)
        for element in result:
            assert not isinstance(element, Ranged)
            series.setdefault(element.labels, []).append(_pair(moment, element.value))
    found = [Found(dict(labels), values=series[labels]) for labels in sorted(series)[:limit]]
    return _annotated(Data("matrix", found), evaluator)


def _annotated(data: Data, evaluator: Evaluator) -> bytes:
    told = evaluator.annotations
    return msgspec.json.encode(
        Answer(data=data, warnings=told.warnings or UNSET, infos=told.infos or UNSET)
    )


def _at_one_time(result: Result, time: int, limit: int | None) -> Data:
    if isinstance(result, float):
        return Data("scalar", _pair(time, result))
    if isinstance(result, str):
        return Data("string", (time / 1000, result))
    ranges = [one for one in result if isinstance(one, Ranged)]
    if ranges:
        return Data(
            "matrix",
            [
                Found(dict(one.labels), values=list(map(_pair, one.times, one.values)))
                for one in ranges[:limit]
            ],
        )
    return Data(
        "vector",
        [
            Found(dict(one.labels), value=_pair(time, one.value))
            for one in result[:limit]
            if not isinstance(one, Ranged)
        ],
    )


def _pair(time: int, value: float) -> _Pair:
    return time / 1000, written(value)


# -- parameters ------------------------------------------------------------------------------------


def _of_metric(name: str) -> Selector:
    return selector_of({Matcher(METRIC_LABEL, "=", name)})


def _wanted(args: MultiDict[str, str], name: str) -> str:
    text = args.get(name)
    if not text:
        raise Malformed(name, f"{name} is missing")
    return text


def _time(args: MultiDict[str, str], name: str, default: int | None = None) -> int:
    """A time in Unix ms. Raises Malformed where it can't be read, or is missing without default."""
    text = args.get(name)
    if not text and default is not None:
        return default
    try:
        seconds = float(_wanted(args, name))
    except ValueError:
        try:
            given = datetime.fromisoformat(text or "")
        except ValueError:
            seconds = math.nan
        else:
            seconds = (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()
    if not abs(seconds) < 1e11:
        raise Malformed(
            name,
            f'invalid parameter "{name}": cannot parse {shorten(text or "")} to a valid timestamp',
        )
    return round(seconds * 1000)


def _milliseconds(args: MultiDict[str, str], name: str, default: int) -> int:
    """A duration in ms; without a default, 0, it has to be there. Raises Malformed."""
    if not args.get(name) and default:
        return default
    found = round(parse_duration(_wanted(args, name), name) * 1000)
    if found <= 0:
        raise Malformed(
            name,
            f'invalid parameter "{name}": zero or negative durations are not accepted. '
            "Try a positive integer",
        )
    return found


def _limit(args: MultiDict[str, str]) -> int | None:
    text = args.get("limit", "0")
    if not re.fullmatch("[0-9]{1,9}", text):
        raise Malformed("limit", f"limit must be a whole number, 0 or more, not {shorten(text)}")
    return int(text) or None


_ESCAPED: Final = re.compile("__|_([0-9a-fA-F]{1,6})_")


def _unescaped(name: str) -> str:
    """A label as Prometheus escapes it in a path: `U__` and what isn't a letter as `_HEX_`."""
    if not name.startswith("U__"):
        return name

    def character(match: re.Match[str]) -> str:
        if match[1] is None:
            return "_"
        code = int(match[1], 16)
        return chr(code) if code <= 0x10FFFF else "\ufffd"

    return _ESCAPED.sub(character, name.removeprefix("U__"))


# -- answers ---------------------------------------------------------------------------------------


def _response(body: bytes, status: int = 200) -> Response:
    return Response(body, status=status, content_type="application/json")


async def _encoded(answer: msgspec.Struct) -> Response:
    return _response(await trio.to_thread.run_sync(msgspec.json.encode, answer))


def _failed(status: int, kind: str, text: str) -> Response:
    return _response(msgspec.json.encode(Failed(error_type=kind, error=text)), status)  # type: ignore[arg-type]


_KINDS: Final = {400: "bad_data", 401: "unauthorized", 403: "forbidden", 413: "bad_data"}


def _refuse(problem: Problem) -> Response:
    """In Prometheus' words, with the headers that any refusal has."""
    response = problems.respond(problem)
    kind = _KINDS.get(problem.status, "internal" if problem.status == 500 else "unavailable")
    response.set_data(msgspec.json.encode(Failed(error_type=kind, error=problem.detail)))  # type: ignore[arg-type]
    response.content_type = "application/json"
    return response
