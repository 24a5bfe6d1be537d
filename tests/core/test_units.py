from __future__ import annotations

import pytest

from pushsvc.core.model.series import Value
from pushsvc.core.model.units import format_value


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "", "0"),
        (0.42, "", "0.42"),
        (1234.0, "", "1.23 k"),
        (-1234.0, "", "-1.23 k"),
        (2.5e9, "hertz", "2.5 GHz"),
        (0.125, "ratio", "12.5 %"),
        (1536.0, "bytes", "1.5 KiB"),
        (3.5 * 1024**3, "bytes", "3.5 GiB"),
        (1024.0, "bytes_per_second", "1 KiB/s"),
        (12.5, "percent", "12.5 %"),
        (1234.0, "per_second", "1.23 k/s"),
        (0.5, "per_second", "0.5 /s"),
        (2.5e6, "packets_per_second", "2.5 Mpackets/s"),
        (0.0032, "seconds", "3.2 ms"),
        (4.5, "seconds", "4.5 s"),
        (3720.0, "seconds", "1 h 2 min"),
        (90000.0, "seconds", "1 d 1 h"),
        (41.5, "celsius", "41.5 °C"),
        ("idle", "", "idle"),
        (True, "", "true"),
        (None, "", "null"),
    ],
)
def test_values_read_well(value: Value, unit: str, text: str) -> None:
    assert format_value(value, unit) == text
