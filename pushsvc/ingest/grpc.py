"""gRPC's parts of a request and its answer, beside HTTP/2: bytes in, a message out, and back.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import base64
import re
from enum import IntEnum
from typing import Final
from urllib.parse import quote

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from pushsvc.errors import Malformed, Problem, TooLarge

ENCODINGS: Final = ("identity", "gzip", "deflate", "zstd")
"""Of messages, as `grpc-encoding` and `grpc-accept-encoding` name them."""
_PREFIX: Final = 5
"""Bytes before a message: whether it is compressed, and its length."""
_TIMEOUT: Final = re.compile(r"(\d{1,8})([HMSmun])", re.ASCII)
_SECONDS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_MOST_TEXT: Final = 1000
"""Characters of a message about an error: clients bound the size of trailers."""


class Code(IntEnum):
    """The statuses that are answered (google.rpc.Code)."""

    OK = 0
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


_CODES: Final = {
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    408: Code.UNAVAILABLE,
    421: Code.PERMISSION_DENIED,
    429: Code.RESOURCE_EXHAUSTED,
    500: Code.INTERNAL,
    501: Code.UNIMPLEMENTED,
    503: Code.UNAVAILABLE,
}


def code_of(problem: Problem) -> Code:
    """The status for a problem: whoever exports by OTLP sends again after UNAVAILABLE, and after
    RESOURCE_EXHAUSTED where it is told when, and drops what an INVALID_ARGUMENT is about. So what
    is too large is that, and not RESOURCE_EXHAUSTED, as some SDKs try that again in any case."""
    return _CODES.get(problem.status, Code.INVALID_ARGUMENT)


class OneMessage:
    """The one message of a unary request, in parts as they come."""

    def __init__(self, most: int) -> None:
        """It may be `most` bytes long."""
        self._most = most
        self._data = bytearray()
        self._end: int | None = None  # once it is known

    def feed(self, data: bytes) -> None:
        """Take the next part. Raises Malformed, TooLarge."""
        self._data += data
        if self._end is None and len(self._data) >= _PREFIX:
            if self._data[0] > 1:
                raise Malformed("grpc_message", "the first byte of a message is 0 or 1")
            size = int.from_bytes(self._data[1:_PREFIX], "big")
            if size > self._most:
                raise TooLarge(
                    "body",
                    f"the message is {size} bytes, and {self._most} may be (limits.body_bytes)",
                    limit="body_bytes",
                )
            self._end = _PREFIX + size
        if self._end is not None and len(self._data) > self._end:
            raise Malformed("grpc_message", "there is more than one message")

    def finish(self) -> tuple[bytes, bool]:
        """The message, and whether it is compressed. Raises Malformed where it isn't whole."""
        if self._end is None or len(self._data) < self._end:
            raise Malformed("grpc_message", "the request ends before its message does")
        return bytes(self._data[_PREFIX:]), self._data[0] == 1


def message(data: bytes) -> bytes:
    """A message, not compressed, as it stands in an answer."""
    return b"\0" + len(data).to_bytes(4, "big") + data


def seconds_of(timeout: str) -> float | None:
    """What `grpc-timeout` says; None where that can't be read."""
    found = _TIMEOUT.fullmatch(timeout)
    return None if found is None else int(found[1]) * _SECONDS[found[2]]


def trailers(
    code: Code, text: str = "", retry_after: float | None = None
) -> list[tuple[bytes, bytes]]:
    """The fields that end an answer. With `retry_after`, the client is told in how many seconds it
    may send the same again: in the status's details, as most look for it, and in a field of its
    own, as the SDK for Python does."""
    text = text[:_MOST_TEXT]
    fields = [(b"grpc-status", b"%d" % code)]
    if text:
        # Percent-encoded, but for printable ASCII (the protocol's Status-Message).
        printable = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
        fields.append((b"grpc-message", quote(text, safe=printable).encode()))
    if retry_after is not None:
        milliseconds = round(retry_after * 1000)
        delay = Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)
        retry = RetryInfo(retry_delay=delay)
        detail = Any()
        detail.Pack(retry)
        status = Status(code=code, message=text, details=[detail])
        fields.append((b"grpc-status-details-bin", _binary(status.SerializeToString())))
        fields.append((b"google.rpc.retryinfo-bin", _binary(retry.SerializeToString())))
    return fields


def _binary(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")
