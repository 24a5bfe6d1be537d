"""All judgements on what was measured, and the settings that may help."""

from __future__ import annotations

from urllib.parse import urlsplit

from pushsvc.doctor import advice, judge
from pushsvc.doctor.findings import Finding, Report
from pushsvc.doctor.measured import Measured


def diagnose(measured: Measured) -> Report:
    """The report on measurements, whether this program or a page took them."""
    findings = _findings(measured)
    known = advice.known()
    seen = advice.seen_in(measured.headers, known)
    cures = {one.cure for one in findings if one.level in ("problem", "note") and one.cure}
    return Report(
        url=measured.url,
        healthy=not any(one.level == "problem" for one in findings),
        seconds=round(measured.seconds, 1),
        idle=measured.idle,
        findings=tuple(findings),
        seen=tuple(proxy.name for proxy in seen),
        advice=tuple(advice.fitting(cures, seen or known)),
    )


def _findings(measured: Measured) -> list[Finding]:
    echo, busy, idle = measured.echo, measured.busy, measured.idle
    clock = judge.read_clock(measured.before, measured.after, echo.time_ms / 1000)
    findings = [
        judge.judge_transport(kind, why, origin_refused=bool(echo.origin_refused))
        for kind, why in measured.through.items()
    ]
    findings += judge.judge_drip(measured.drip, clock)
    findings += judge.judge_upload(measured.upload)
    findings += judge.judge_epochs(measured.epochs)
    for kind, tried in measured.quiet.items():
        if tried:
            total = busy[kind].lasted if kind in busy and busy[kind].failure else None
            polls = 0.0 if kind == "WebSocket" else echo.poll_wait
            findings += judge.judge_quiet(kind, tried, echo.heartbeat, total, polls)
    findings += [judge.judge_busy(kind, one, idle) for kind, one in busy.items()]
    findings += judge.judge_echo(echo, measured.front, urlsplit(measured.url).scheme)
    findings.append(judge.judge_skew(clock))
    return findings
