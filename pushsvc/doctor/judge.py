"""Judgements: measurements in, findings out. Times are seconds, of any one monotonic clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pushsvc.doctor.findings import Cure, Finding
from pushsvc.doctor.measured import Busy, Drip, Echo, Quiet, Upload

_BUFFERED_SHARE = 0.5
"""Lines that arrive in less than this share of the time they were sent in were held back."""
_SKEW_NOTED = 2.0
_LATE = 0.1
"""Seconds by which a line may be late without anybody noticing."""
_FORWARDING: Final = ("forwarded", "x-forwarded-for", "x-real-ip")


class Clock(NamedTuple):
    """How far the service's clock is ahead of this one, and how unsure that is, in seconds."""

    ahead: float
    unsure: float


def judge_drip(drip: Drip, clock: Clock | None = None) -> list[Finding]:
    """Whether the path holds a stream back, as a whole or line by line, and whether it compresses
    it.

    Without a `clock` it can't be known whether all lines are late by the same time.
    """
    compressed = drip.encoding not in ("", "identity")
    if len(drip.arrived) < 2:
        why = drip.failure or "it ended after less than two lines"
        return [Finding("drip_broken", "problem", f"A slow answer broke: {why}.", "total")]
    sent = (drip.sent_ms[-1] - drip.sent_ms[0]) / 1000
    spread = drip.arrived[-1] - drip.arrived[0]
    first = drip.arrived[0]
    held = sent > 0 and spread < sent * _BUFFERED_SHARE
    found = []
    if compressed and held:
        text = (
            f"The path compresses streams ({drip.encoding}) though they say no-transform, and "
            "holds data back until it has enough of it."
        )
        found.append(Finding("compressed", "problem", text, "compression"))
    elif compressed:
        text = f"The path compresses streams ({drip.encoding}), and holds nothing back by it."
        found.append(Finding("compressed", "ok", text))
    if held:
        text = (
            f"Something buffers: what was sent over {sent:.1f} s arrived within {spread:.1f} s, "
            f"the first byte after {first:.1f} s."
        )
        return [*found, Finding("buffered", "problem", text, "buffering")]
    late = _lateness(drip, clock)
    if late is not None and late[0] > _LATE:
        usual, most = late
        text = (
            f"Each line of a stream is late, by {usual * 1000:.0f} ms as a rule and "
            f"{most * 1000:.0f} ms at the most: something holds each back for a moment, to send "
            "more at a time."
        )
        return [*found, Finding("delayed", "problem", text, "delay")]
    told = "" if late is None else f", none more than {max(late[1], 0.001) * 1000:.0f} ms late"
    text = (
        f"Nothing buffers: first byte after {first * 1000:.0f} ms, "
        f"{sent:.1f} s of lines arrived over {spread:.1f} s{told}."
    )
    return [*found, Finding("unbuffered", "ok", text)]


