"""The description of the HTTP API, OpenAPI 3.1: the contract that clients are written against.

A test holds it and the routes together; change both or neither.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

import pushsvc
from pushsvc.auth.credentials import COOKIE
from pushsvc.doctor.findings import Report
from pushsvc.doctor.measured import Measured
from pushsvc.ingest.influx import PRECISIONS

_VALUE = {
    "description": "A finite number; a string or boolean for a state; null where there is none.",
    "type": ["number", "string", "boolean", "null"],
}
_KIND = {"enum": ["gauge", "counter", "delta", "state"]}
_MERGE = {"enum": ["all", "last", "envelope"]}
_CURSOR = {
    "type": "string",
    "description": "Opaque: keep the last one received and give it back.",
    "pattern": "^[A-Za-z0-9_~!-]{1,128}\\.[0-9]{1,18}$",
}
_AWAY = {
    "type": "integer",
    "description": "Seconds for which the log that services share can't be reached: nothing newer "
    "can come. Left out while it can.",
}


def _object(
    properties: dict[str, Any],
    required: list[str] | None = None,
    description: str | None = None,
    *,
    closed: bool = False,
) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if description:
        schema["description"] = description
    if required:
        schema["required"] = required
    if closed:
        schema["additionalProperties"] = False
    return schema


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _examination() -> dict[str, Any]:
    """Schemas of what the path doctor measures and finds, as they are declared."""
    template = "#/components/schemas/{name}"
    return msgspec.json.schema_components((Measured, Report), ref_template=template)[1]


def _json(schema: Any, description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _problem(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": _ref("Problem")}},
    }


def _parameter(name: str, schema: dict[str, Any], description: str, where: str = "query") -> Any:
    parameter: dict[str, Any] = {
        "name": name,
        "in": where,
        "description": description,
        "schema": schema,
    }
    if where == "path":
        parameter["required"] = True
    if schema.get("type") == "array":
        parameter |= {"style": "form", "explode": True}
    return parameter


_SELECT = _parameter(
    "select",
    _array({"type": "string"}),
    'PromQL instant vector selector, repeatable: node_load1{host=~"web.*"}. None: every series.',
)
_LIMIT = _parameter(
    "limit", {"type": "integer", "minimum": 1}, "How many are wanted at the most. None: all."
)
_SEARCH = _parameter(
    "search",
    {"type": "string"},
    "What they are to have in them, in capitals or not. Those that begin with it come first.",
)
_WINDOW = _parameter(
    "window", {"type": "string"}, "How much of the past is wanted: 15m, 1h30m, or seconds."
)

_SCHEMAS: dict[str, Any] = {
    "Problem": _object(
        {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "code": {"type": "string", "description": "A stable slug."},
            "account": {
                "type": "string",
                "description": "Of a limit that is one client's: whose it was.",
            },
            "account_kind": {"enum": ["identity", "address"]},
        },
        ["type", "title", "status", "detail", "code"],
    ),
    "Sample": _object(
        {
            "name": {"type": "string", "minLength": 1},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "value": _VALUE,
            "time": {
                "type": ["integer", "null"],
                "description": "Unix milliseconds; the time of arrival if not said.",
            },
            "kind": {"enum": [*_KIND["enum"], None]},
            "unit": {"type": ["string", "null"]},
            "help": {"type": ["string", "null"]},
        },
        ["name", "value"],
        closed=True,
    ),
    "Batch": _object({"samples": _array(_ref("Sample"))}, ["samples"], closed=True),
    "Applied": _object(
        {
            "applied": {"type": "integer"},
            "id": _CURSOR,
            "watchers": {
                "type": "integer",
                "description": "How many subscribers watch what was sent.",
            },
        },
        ["applied", "id", "watchers"],
    ),
    "Message": _object(
        {"tag": {"type": ["string", "integer", "null"]}, "samples": _array(_ref("Sample"))},
        ["samples"],
        closed=True,
    ),
    "Receipt": {
        "oneOf": [
            _object(
                {
                    "type": {"const": "applied"},
                    "tag": {"type": ["string", "integer", "null"]},
                    "applied": {"type": "integer"},
                    "id": _CURSOR,
                    "watchers": {"type": "integer"},
                },
                ["type", "tag", "applied", "id", "watchers"],
            ),
            _object(
                {
                    "type": {"const": "error"},
                    "tag": {"type": ["string", "integer", "null"]},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                    "retry_after": {"type": "number"},
                },
                ["type", "tag", "code", "message"],
            ),
            _object({"type": {"const": "goaway"}, "retry": {"type": "integer"}}, ["type", "retry"]),
        ]
    },
    "Report": _object(
        {
            "applied": {"type": "integer"},
            "rejected": {"type": "integer"},
            "id": {"oneOf": [_CURSOR, {"type": "null"}]},
            "watchers": {"type": "integer"},
            "errors": _array(
                _object(
                    {
                        "line": {"type": "integer"},
                        "code": {"type": "string"},
                        "detail": {"type": "string"},
                    },
                    ["line", "code", "detail"],
                )
            ),
        },
        ["applied", "rejected", "id", "watchers", "errors"],
    ),
    "Series": _object(
        {
            "ref": {"type": "integer"},
            "name": {"type": "string"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "kind": _KIND,
            "unit": {"type": "string"},
            "help": {"type": "string"},
        },
        ["ref", "name", "labels", "kind", "unit"],
    ),
    "Point": {
        "description": "[ref, time, value], or merged: [ref, time, last, min, max, count]. min and "
        "max are null with merge=last, and for counters and states always. The last of a delta is "
        "the sum of count parts, and min and max are theirs; different states are never merged.",
        "type": "array",
        "minItems": 3,
        "maxItems": 6,
    },
    "Past": {
        "description": "[time, value].",
        "type": "array",
        "items": _VALUE,
        "minItems": 2,
        "maxItems": 2,
    },
    "DashboardEntry": _object(
        {
            "name": {"type": "string"},
            "source": {"enum": ["saved", "provisioned", "shipped"]},
            "title": {"type": "string"},
            "etag": {"type": "string"},
            "modified": {"type": "integer", "description": "Unix milliseconds."},
            "error": {"type": "string"},
        },
        ["name", "source"],
    ),
    "Granted": _object(
        {
            "max_hz": {"type": "number"},
            "merge": _MERGE,
            "select": _array({"type": "string"}),
            "points": {
                "type": "integer",
                "description": "Of each series that begins with a window, if some were asked for: "
                "fewer where there are many series.",
            },
            "kept": {
                "type": "number",
                "description": "In hello: seconds of the past that are kept (history.seconds). Of "
                "a longer window there is no more than that.",
            },
        },
        ["max_hz", "merge", "select"],
    ),
    "Watch": _object(
        {
            "type": {"const": "watch"},
            "select": {"oneOf": [_array({"type": "string"}), {"type": "null"}]},
            "window": {"type": ["string", "number", "null"]},
            "points": {"type": ["integer", "null"], "minimum": 4},
            "max_hz": {"type": ["number", "null"], "exclusiveMinimum": 0},
            "merge": {"enum": [*_MERGE["enum"], None]},
            "heartbeat": {"type": ["string", "number", "null"]},
        },
        ["type"],
        "Change what a stream shows; what is left out stays. The stream answers with a new hello "
        "and describes all that is watched again.",
        closed=True,
    ),
    "Auth": _object(
        {"type": {"const": "auth"}, "token": {"type": "string"}},
        ["type", "token"],
        "Let a stream live as long as this token, which is of the same subject.",
        closed=True,
    ),
    "Document": {
        "description": "Types and fields that a client doesn't know are to be passed over.",
        "oneOf": [
            _object(
                {
                    "type": {"const": "hello"},
                    "id": _CURSOR,
                    "epoch": {"type": "string"},
                    "session": {"type": "string"},
                    "heartbeat": {"type": "number"},
                    "granted": _ref("Granted"),
                    "away": _AWAY,
                },
                ["type", "epoch", "session", "heartbeat", "granted"],
                "First of a stream, and after each watch. A long poll has none, and no session.",
            ),
            _object(
                {
                    "type": {"const": "points"},
                    "id": _CURSOR,
                    "series": _array(_ref("Series")),
                    "time": {
                        "type": "integer",
                        "description": "When the server made it; only of what is live.",
                    },
                    "points": _array(_ref("Point")),
                    "ended": {
                        "type": "array",
                        "items": {
                            "type": "array",
                            "prefixItems": [{"type": "integer"}, {"type": "integer"}],
                            "minItems": 2,
                            "maxItems": 2,
                        },
                        "description": "Pairs of ref and time (Unix milliseconds): from there on "
                        "the series has no value, until its next point by time.",
                    },
                },
                ["type", "points"],
                "series has what is described here: each is, before or with the first points of "
                "its ref since the last hello, and in each answer to a long poll.",
            ),
            _object(
                {
                    "type": {"const": "gap"},
                    "id": _CURSOR,
                    "lost": {"type": ["integer", "null"]},
                },
                ["type", "id", "lost"],
                "So many samples after id are lost; null: nobody knows how many.",
            ),
            _object(
                {"type": {"const": "gone"}, "id": _CURSOR, "refs": _array({"type": "integer"})},
                ["type", "id", "refs"],
                "Series that were dropped. A ref is never used again: who returns has a new one.",
            ),
            _object(
                {
                    "type": {"const": "heartbeat"},
                    "id": _CURSOR,
                    "time": {"type": "integer"},
                    "away": _AWAY,
                },
                ["type", "id", "time"],
            ),
            _object(
                {"type": {"const": "goaway"}, "retry": {"type": "integer"}},
                ["type", "retry"],
                "The server is ending: come back in so many milliseconds, with your cursor.",
            ),
            _object(
                {
                    "type": {"const": "error"},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
                ["type", "code", "message"],
                "Why the stream ends; codes are those of problem documents.",
            ),
        ],
    },
}

_CODING = _parameter(
    "Content-Encoding",
    {"enum": ["gzip", "zstd", "deflate"]},
    "How the body is compressed.",
    "header",
)
_KEY = _parameter(
    "Idempotency-Key",
    {"type": "string"},
    "The same key with the same body is applied once within five minutes, and gets the first "
    "answer. For batches, not for lines.",
    "header",
)
_NAME = _parameter("name", {"type": "string"}, "1 to 64 of a-z, 0-9 and -.", "path")
_IF_MATCH = _parameter(
    "If-Match", {"type": "string"}, "The ETag of the version that is replaced.", "header"
)
_IF_NONE_MATCH = _parameter(
    "If-None-Match", {"type": "string"}, "*: only if there is none of this name.", "header"
)
_OTLP_TYPES = ("application/x-protobuf", "application/json")


def _otlp(description: str) -> dict[str, Any]:
    """A message in the encoding of the request: binary, or the JSON of its protobuf."""
    schemas = ({"type": "string", "format": "binary"}, {"type": "object"})
    return {
        "description": description,
        "content": {
            media_type: {"schema": schema}
            for media_type, schema in zip(_OTLP_TYPES, schemas, strict=True)
        },
    }


_BINARY = {"type": "string", "format": "binary"}


def _line_protocol(version: str, names: tuple[str, ...]) -> dict[str, Any]:
    """A door for InfluxDB's clients, whose errors have these names."""

    def error(description: str) -> dict[str, Any]:
        text = {key: {"type": "string"} for key in names}
        return _json(_object(text, list(names)), description)

    return {
        "summary": f"Publish InfluxDB line protocol, as to InfluxDB {version}",
        "description": "Database, bucket and organisation are not looked at.",
        "parameters": [
            _parameter(
                "precision", {"enum": list(PRECISIONS)}, "What times are in; ns if not said."
            ),
            _CODING,
        ],
        "requestBody": {
            "required": True,
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        "responses": {
            "204": {"description": "Applied."},
            "400": error("Lines were refused, as the message tells; the others are applied."),
            "408": error("No byte of the body came for too long."),
            "413": error("Larger than limits.body_bytes or batch_samples."),
            "415": error("Another Content-Encoding than those."),
            "429": error("More than limits.samples_per_second; Retry-After says when."),
            "503": error("The hub is behind; come back after Retry-After seconds."),
        },
    }


_PATHS: dict[str, Any] = {
    "/v1/samples": {
        "post": {
            "summary": "Publish samples",
            "description": "A JSON batch is all or nothing. NDJSON, also as a long chunked "
            "upload, is applied as it arrives, line by line, and reported on at the end.",
            "parameters": [_CODING, _KEY],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {"oneOf": [_ref("Batch"), _ref("Sample")]}},
                    "application/msgpack": {"schema": {"oneOf": [_ref("Batch"), _ref("Sample")]}},
                    "application/x-ndjson": {"schema": {"type": "string"}},
                },
            },
            "responses": {
                "200": _json(
                    {"anyOf": [_ref("Applied"), _ref("Report")]}, "Applied; not merely queued."
                ),
                "400": _problem("The body can't be read."),
                "408": _problem("No byte of the body came for too long."),
                "409": _problem("A request with this Idempotency-Key is under way."),
                "413": _problem("Larger than limits.body_bytes, batch_samples or line_bytes."),
                "415": _problem("Another media type or Content-Encoding than those."),
                "422": _problem("Against the data model or a limit: see index, line or errors."),
                "429": _problem(
                    "More than limits.samples_per_second, or than this producer's share of "
                    "limits.idempotency_keys; Retry-After says when, account whose it was."
                ),
                "503": _problem(
                    "The hub is behind, or limits.idempotency_keys are remembered; come back "
                    "after Retry-After seconds."
                ),
            },
        }
    },
    "/v1/publish": {
        "get": {
            "summary": "Publish many times a second, over a WebSocket",
            "description": "Each message is a Message or a Sample: JSON in text, MessagePack in "
            "binary messages. Each gets a Receipt, in the order they came. An error costs its own "
            "message only; one with retry_after may be sent again. Frames that break the protocol "
            "close it with 1002 or 1007 and a reason, messages beyond limits.message_bytes with "
            "1009.",
            "responses": {
                "101": {"description": "A WebSocket."},
                "426": _problem("Not a WebSocket handshake."),
                "503": _problem(
                    "The service is about to end; come back after Retry-After seconds."
                ),
            },
        }
    },
    "/v1/metrics": {
        "post": {
            "summary": "Publish OpenTelemetry metrics (OTLP/HTTP)",
            "description": "Errors are a google.rpc.Status in the encoding of the request.",
            "parameters": [_CODING],
            "requestBody": {"required": True, **_otlp("ExportMetricsServiceRequest")},
            "responses": {
                "200": _otlp(
                    "ExportMetricsServiceResponse; partialSuccess tells what was refused."
                ),
                "400": _otlp("The body can't be read."),
                "408": _otlp("No byte of the body came for too long."),
                "413": _otlp("Larger than limits.body_bytes or batch_samples."),
                "415": {
                    "description": "Another media type (a problem document), or another "
                    "Content-Encoding (a Status).",
                    "content": {
                        "application/problem+json": {"schema": _ref("Problem")},
                        **_otlp("")["content"],
                    },
                },
                "429": _otlp("More than limits.samples_per_second; Retry-After says when."),
                "503": _otlp("The hub is behind; come back after Retry-After seconds."),
            },
        }
    },
    "/api/v1/write": {
        "post": {
            "summary": "Publish by Prometheus remote write, 1.0 or 2.0",
            "description": "A snappy block of protobuf; proto= of the Content-Type says which "
            "version. Good series are applied also where others are refused, which 400 tells: "
            "Prometheus goes on then, and tries again on 5xx.",
            "parameters": [
                _parameter(
                    "Content-Encoding", {"const": "snappy"}, "The block format of snappy.", "header"
                )
            ],
            "requestBody": {
                "required": True,
                "content": {"application/x-protobuf": {"schema": _BINARY}},
            },
            "responses": {
                "204": {
                    "description": "Applied. Version 2.0 is told how much in the headers "
                    "X-Prometheus-Remote-Write-*-Written.",
                },
                "400": _problem(
                    "The body can't be read; or code is partial, and applied and refused say of "
                    "how many samples."
                ),
                "408": _problem("No byte of the body came for too long."),
                "413": _problem("Larger than limits.body_bytes or batch_samples, inflated."),
                "415": _problem("Not application/x-protobuf in snappy."),
                "503": _problem(
                    "The hub is behind, or this is more than limits.samples_per_second; come back "
                    "after Retry-After seconds."
                ),
            },
        }
    },
    "/api/v2/write": {"post": _line_protocol("v2", ("code", "message"))},
    "/write": {"post": _line_protocol("v1", ("error",))},
    "/ping": {
        "get": {
            "summary": "What InfluxDB clients ask whether someone is there",
            "responses": {"204": {"description": "Someone is; X-Influxdb-Version says who."}},
        }
    },
    "/health": {
        "get": {
            "summary": "What InfluxDB clients ask whether all is well",
            "responses": {
                "200": _json(
                    _object(
                        {
                            "name": {"const": "pushsvc"},
                            "status": {"const": "pass"},
                            "version": {"type": "string"},
                        },
                        ["name", "status", "version"],
                    ),
                    "It is.",
                )
            },
        }
    },
    "/v1/stream": {
        "get": {
            "summary": "Watch series live",
            "description": "What comes back is negotiated: a WebSocket with Upgrade, else by "
            "Accept. Each event, line, message or element of `documents` is one Document.",
            "parameters": [
                _SELECT,
                _parameter("since", _CURSOR, "Go on after this cursor."),
                _WINDOW,
                _parameter(
                    "points",
                    {"type": "integer", "minimum": 4},
                    "About so many of each series are enough for the window: its samples are "
                    "merged to points with their lowest and highest. States keep all changes.",
                ),
                _parameter(
                    "max_hz", {"type": "number", "exclusiveMinimum": 0}, "Frames a second at most."
                ),
                _parameter("merge", _MERGE, "What becomes of several samples within one frame."),
                _parameter(
                    "heartbeat",
                    {"type": "string"},
                    "Seconds of quiet that the way here bears: after that many comes a heartbeat, "
                    "within bounds; hello says after how many. A long poll is answered by then.",
                ),
                _parameter("wait", {"type": "string"}, "Long poll: how long to wait for news."),
                _parameter(
                    "Last-Event-ID", _CURSOR, "As EventSource sends it; beats since.", "header"
                ),
            ],
            "responses": {
                "101": {
                    "description": "A WebSocket (subprotocol pushsvc.v1): each text message is a "
                    "Document, and clients may send Watch and Auth. It closes with 1008 where it "
                    "is refused, 1012 when the server goes away, 1013 when it is full, 4001 and "
                    "4003 for tokens that aren't good or may not, 4101 for one that expired."
                },
                "200": {
                    "description": "The stream. Who accepts events alone, as EventSource does, is "
                    "told here of what may mend itself as well: an error, a goaway and retry:.",
                    "content": {
                        "text/event-stream": {"schema": {"type": "string"}},
                        "application/x-ndjson": {"schema": {"type": "string"}},
                        "application/json": {
                            "schema": _object(
                                {"id": _CURSOR, "documents": _array(_ref("Document"))},
                                ["id", "documents"],
                            )
                        },
                    },
                },
                "400": _problem("A parameter can't be read; for a selector, position says where."),
                "406": _problem(
                    "Nothing that is accepted is on offer, or in no content coding that is."
                ),
                "422": _problem("Beyond a limit."),
                "503": _problem("Full, or going away; come back after Retry-After seconds."),
            },
        }
    },
    "/v1/stream/{session}": {
        "post": {
            "summary": "Say to a stream what its transport can't carry",
            "description": "The session is the one of the stream's hello.",
            "parameters": [_parameter("session", {"type": "string"}, "From hello.", "path")],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {"oneOf": [_ref("Watch"), _ref("Auth")]}}
                },
            },
            "responses": {
                "200": _json(_object({"granted": _ref("Granted")}, ["granted"]), "Granted."),
                "400": _problem("Not a message that is known."),
                "404": _problem(
                    "No stream of the process that was asked has this session. Where services "
                    "share a log, another may have it, and the stream goes on as it was: reconnect "
                    "is true, and says to open one for what is wanted now, with the newest cursor."
                ),
                "408": _problem("No byte of the body came for too long."),
                "413": _problem("Larger than limits.message_bytes."),
                "422": _problem("Beyond a limit."),
                "503": _problem("No room for another view."),
            },
        }
    },
    "/v1/series": {
        "get": {
            "summary": "List series",
            "description": "With values=false the answer changes only when a series comes, goes or "
            "is described otherwise. It has an ETag: ask again with If-None-Match, and the answer "
            "is 304 until then.",
            "parameters": [
                _SELECT,
                _LIMIT,
                _parameter(
                    "values",
                    {"type": "boolean", "default": True},
                    "Whether the newest samples are wanted.",
                ),
                _parameter(
                    "If-None-Match",
                    {"type": "string"},
                    "The ETag of an answer with values=false.",
                    "header",
                ),
            ],
            "responses": {
                "200": _json(
                    _object(
                        {
                            "series": _array(
                                {
                                    "allOf": [
                                        _ref("Series"),
                                        _object(
                                            {
                                                "time": {"type": ["integer", "null"]},
                                                "value": _VALUE,
                                                "ended": {
                                                    "type": "integer",
                                                    "description": "Since when it has no value, "
                                                    "if it has ended.",
                                                },
                                            },
                                        ),
                                    ]
                                }
                            ),
                            "total": {
                                "type": "integer",
                                "description": "How many there are, if a limit was given.",
                            },
                        },
                        ["series"],
                    ),
                    "Each with its newest sample by time, unless values is false: then there is no "
                    "time, value or ended.",
                ),
                "304": {"description": "The same as If-None-Match says."},
                "400": _problem("A parameter can't be read."),
            },
        }
    },
    "/v1/label_names": {
        "get": {
            "summary": "Names of labels",
            "parameters": [_SELECT, _SEARCH, _LIMIT],
            "responses": {
                "200": _json(
                    _object(
                        {
                            "labels": {"type": "array", "items": {"type": "string"}},
                            "total": {"type": "integer"},
                        },
                        ["labels", "total"],
                    ),
                    "Those that series have which are selected, __name__ among them; `total` is "
                    "how many there are.",
                ),
                "400": _problem("A parameter can't be read."),
            },
        }
    },
    "/v1/label_values": {
        "get": {
            "summary": "Values of a label",
            "parameters": [
                {
                    **_parameter(
                        "label",
                        {"type": "string"},
                        "The label. __name__ is the name of the metric.",
                    ),
                    "required": True,
                },
                _SELECT,
                _SEARCH,
                _LIMIT,
            ],
            "responses": {
                "200": _json(
                    _object(
                        {
                            "values": {"type": "array", "items": {"type": "string"}},
                            "total": {"type": "integer"},
                        },
                        ["values", "total"],
                    ),
                    "Those that it has in series which are selected; `total` is how many there "
                    "are.",
                ),
                "400": _problem("A parameter can't be read."),
            },
        }
    },
    "/v1/history": {
        "get": {
            "summary": "Past samples",
            "parameters": [
                _SELECT,
                _WINDOW,
                _parameter(
                    "points",
                    {"type": "integer", "minimum": 4},
                    "At most so many per series: lowest and highest are kept, deltas added up.",
                ),
                _parameter(
                    "until",
                    {"type": "number", "exclusiveMinimum": 0},
                    "Unix milliseconds up to which; the window is before them. None: now.",
                ),
            ],
            "responses": {
                "200": _json(
                    _object(
                        {
                            "id": _CURSOR,
                            "series": _array(
                                {
                                    "allOf": [
                                        _ref("Series"),
                                        _object(
                                            {
                                                "points": _array(_ref("Past")),
                                                "ended": {
                                                    "type": "array",
                                                    "items": {"type": "integer"},
                                                    "description": "Times at which it ended: the "
                                                    "line breaks there.",
                                                },
                                            },
                                            ["points"],
                                        ),
                                    ]
                                }
                            ),
                        },
                        ["id", "series"],
                    ),
                    "The id is a cursor: a stream since it goes on where this ends.",
                ),
                "400": _problem("A parameter can't be read."),
                "422": _problem("Too many points for one answer."),
            },
        }
    },
    "/v1/dashboards": {
        "get": {
            "summary": "List dashboards",
            "responses": {
                "200": _json(
                    _object(
                        {
                            "writable": {
                                "type": "boolean",
                                "description": "Whether any can be saved here.",
                            },
                            "dashboards": _array(_ref("DashboardEntry")),
                        },
                        ["writable", "dashboards"],
                    ),
                    "By name; a file that is no dashboard has an error in place of a title.",
                ),
                "400": _problem("A parameter can't be read."),
                "503": _problem("The directory can't be read just now."),
            },
        }
    },
    "/v1/dashboards/schema.json": {
        "get": {
            "summary": "The JSON Schema of a dashboard",
            "responses": {
                "200": {
                    "description": "Draft 2020-12.",
                    "content": {"application/schema+json": {"schema": {"type": "object"}}},
                }
            },
        }
    },
    "/v1/dashboards/{name}": {
        "get": {
            "summary": "Read a dashboard",
            "description": "With If-None-Match and Prefer: wait=25 the answer comes when it has "
            "become another version, or after so many seconds, 30 at the most, and then says "
            "Preference-Applied: wait. Without that header nothing was waited for: ask again "
            "some seconds later.",
            "parameters": [
                _NAME,
                _parameter(
                    "If-None-Match", {"type": "string"}, "The ETag that is known.", "header"
                ),
                _parameter(
                    "Prefer",
                    {"type": "string"},
                    "wait=SECONDS: answer when there is another version (RFC 7240).",
                    "header",
                ),
            ],
            "responses": {
                "200": _json({"type": "object"}, "As /v1/dashboards/schema.json; see ETag."),
                "304": {"description": "It is as If-None-Match says."},
                "400": _problem("A parameter or the name can't be read."),
                "404": _problem("There is none, or its file is broken."),
                "503": _problem("The directory can't be read just now."),
            },
        },
        "put": {
            "summary": "Save a dashboard",
            "description": "For operators: it is what everybody is shown. Services that share a "
            "log have the same: who goes on at another with the ETag is given this version, or a "
            "later one.",
            "parameters": [_NAME, _IF_MATCH, _IF_NONE_MATCH],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
            "responses": {
                "200": _json(_ref("DashboardEntry"), "Replaced."),
                "201": _json(_ref("DashboardEntry"), "Created."),
                "400": _problem("The body, the name or a header can't be read."),
                "403": _problem(
                    "The token is not an operator's, the request comes from a page of another "
                    "origin, the dashboard is provisioned, or nothing is saved here."
                ),
                "404": _problem("It was deleted as it was saved."),
                "408": _problem("No byte of the body came for too long."),
                "412": _problem("It was changed meanwhile: etag and modified are the present's."),
                "413": _problem("Larger than 256 KiB."),
                "415": _problem("Not JSON."),
                "422": _problem("Not a dashboard, or there are too many, or too large together."),
                "428": _problem("Neither If-Match nor If-None-Match."),
                "503": _problem(
                    "It can't be written just now. With the code journal it may be saved yet: sent "
                    "again as it was, it is answered 200 if it has been."
                ),
            },
        },
        "delete": {
            "summary": "Delete a dashboard",
            "parameters": [_NAME, _IF_MATCH, _IF_NONE_MATCH],
            "responses": {
                "204": {"description": "Deleted."},
                "400": _problem("The name or a header can't be read."),
                "403": _problem(
                    "The token is not an operator's, the request comes from a page of another "
                    "origin, the dashboard is provisioned, or nothing is saved here."
                ),
                "404": _problem("There is none."),
                "412": _problem("It was changed meanwhile."),
                "428": _problem("Neither If-Match nor If-None-Match."),
                "503": _problem("It can't be deleted just now."),
            },
        },
    },
    "/v1/subscribers": {
        "get": {
            "summary": "Who is connected, the slowest first",
            "description": "For operators. `behind` counts batches, `stalled` seconds without a "
            "byte taken; `reason` is null for who keeps up.",
            "parameters": [
                _parameter("limit", {"type": "integer", "minimum": 1}, "How many; 100 if not said.")
            ],
            "responses": {
                "200": _json(
                    _object(
                        {
                            "count": {"type": "integer"},
                            "subscribers": _array(
                                _object(
                                    {
                                        "session": {"type": "string"},
                                        "transport": {
                                            "enum": ["websocket", "sse", "ndjson", "longpoll"]
                                        },
                                        "view": _ref("Granted"),
                                        "address": {"type": "string"},
                                        "seconds": {"type": "number"},
                                        "behind": {"type": "integer"},
                                        "stalled": {"type": ["number", "null"]},
                                        "reason": {"type": ["string", "null"]},
                                        "frames": {"type": "integer"},
                                        "replayed": {"type": "integer"},
                                        "late": {"type": "integer"},
                                        "blocked": {"type": "integer"},
                                        "overtaken": {"type": "integer"},
                                    },
                                    ["session", "transport", "view", "behind", "stalled", "reason"],
                                )
                            ),
                        },
                        ["count", "subscribers"],
                    ),
                    "The slowest.",
                ),
                "400": _problem("A parameter can't be read."),
            },
        }
    },
    "/v1/doctor/echo": {
        "get": {
            "summary": "How a request arrived, for the path doctor",
            "description": "A WebSocket handshake opens one that gives back each message, of 1024 "
            "bytes at most, for 660 s. Secrets among the headers are hidden.",
            "parameters": [
                _parameter(
                    "origin",
                    {"type": "string"},
                    "Of a page, to hear in `origin_refused` why it may do nothing here.",
                ),
            ],
            "responses": {
                "200": _json(
                    _object(
                        {
                            "time_ms": {"type": "integer", "description": "Unix milliseconds."},
                            "http_version": {"type": "string"},
                            "peer": {"type": "string", "description": "Who connected to us."},
                            "trusted": {
                                "type": "boolean",
                                "description": "Whether the peer is a trusted proxy.",
                            },
                            "address": {"type": "string", "description": "Who it is taken for."},
                            "scheme": {"enum": ["http", "https"]},
                            "host": {"type": "string"},
                            "reads": {
                                "enum": ["x-forwarded-for", "forwarded"],
                                "description": "What trusted proxies are to write.",
                            },
                            "origin_refused": {
                                "type": "string",
                                "description": "Empty if a page of `origin` may write and log in.",
                            },
                            "epoch": {"type": "string", "description": "Of the journal."},
                            "heartbeat": {"type": "number", "description": "Seconds."},
                            "poll_wait": {"type": "number", "description": "Seconds."},
                            "headers": {
                                "type": "object",
                                "additionalProperties": {"type": "string"},
                            },
                        },
                        ["time_ms", "http_version", "peer", "trusted", "address", "headers"],
                    ),
                    "As it arrived.",
                ),
                "101": {"description": "A WebSocket that echoes."},
                "400": _problem("A parameter is unknown."),
                "503": _problem("Too many examinations; come back after Retry-After seconds."),
            },
        }
    },
    "/v1/doctor/drip": {
        "get": {
            "summary": "An answer that comes a line at a time, for the path doctor",
            "parameters": [
                _parameter(
                    "lines",
                    {"type": "integer", "minimum": 1, "maximum": 1000},
                    "How many; 8 if not said.",
                ),
                _parameter(
                    "interval",
                    {"type": "string"},
                    "The pause between two: 250ms, 20s; 250ms if not said. 660 s in all at most.",
                ),
                _parameter("as", {"enum": ["ndjson", "sse"]}, "How they are framed."),
            ],
            "responses": {
                "200": {
                    "description": "Objects with `n`, from 0, and `time_ms`, when it was sent.",
                    "content": {
                        "application/jsonl": {"schema": {"type": "string"}},
                        "text/event-stream": {"schema": {"type": "string"}},
                    },
                },
                "400": _problem("A parameter can't be read, or the answer would be too long."),
                "503": _problem("Too many examinations; come back after Retry-After seconds."),
            },
        }
    },
    "/v1/doctor/upload": {
        "post": {
            "summary": "When a body arrived, for the path doctor",
            "requestBody": {
                "required": True,
                "description": "Anything, of 4 MiB at most. It is kept nowhere.",
                "content": {"application/octet-stream": {}},
            },
            "responses": {
                "200": _json(
                    _object(
                        {
                            "bytes": {"type": "integer"},
                            "first_ms": {
                                "type": "integer",
                                "description": "Unix milliseconds when its first piece came.",
                            },
                            "last_ms": {"type": "integer", "description": "And its last."},
                        },
                        ["bytes", "first_ms", "last_ms"],
                    ),
                    "All of it came.",
                ),
                "408": _problem("It came to a halt."),
                "413": _problem("More than 4 MiB."),
                "503": _problem("Too many examinations; come back after Retry-After seconds."),
            },
        }
    },
    "/v1/doctor/report": {
        "post": {
            "summary": "Judge what an examination measured, for the path doctor in a browser",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _ref("Measured")}},
            },
            "responses": {
                "200": _json(_ref("Report"), "What was found, and which settings may help."),
                "400": _problem("These are no measurements; `detail` says where."),
                "413": _problem("More than limits.message_bytes."),
                "503": _problem("Too many examinations; come back after Retry-After seconds."),
            },
        }
    },
    "/v1/login": {
        "post": {
            "summary": "Exchange a token for a session cookie",
            "description": "For pages: the cookie is Secure, HttpOnly and SameSite=Strict, lasts "
            "as long as the token and at most auth.session_seconds, and lets nothing be written. "
            "The token comes in the body or as Authorization. A form is answered with 303 to the "
            "page, or with the form again.",
            "requestBody": {
                "content": {
                    "application/json": {
                        "schema": _object({"token": {"type": "string"}}, ["token"], closed=True)
                    },
                    "application/x-www-form-urlencoded": {
                        "schema": _object({"token": {"type": "string"}}, ["token"])
                    },
                },
            },
            "responses": {
                "204": {"description": "Logged in, by Set-Cookie."},
                "303": {"description": "Logged in, to a form."},
                "400": _problem("The body can't be read."),
                "401": _problem("The token isn't good."),
                "403": _problem("The request comes from a page of another origin."),
                "404": _problem("Access isn't controlled here (auth.mode none)."),
                "408": _problem("No byte of the body came for too long."),
                "413": _problem("Larger than 16 KiB."),
                "415": _problem("Neither JSON nor a form."),
                "422": _problem("The token grants more than a cookie has room for."),
            },
        }
    },
    "/v1/logout": {
        "post": {
            "summary": "Delete the session cookie",
            "responses": {
                "204": {"description": "Done, also where there was none."},
                "403": _problem("The request comes from a page of another origin."),
            },
        }
    },
    "/v1/tickets": {
        "post": {
            "summary": "A ticket to open one stream with, as ?ticket=",
            "description": "For EventSource, which can send no header. With the query of the "
            "stream that it is for it opens that one alone, also after a restart or on another pod "
            "(auth.session_secret). Without, it is good once, where it was made, for any request "
            "that reads. A stream of events that it opened may come back with it, by the very same "
            "query, one at a time.",
            "requestBody": {
                "content": {
                    "application/json": {
                        "schema": _object(
                            {
                                "query": {
                                    "type": ["string", "null"],
                                    "description": "As in the URL, without the ticket: "
                                    "select=up&window=15m.",
                                }
                            },
                            closed=True,
                        )
                    }
                },
            },
            "responses": {
                "200": _json(
                    _object(
                        {
                            "ticket": {"type": "string"},
                            "expires_in": {
                                "type": "number",
                                "description": "Seconds until it must have been used.",
                            },
                            "stream_expires_in": {
                                "type": "number",
                                "description": "Seconds for which its stream may come back.",
                            },
                        },
                        ["ticket", "expires_in", "stream_expires_in"],
                    ),
                    "It reads what the token reads, and no more.",
                ),
                "429": _problem("This token has a hundred tickets that are unused."),
                "503": _problem("Too many tickets are out; come back later."),
            },
        }
    },
    "/livez": {
        "get": {
            "summary": "Is the process alive",
            "responses": {
                "200": {"description": "Yes.", "content": {"text/plain": {"schema": {}}}}
            },
        }
    },
    "/readyz": {
        "get": {
            "summary": "May it have traffic",
            "responses": {
                "200": {"description": "Yes.", "content": {"text/plain": {"schema": {}}}},
                "503": {"description": "It drains.", "content": {"text/plain": {"schema": {}}}},
            },
        }
    },
    "/metrics": {
        "get": {
            "summary": "The service's own metrics",
            "responses": {
                "200": {
                    "description": "Prometheus text exposition.",
                    "content": {"text/plain": {"schema": {"type": "string"}}},
                }
            },
        }
    },
    "/openapi.json": {
        "get": {
            "summary": "This document",
            "responses": {"200": _json({"type": "object"}, "OpenAPI 3.1.")},
        }
    },
}

_OPEN: Final = (
    *("/livez", "/readyz", "/openapi.json", "/ping", "/health"),
    *("/v1/login", "/v1/logout", "/v1/dashboards/schema.json"),
)
"""Paths that ask for no token."""
_OPERATORS: Final = ("/metrics", "/v1/subscribers")
_SECURITY_SCHEMES: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key or a JSON Web Token (with sub and exp), as auth.mode is. "
        "None with mode none.",
    },
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "Any user, and the token as password.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "From /v1/login. It reads, and never writes.",
    },
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "From /v1/tickets, for one request, or one stream of events.",
    },
}


def _lock(paths: dict[str, Any]) -> None:
    """Say of each operation what it asks of who calls it."""
    for path, item in paths.items():
        for method, operation in item.items():
            if path in _OPEN:
                operation["security"] = []
                continue
            reads = method == "get" and path != "/v1/publish"
            names = ["bearer", "basic"]
            if reads or path in ("/v1/stream/{session}", "/v1/tickets"):
                names.append("session")
            if reads and path not in _OPERATORS:
                names.append("ticket")
            operation["security"] = [{name: []} for name in names]
            by_operator = path in _OPERATORS or method in ("put", "delete")
            if by_operator and "session" not in names:
                names.append("session")
            what = "is not an operator's" if by_operator else "doesn't grant this"
            for status, text in (
                ("400", "The token can't be read, or there are several."),
                ("401", "No token, or one that isn't good (any more)."),
                ("403", f"The token {what}, or the request comes from a page of another origin."),
            ):
                operation["responses"].setdefault(status, _problem(text))


_lock(_PATHS)

DOCUMENT: Final[bytes] = msgspec.json.encode(
    {
        "openapi": "3.1.0",
        "info": {
            "title": "pushsvc",
            "version": pushsvc.__version__,
            "description": "Real-time push service for dashboards. Answers come in gzip, zstd or "
            "br as Accept-Encoding says, streams of text in gzip or zstd; a GET for which not even "
            "the plain answer is acceptable gets 406.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        # Relative to where this document was found, under whatever path.
        "servers": [{"url": "./"}],
        "paths": _PATHS,
        "components": {
            "schemas": {**_SCHEMAS, **_examination()},
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }
)
