"""What an examination measured. Times are seconds, of any one monotonic clock unless said."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class Drip(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the lines of a dripped answer arrived, counted from the request."""

    arrived: tuple[float, ...]
    sent_ms: tuple[int, ...]
    """When the server says it sent them, Unix milliseconds."""
    encoding: str = ""
    """`Content-Encoding`, as it arrived."""
    whole: bool = True
    failure: str = ""
    """Why it isn't whole; empty where it was only stopped."""
    began: float = 0.0
    """Unix seconds of this clock when it was asked for; 0 where that wasn't noted."""


class Quiet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A connection on which nothing was sent for a while."""

    asked: float
    """Seconds of quiet that were tried."""
    lived: float
    """Seconds until its end was seen, or until it was given up."""
    end: Literal["alive", "cut", "silent", "failed"]
    """`silent`: nothing said that it was cut, but what was sent afterwards never came through."""
    failure: str = ""


class Upload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body that was sent a piece at a time."""

    bytes: int
    took: float
    """Seconds over which it was sent; 0 where all was sent at once."""
    spread: float = 0.0
    """Seconds over which it arrived, by the service's clock."""
    status: int = 0
    """Status of the answer; 0 if none came."""
    failure: str = ""


class Busy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A connection that was never quiet."""

    lasted: float
    failure: str = ""
    """What ended it before its time; empty where nothing did."""


class Echo(msgspec.Struct, frozen=True):
    """How a request arrived: the answer of `/v1/doctor/echo`."""

    time_ms: int
    http_version: str
    peer: str = ""
    trusted: bool = False
    address: str = ""
    scheme: str = ""
    host: str = ""
    """Scheme and host under which the service believes it was asked."""
    reads: str = "x-forwarded-for"
    """The forwarding header that is read."""
    origin_refused: str = ""
    """Why a page opened at the URL that is examined may do nothing; empty if it may."""
    epoch: str = ""
    """The epoch of the journal of the process that answered."""
    heartbeat: float = 15.0
    poll_wait: float = 25.0
    """Seconds that a long poll waits by default."""
    headers: dict[str, str] = {}


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it."""

    url: str
    idle: Annotated[float, msgspec.Meta(gt=0)]
    """Seconds of quiet up to which cuts were looked for."""
    seconds: float
    """How long it took."""
    before: float
    """Unix seconds when the echo was asked for, and when it had come."""
    after: float
    echo: Echo
    headers: dict[str, str]
    """Header fields of the echo's answer, names in lower case."""
    front: str
    """The HTTP version at this end: `HTTP/2`."""
    through: dict[str, str]
    """By transport, why it did not get through; empty if it did."""
    drip: Drip
    quiet: dict[str, list[Quiet]]
    """By kind of connection."""
    busy: dict[str, Busy]
    epochs: tuple[str, ...] = ()
    """The epochs of several answers, each over a connection of its own if possible."""
    upload: Upload | None = None
