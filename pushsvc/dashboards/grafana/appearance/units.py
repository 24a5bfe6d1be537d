"""Converts Grafana's unit IDs to our units (`web/src/format/units.ts`)."""

from __future__ import annotations

from typing import Final

_UNITS: Final = {
    "none": "",
    "short": "",
    "locale": "",
    "sci": "",
    "percent": "percent",
    "percentunit": "ratio",
    # Data. Units that Grafana scales by 1,000 are scaled by 1,024 here.
    "bytes": "bytes",
    "decbytes": "bytes",
    "bits": "bits",
    "decbits": "bits",
    "Bps": "bytes_per_second",
    "binBps": "bytes_per_second",
    "bps": "bits_per_second",
    "binbps": "bits_per_second",
    # Time.
    "s": "seconds",
    "dtdurations": "seconds",
    "clocks": "seconds",
    "ms": "milliseconds",
    "dtdurationms": "milliseconds",
    "clockms": "milliseconds",
    "hertz": "hertz",
    "rothz": "hertz",
    "rotrpm": "rpm",
    # Counts per second.
    "pps": "packets/s",
    "cps": "counts/s",
    "ops": "ops/s",
    "reqps": "requests/s",
    "rps": "reads/s",
    "wps": "writes/s",
    "iops": "io/s",
    "eps": "events/s",
    "mps": "messages/s",
    "recps": "records/s",
    "rowsps": "rows/s",
    # Others.
    "celsius": "celsius",
    "fahrenheit": "°F",
    "kelvin": "K",
    "volt": "volts",
    "amp": "amperes",
    "watt": "watts",
    "joule": "joules",
    "lengthm": "meters",
    "massg": "grams",
    "pressurehpa": "hPa",
    "humidity": "percent",
    "dB": "dB",
    "ppm": "ppm",
}
_FACTORS: Final = {
    "deckbytes": "kB",
    "kbytes": "KiB",
    "mbytes": "MiB",
    "gbytes": "GiB",
    "µs": "µs",
    "ns": "ns",
    "m": "min",
    "h": "h",
    "d": "d",
    "kwatt": "kW",
    "kwatth": "kWh",
}
"""Units whose values are multiples of a base unit: shown after the unchanged number."""


def unit_of(grafana: str) -> str | None:
    """Our unit, or None if there is no counterpart."""
    known = _UNITS.get(grafana, _FACTORS.get(grafana))
    if known is not None:
        return known
    if grafana.startswith("suffix:"):
        return grafana.removeprefix("suffix:").strip()[:64]
    return None