def _lateness(drip: Drip, clock: Clock | None) -> tuple[float, float] | None:
    """The median and the largest delay of lines beyond the transit time; None if it isn't known.

    The half round trip that is subtracted covers the transit and the error of the clock together:
    what remains was spent waiting.
    """
    if clock is None or not drip.began:
        return None
    late = sorted(
        drip.began + arrived - (sent / 1000 - clock.ahead) - clock.unsure
        for arrived, sent in zip(drip.arrived, drip.sent_ms, strict=False)
    )
    return max(0.0, late[len(late) // 2]), max(0.0, late[-1])


def judge_upload(upload: Upload | None) -> list[Finding]:
    """Whether a large body gets through, and whether it arrives while it is sent."""
    if upload is None:
        return []
    size = f"{upload.bytes / 1e6:.1f} MB"
    if upload.status == 413:
        text = (
            f"The path takes no upload of {size} (status 413): large batches are refused, and an "
            "NDJSON upload that lasts is cut when it has grown to its limit."
        )
        return [Finding("upload", "problem", text, "upload")]
    if upload.failure or upload.status != 200:
        why = upload.failure or f"status {upload.status}"
        return [Finding("upload", "problem", f"An upload of {size} broke: {why}.", "upload")]
    if upload.took and upload.spread < upload.took * _BUFFERED_SHARE:
        text = (
            f"The path holds uploads back until they end: what was sent over {upload.took:.1f} s "
            f"arrived within {upload.spread:.1f} s. Samples of an NDJSON upload that lasts would "
            "never arrive; those of requests that end do."
        )
        return [Finding("upload", "note", text, "upload")]
    how = ", and as it is sent" if upload.took else ""
    return [Finding("upload", "ok", f"An upload of {size} gets through{how}.")]


def judge_epochs(epochs: Sequence[str]) -> list[Finding]:
    """Whether one service answers, or several that share no journal."""
    several = len({one for one in epochs if one})
    if several < 2:
        return []
    text = (
        f"{several} services answer at this address, and they share no journal: each has the "
        "samples of its own producers only, and a client that meets another one begins anew with "
        "a gap. Have one serve, or each client stay with one."
    )
    return [Finding("epochs", "problem", text)]


def judge_quiet(
    kind: str,
    tried: Sequence[Quiet],
    heartbeat: float,
    total: float | None = None,
    poll_wait: float = 0.0,
) -> list[Finding]:
    """After how much quiet connections of this kind are cut, and whether heartbeats prevent it.

    `total` is how long a busy connection lived, if it was ended: if a quiet one ends at about the
    same age, that says nothing about quiet. `poll_wait` is for how long this kind may be quiet
    whatever the heartbeat is: a long poll sends nothing until there is news.
    """
    known = [one for one in tried if one.end != "failed"]
    if not known:
        why = tried[0].failure if tried else "it was not tried"
        return [
            Finding(_code(kind, "idle"), "unknown", f"{kind}: idle cuts could not be told: {why}.")
        ]
    dead = [one for one in known if one.end != "alive"]
    longest = max((one.asked for one in known if one.end == "alive"), default=0.0)
    if not dead and longest < poll_wait:
        text = (
            f"{kind}: quiet for {longest:g} s is survived. A long poll waits {poll_wait:g} s, and "
            "that was not tried."
        )
        return [Finding(_code(kind, "idle"), "note", text)]
    if not dead:
        text = f"{kind}: quiet for {longest:g} s is survived. Longer was not tried."
        return [Finding(_code(kind, "idle"), "ok", text)]
    if total is not None and all(one.lived > total * 0.8 for one in dead):
        text = f"{kind}: all end after {total:.1f} s, so what longer quiet does could not be told."
        return [Finding(_code(kind, "idle"), "unknown", text)]
    cuts = [one.lived for one in dead if one.end == "cut"]
    if cuts:
        limit = min(cuts)
        when = f"after {limit:.1f} s of quiet"
    else:
        limit = min(one.asked for one in dead)
        when = f"silently, between {longest:g} and {limit:g} s of quiet"
    needed = limit / 3 if cuts else max(longest, limit / 3) / 3
    if heartbeat * 1.5 < limit <= poll_wait:
        text = (
            f"{kind}: cut {when}, and a long poll waits {poll_wait:g} s. Raise the path's idle "
            f"timeout above {poll_wait * 2:g} s, or have polls wait less (stream.poll_wait)."
        )
        return [Finding(_code(kind, "idle"), "problem", text, "idle")]
    if heartbeat * 1.5 < limit:
        text = (
            f"{kind}: cut {when}. The service's heartbeat of {heartbeat:g} s prevents it, with "
            f"little to spare unless it is at most {needed:.0f} s."
        )
        return [Finding(_code(kind, "idle"), "note", text, "idle")]
    text = (
        f"{kind}: cut {when}, and the service's heartbeat is {heartbeat:g} s. Raise the path's "
        f"idle timeout above {heartbeat * 3:g} s, or have a heartbeat of {needed:.1f} s or less."
    )
    return [Finding(_code(kind, "idle"), "problem", text, "idle")]


def judge_busy(kind: str, busy: Busy, wanted: float) -> Finding:
    """Whether a connection that is never quiet is ended anyway."""
    if not busy.failure:
        text = f"{kind}: a busy one lived for {busy.lasted:.0f} s."
        return Finding(_code(kind, "busy"), "ok", text)
    text = (
        f"{kind}: opened, then died after {busy.lasted:.1f} of {wanted:g} s though it was never "
        f"quiet ({busy.failure}): a limit on a connection's whole time, or something that breaks "
        "it."
    )
    return Finding(_code(kind, "busy"), "problem", text, "total")


def judge_transport(kind: str, failure: str, *, origin_refused: bool = False) -> Finding:
    """Whether a transport gets through. A WebSocket doesn't where the page's origin is refused."""
    if not failure:
        return Finding(_code(kind, "through"), "ok", f"{kind}: gets through.")
    cure: Cure = "upgrade" if kind == "WebSocket" else "buffering"
    if kind == "WebSocket" and origin_refused:
        cure = "forwarding"
    return Finding(
        _code(kind, "through"), "problem", f"{kind}: does not get through: {failure}.", cure
    )


def judge_echo(echo: Echo, front: str, scheme: str) -> list[Finding]:
    """Which HTTP version, client address and scheme the service sees."""
    behind = echo.http_version
    found = [
        Finding("http_version", "ok", f"{front} at this end, HTTP/{behind} at the service.")
        if behind != "1.0"
        else Finding(
            "http_version",
            "problem",
            "The path speaks HTTP/1.0 to the service: no WebSocket, no chunked streams.",
            "upgrade",
        )
    ]
    found.append(_judge_address(echo))
    if echo.origin_refused:
        text = (
            "Pages opened at this address may log nobody in, open no WebSocket and change nothing: "
            f"{echo.origin_refused}."
        )
        # If the proxy sends these headers but isn't trusted, it needs no advice.
        cure: Cure | None = "forwarding" if echo.trusted or not _told(echo) else None
        found.append(Finding("origin", "problem", text, cure))
    elif echo.scheme not in ("", scheme):
        text = (
            f"The service believes {echo.scheme} though this end speaks {scheme}: "
            "X-Forwarded-Proto is missing or not trusted. Logins and origin checks need it."
        )
        cure = None if echo.headers.get("x-forwarded-proto") else "forwarding"
        found.append(Finding("scheme", "problem", text, cure))
    return found


def _told(echo: Echo) -> bool:
    """Whether a proxy passes on the host or the scheme of the request."""
    return any(echo.headers.get(f"x-forwarded-{what}") for what in ("host", "proto"))


def _judge_address(echo: Echo) -> Finding:
    """Whether the service sees its clients' addresses."""
    sent = [name for name in _FORWARDING if echo.headers.get(name)]
    if sent and not echo.trusted:
        text = (
            f"{', '.join(sent)} arrives from {_called(echo.peer)}, which is not a trusted proxy: "
            "everyone counts as that one address. Trust it in the service's configuration "
            f'(web.trusted_proxies = "{echo.peer or "unix"}") if it is yours.'
        )
        return Finding("forwarding", "problem", text)
    named = echo.address != echo.peer or echo.address in echo.headers.get(echo.reads, "")
    if echo.reads in sent and named:
        return Finding("forwarding", "ok", f"The service takes this client for {echo.address}.")
    if echo.reads in sent:
        text = (
            f"{echo.reads} arrives, and names nobody whom the service can tell: everyone counts as "
            f"{_called(echo.address)}."
        )
        return Finding("forwarding", "problem", text, "forwarding")
    if sent:
        text = (
            f"{', '.join(sent)} arrives, and the service reads {echo.reads} "
            f"(web.forwarded_header): everyone counts as {_called(echo.address)}."
        )
        return Finding("forwarding", "problem", text, "forwarding")
    text = (
        f"No forwarding header arrives; the service sees {_called(echo.peer)}. Right if that is "
        "this machine, else a proxy hides its clients: from here this can't be told."
    )
    return Finding("forwarding", "unknown", text, "forwarding")


def _called(address: str) -> str:
    return address if address not in ("", "unix") else "a Unix socket"


def read_clock(before: float, after: float, server: float) -> Clock:
    """The server's clock. `before` and `after` are Unix seconds of this clock, `server` of the
    server's.

    The answer was made at some time between `before` and `after`, so half of the difference is
    unsure.
    """
    return Clock(server - (before + after) / 2, (after - before) / 2)


def judge_skew(clock: Clock) -> Finding:
    """How far the server's clock is ahead."""
    text = (
        f"The service's clock is {round(clock.ahead, 2) + 0.0:+.2f} s from this one's "
        f"(± {clock.unsure:.2f} s)."
    )
    noted = abs(clock.ahead) - clock.unsure > _SKEW_NOTED
    return Finding("clock", "note" if noted else "ok", text)


def _code(kind: str, what: str) -> str:
    """For example `http_stream_idle` for an "HTTP stream"."""
    return f"{kind.lower().replace(' ', '_')}_{what}"
