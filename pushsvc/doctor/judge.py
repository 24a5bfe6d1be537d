"""Judgements: measurements in, findings out. Times are seconds, of any one monotonic clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pushsvc.doctor.findings import Finding
from pushsvc.doctor.measured import Busy, Drip, Echo, Quiet

_BUFFERED_SHARE = 0.5
"""Lines that arrive in less than this share of the time they were sent in were held back."""
_SKEW_NOTED = 2.0


def judge_drip(drip: Drip) -> list[Finding]:
    """Whether the path holds a stream back, and whether it compresses it."""
    found = []
    if drip.encoding not in ("", "identity"):
        found.append(
            Finding(
                "compressed",
                "problem",
                f"The path compresses streams ({drip.encoding}) though they say no-transform; "
                "a compressor holds data back until it has enough of it.",
                "compression",
            )
        )
    if len(drip.arrived) < 2:
        why = drip.failure or "it ended after less than two lines"
        return [*found, Finding("drip_broken", "problem", f"A slow answer broke: {why}.", "total")]
    sent = (drip.sent_ms[-1] - drip.sent_ms[0]) / 1000
    spread = drip.arrived[-1] - drip.arrived[0]
    first = drip.arrived[0]
    if sent > 0 and spread < sent * _BUFFERED_SHARE:
        text = (
            f"Something buffers: what was sent over {sent:.1f} s arrived within {spread:.1f} s, "
            f"the first byte after {first:.1f} s."
        )
        return [*found, Finding("buffered", "problem", text, "buffering")]
    text = (
        f"Nothing buffers: first byte after {first * 1000:.0f} ms, "
        f"{sent:.1f} s of lines arrived over {spread:.1f} s."
    )
    return [*found, Finding("unbuffered", "ok", text)]


def judge_quiet(
    kind: str, tried: Sequence[Quiet], heartbeat: float, total: float | None = None
) -> list[Finding]:
    """After how much quiet connections of a kind are cut, and whether heartbeats prevent it.

    `total` is how long a busy one lived, if it was ended: then the end of a quiet one at about the
    same age says nothing about quiet.
    """
    known = [one for one in tried if one.end != "failed"]
    if not known:
        why = tried[0].failure if tried else "it was not tried"
        return [
            Finding(_code(kind, "idle"), "unknown", f"{kind}: idle cuts could not be told: {why}.")
        ]
    dead = [one for one in known if one.end != "alive"]
    longest = max((one.asked for one in known if one.end == "alive"), default=0.0)
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
    """Whether a connection that is never quiet is ended all the same."""
    if not busy.failure:
        text = f"{kind}: a busy one lived for {busy.lasted:.0f} s."
        return Finding(_code(kind, "busy"), "ok", text)
    text = (
        f"{kind}: opened, then died after {busy.lasted:.1f} of {wanted:g} s though it was never "
        f"quiet ({busy.failure}): a limit on a connection's whole time, or something that breaks "
        "it."
    )
    return Finding(_code(kind, "busy"), "problem", text, "total")


def judge_transport(kind: str, failure: str) -> Finding:
    """Whether a transport gets through."""
    if not failure:
        return Finding(_code(kind, "through"), "ok", f"{kind}: gets through.")
    cure: Literal["upgrade", "buffering"] = "upgrade" if kind == "WebSocket" else "buffering"
    return Finding(
        _code(kind, "through"), "problem", f"{kind}: does not get through: {failure}.", cure
    )


def judge_echo(echo: Echo, front: str, scheme: str) -> list[Finding]:
    """What becomes of HTTP versions, addresses and scheme, from the service's account of them."""
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
    forwarded = [
        name for name in ("forwarded", "x-forwarded-for", "x-real-ip") if echo.headers.get(name)
    ]
    if forwarded and not echo.trusted:
        text = (
            f"{', '.join(forwarded)} arrives from {echo.peer}, which is not a trusted proxy: "
            "everyone counts as that one address. Trust it in the service's configuration "
            "(web.trusted_proxies) if it is yours."
        )
        found.append(Finding("forwarding", "problem", text, "forwarding"))
    elif forwarded:
        found.append(
            Finding("forwarding", "ok", f"The service takes this client for {echo.address}.")
        )
    else:
        text = (
            f"No forwarding header arrives; the service sees {echo.peer}. Right if that is this "
            "machine, else a proxy hides its clients: from here this can't be told."
        )
        found.append(Finding("forwarding", "unknown", text, "forwarding"))
    if echo.scheme not in ("", scheme):
        text = (
            f"The service believes {echo.scheme} though this end speaks {scheme}: "
            "X-Forwarded-Proto is missing or not trusted. Logins and origin checks need it."
        )
        found.append(Finding("scheme", "problem", text, "forwarding"))
    return found


def judge_skew(before: float, after: float, server: float) -> Finding:
    """How far the server's clock is ahead; all three are Unix seconds, of this and that clock.

    The answer was made somewhere between `before` and `after`, so half of that is unsure.
    """
    skew = server - (before + after) / 2
    unsure = (after - before) / 2
    text = (
        f"The service's clock is {round(skew, 2) + 0.0:+.2f} s from this one's (± {unsure:.2f} s)."
    )
    return Finding("clock", "note" if abs(skew) - unsure > _SKEW_NOTED else "ok", text)


def _code(kind: str, what: str) -> str:
    """`http_stream_idle` for an "HTTP stream"."""
    return f"{kind.lower().replace(' ', '_')}_{what}"
