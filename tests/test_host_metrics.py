"""The demo's metrics: real, well formed, and enough of them."""

from __future__ import annotations

import json
import time

from pushsvc.core.resources.limits import Limits
from pushsvc.demo.host import HostMetrics
from pushsvc.ingest.native import NativeDecoder


def test_readings_are_what_the_api_takes() -> None:
    host = HostMetrics()
    first = host.read()
    assert len(first) >= 30
    time.sleep(0.05)
    second = host.read()
    assert 10 <= len(second) < len(first)  # what changes slowly or costs much isn't due yet
    decoder = NativeDecoder(Limits())
    for samples in (first, second):
        body = json.dumps({"samples": samples}).encode()
        assert decoder.batch(body, 1_700_000_000_000).count == len(samples)
    keys = [(one["name"], tuple(sorted(one["labels"].items()))) for one in first]
    assert len(keys) == len(set(keys))
    assert {one["kind"] for one in first} == {"gauge", "counter", "state"}
    for one in first:
        assert one["help"] or one["kind"] == "state"
        if one["unit"] == "ratio":
            assert 0 <= one["value"] <= 1, one
