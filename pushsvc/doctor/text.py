"""A report as text, for terminals of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from pushsvc.doctor.findings import Report
from pushsvc.printable import printable

_MARKS = {"ok": "ok", "problem": "PROBLEM", "note": "note", "unknown": "unknown"}
_WIDTH = 80


def as_text(report: Report) -> str:
    """The report, with problems first."""
    return "\n".join(map(printable, _lines(report))) + "\n"


def _lines(report: Report) -> Iterator[str]:
    order = list(_MARKS)
    order.insert(0, order.pop(order.index("problem")))
    for finding in sorted(report.findings, key=lambda one: order.index(one.level)):
        yield from _wrapped(f"{_MARKS[finding.level]:<9}", finding.text)
    yield ""
    if report.seen:
        yield from _wrapped("", f"On the path, by its headers: {', '.join(report.seen)}.")
    else:
        yield from _wrapped(
            "", "No proxy names itself in headers. That doesn't mean that there is none."
        )
    if report.advice:
        yield ""
        yield "Settings that may help:"
    for proxy in report.advice:
        yield f"  {proxy.name}"
        for setting in proxy.settings:
            yield from _wrapped("    ", f"{setting.cure}: {setting.default}.")
            yield from _wrapped("      ", f"Set {setting.set}")
            if setting.note:
                yield from _wrapped("      ", f"({setting.note})")
            yield f"      {setting.source}"
    yield ""
    verdict = "Healthy" if report.healthy else "Not healthy"
    yield from _wrapped(
        "",
        f"{verdict}, examined in {report.seconds:.0f} s. Cuts after more than "
        f"{report.idle:g} s were not looked for.",
    )


def _wrapped(lead: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )
