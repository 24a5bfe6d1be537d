"""The protobuf messages of Prometheus remote write, versions 1.0 and 2.0.

Described here field by field, with the numbers of the specifications, and not generated: fields
that aren't read (the content of exemplars) are left out and skipped as unknown.
https://prometheus.io/docs/specs/prw/remote_write_spec/ and remote_write_spec_2_0/
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_STRING = FieldDescriptorProto.TYPE_STRING
_DOUBLE = FieldDescriptorProto.TYPE_DOUBLE
_SINT64 = FieldDescriptorProto.TYPE_SINT64
_SINT32 = FieldDescriptorProto.TYPE_SINT32
_UINT64 = FieldDescriptorProto.TYPE_UINT64
_INT64 = FieldDescriptorProto.TYPE_INT64
_UINT32 = FieldDescriptorProto.TYPE_UINT32
_INT32 = FieldDescriptorProto.TYPE_INT32  # an enum has the same encoding
_ONE = FieldDescriptorProto.LABEL_OPTIONAL
_MANY = FieldDescriptorProto.LABEL_REPEATED

_V1 = "pushsvc.remote_write.v1"
_V2 = "pushsvc.remote_write.v2"

_SAMPLE = {"value": (1, _ONE, _DOUBLE), "timestamp": (2, _ONE, _INT64)}
_EXEMPLAR = {"timestamp": (3, _ONE, _INT64)}
_SPAN = {"offset": (1, _ONE, _SINT32), "length": (2, _ONE, _UINT32)}
_HISTOGRAM: dict[str, tuple[int, Any, Any]] = {
    "count_int": (1, _ONE, _UINT64),
    "count_float": (2, _ONE, _DOUBLE),
    "sum": (3, _ONE, _DOUBLE),
    "schema": (4, _ONE, _SINT32),
    "zero_threshold": (5, _ONE, _DOUBLE),
    "zero_count_int": (6, _ONE, _UINT64),
    "zero_count_float": (7, _ONE, _DOUBLE),
    "negative_spans": (8, _MANY, "BucketSpan"),
    "negative_deltas": (9, _MANY, _SINT64),
    "negative_counts": (10, _MANY, _DOUBLE),
    "positive_spans": (11, _MANY, "BucketSpan"),
    "positive_deltas": (12, _MANY, _SINT64),
    "positive_counts": (13, _MANY, _DOUBLE),
    "reset_hint": (14, _ONE, _INT32),
    "timestamp": (15, _ONE, _INT64),
    "custom_values": (16, _MANY, _DOUBLE),
}
_ONEOFS = {
    "count_int": "count",
    "count_float": "count",
    "zero_count_int": "zero_count",
    "zero_count_float": "zero_count",
}

_MESSAGES: dict[str, dict[str, dict[str, tuple[int, Any, Any]]]] = {
    _V1: {
        "Label": {"name": (1, _ONE, _STRING), "value": (2, _ONE, _STRING)},
        "Sample": _SAMPLE,
        "Exemplar": _EXEMPLAR,
        "BucketSpan": _SPAN,
        "Histogram": _HISTOGRAM,
        "TimeSeries": {
            "labels": (1, _MANY, "Label"),
            "samples": (2, _MANY, "Sample"),
            "exemplars": (3, _MANY, "Exemplar"),
            "histograms": (4, _MANY, "Histogram"),
        },
        "MetricMetadata": {
            "type": (1, _ONE, _INT32),
            "metric_family_name": (2, _ONE, _STRING),
            "help": (4, _ONE, _STRING),
            "unit": (5, _ONE, _STRING),
        },
        "WriteRequest": {
            "timeseries": (1, _MANY, "TimeSeries"),
            "metadata": (3, _MANY, "MetricMetadata"),
        },
    },
    _V2: {
        "Sample": {**_SAMPLE, "start_timestamp": (3, _ONE, _INT64)},
        "Exemplar": _EXEMPLAR,
        "BucketSpan": _SPAN,
        "Histogram": {**_HISTOGRAM, "start_timestamp": (17, _ONE, _INT64)},
        "Metadata": {
            "type": (1, _ONE, _INT32),
            "help_ref": (3, _ONE, _UINT32),
            "unit_ref": (4, _ONE, _UINT32),
        },
        "TimeSeries": {
            "labels_refs": (1, _MANY, _UINT32),
            "samples": (2, _MANY, "Sample"),
            "histograms": (3, _MANY, "Histogram"),
            "exemplars": (4, _MANY, "Exemplar"),
            "metadata": (5, _ONE, "Metadata"),
            # Until the third release candidate (Prometheus before 3.8): the start time of all
            # samples.
            "created_timestamp": (6, _ONE, _INT64),
        },
        "Request": {
            "symbols": (4, _MANY, _STRING),
            "timeseries": (5, _MANY, "TimeSeries"),
        },
    },
}


def _build(pool: DescriptorPool, package: str) -> None:
    file = FileDescriptorProto(
        name=package.replace(".", "/") + ".proto", package=package, syntax="proto3"
    )
    for name, fields in _MESSAGES[package].items():
        message = file.message_type.add(name=name)
        for field, (number, label, kind) in fields.items():
            added = message.field.add(name=field, number=number, label=label)
            if field in _ONEOFS:
                choices = [each.name for each in message.oneof_decl]
                if _ONEOFS[field] not in choices:
                    message.oneof_decl.add(name=_ONEOFS[field])
                    choices.append(_ONEOFS[field])
                added.oneof_index = choices.index(_ONEOFS[field])
            if isinstance(kind, str):
                added.type = FieldDescriptorProto.TYPE_MESSAGE
                added.type_name = f".{package}.{kind}"
            else:
                added.type = kind
    pool.Add(file)


_pool = DescriptorPool()
_build(_pool, _V1)
_build(_pool, _V2)

WriteRequest: Any = GetMessageClass(_pool.FindMessageTypeByName(f"{_V1}.WriteRequest"))
"""A request of version 1.0."""
TimeSeries: Any = GetMessageClass(_pool.FindMessageTypeByName(f"{_V1}.TimeSeries"))
"""A series of version 1.0, alone."""
MetricMetadata: Any = GetMessageClass(_pool.FindMessageTypeByName(f"{_V1}.MetricMetadata"))
Request: Any = GetMessageClass(_pool.FindMessageTypeByName(f"{_V2}.Request"))
RequestSeries: Any = GetMessageClass(_pool.FindMessageTypeByName(f"{_V2}.TimeSeries"))
"""A request of version 2.0."""
