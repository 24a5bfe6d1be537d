"""What can go wrong for a client, and how an error answer becomes an exception."""

from __future__ import annotations

import math
import os
import ssl
from collections.abc import Mapping
from typing import Any

import msgspec


class ClientError(Exception):
    """An error that a caller may want to handle. The message is one line for people."""


class Unreachable(ClientError):
    """No connection to that address: because of the name, the port, the network or TLS."""


class Refused(ClientError):
    """The server refused, and would refuse the same request again. `code` is its slug, as in
    problem documents. `status` is the HTTP status, None where there was no HTTP answer."""

    def __init__(self, message: str, code: str = "refused", status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class Busy(ClientError):
    """The server can't accept it now, and asks to try again in `retry_after` seconds. Nothing of it
    was applied, unless the message says that this isn't known."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def reason(error: BaseException) -> str:
    """The system's message on why a connection failed, taken from under the libraries'
    exceptions."""
    inner: BaseException | None = error
    seen: set[int] = set()  # an error taken out of a group is part of its own context
    while inner is not None and id(inner) not in seen:
        seen.add(id(inner))
        if isinstance(inner, BaseExceptionGroup):
            inner = inner.exceptions[0]
        else:
            error, inner = inner, inner.__cause__ or inner.__context__
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):  # it is an OSError too, with error numbers of its own
        return f"TLS: {error.reason or error}"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def answered(status: int, headers: Mapping[Any, Any], body: bytes | None) -> ClientError:
    """A problem document as an error."""
    try:
        problem: dict[str, Any] = msgspec.json.decode(body or b"", type=dict[str, Any])
    except msgspec.DecodeError:
        problem = {}
    detail = str(problem.get("detail") or f"the server answered {status}")
    code = str(problem.get("code") or status)
    if status in (429, 502, 503, 504) or (status == 409 and "retry_after" in problem):
        after = problem.get("retry_after") or headers.get("retry-after") or 1
        try:
            seconds = float(after)
        except ValueError:
            seconds = 1.0
        return Busy(detail, seconds if math.isfinite(seconds) else 1.0)
    return Refused(detail, code, status)
