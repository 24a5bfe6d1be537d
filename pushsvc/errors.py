"""What can go wrong, split by whose fault it is.

Every class knows the HTTP status of an RFC 9457 problem document and the WebSocket close code it
turns into. `code` is a stable slug that clients may switch on; `detail` is a sentence for people;
`extra` holds the members that say where or which limit (`index`, `line`, `position`, `limit`, ...).
"""

from __future__ import annotations

from typing import Any, ClassVar


class Problem(Exception):
    """An expected failure that is answered, never logged as a crash."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    close_code: ClassVar[int] = 1011

    def __init__(self, code: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.extra = extra

    def document(self) -> dict[str, Any]:
        """The body of an `application/problem+json` answer (RFC 9457 section 3)."""
        return {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.extra,
        }


# -- the client's fault: the same request will fail again ------------------------------------------


class Malformed(Problem):
    """The request can't be read: broken JSON, an unknown field, a selector that doesn't parse."""

    status = 400
    title = "Malformed request"
    close_code = 1008


class Unauthorized(Problem):
    """No token, or one that isn't good; with another one the same request may succeed."""

    status = 401
    title = "Unauthorized"
    close_code = 4001


class Forbidden(Problem):
    """The client is known, but may not do this."""

    status = 403
    title = "Forbidden"
    close_code = 4003


class Misdirected(Problem):
    """A name under which this service doesn't serve (RFC 9110 section 15.5.20)."""

    status = 421
    title = "Misdirected request"
    close_code = 1008


class Unknown(Problem):
    """What was named doesn't exist, or no longer does: a path, a session."""

    status = 404
    title = "Not found"
    close_code = 1008


class NotAcceptable(Problem):
    """None of the representations the client accepts is on offer (RFC 9110 section 15.5.7)."""

    status = 406
    title = "Not acceptable"
    close_code = 1008


class TooLarge(Problem):
    """Bytes or samples beyond a limit; `limit` says which and how much."""

    status = 413
    title = "Content too large"
    close_code = 1009


class UnsupportedMedia(Problem):
    """A body of a type that no ingest format here reads (RFC 9110 section 15.5.16)."""

    status = 415
    title = "Unsupported media type"
    close_code = 1008


class Conflict(Problem):
    """Refused while another request is being handled (RFC 9110 section 15.5.10)."""

    status = 409
    title = "Conflict"
    close_code = 1008


class PreconditionFailed(Problem):
    """The present version isn't the one that the request expects (RFC 9110 section 15.5.13); `etag`
    is the present version, null if there is none."""

    status = 412
    title = "Precondition failed"
    close_code = 1008


class PreconditionRequired(Problem):
    """The request must say which version it is about (RFC 6585 section 3)."""

    status = 428
    title = "Precondition required"
    close_code = 1008


class Rejected(Problem):
    """Readable, but against the data model or a limit; `index` or `line` says where."""

    status = 422
    title = "Unprocessable content"
    close_code = 1008


class TooMany(Problem):
    """One client asks for more than its share."""

    status = 429
    title = "Too many requests"
    close_code = 1008


# -- the service's fault: the same request may succeed later ---------------------------------------


class Overloaded(Problem):
    """The service is full or behind; come back in `retry_after` seconds."""

    status = 503
    title = "Service unavailable"
    close_code = 1013

    def __init__(self, code: str, detail: str, *, retry_after: float, **extra: Any) -> None:
        super().__init__(code, detail, retry_after=retry_after, **extra)
        self.retry_after = retry_after
