"""Prometheus' own test files of PromQL, read from its source: facts about the language."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

import pytest

from tests import golang
from tests.core.expression.promqltest import run

# Of the stable language. Those of native histograms, of `info` and of experimental syntax are left
# out: there are no native histograms here, and the parser refuses the syntax.
FILES = (
    "aggregators",
    "at_modifier",
    "collision",
    "fill-modifier",
    "functions",
    "histograms",
    "limit",
    "literals",
    "name_label_dropping",
    "operators",
    "range_queries",
    "selectors",
    "staleness",
    "subquery",
    "trig_functions",
    "type_and_unit",
)

# What differs, by file and question, with the reason.
EXCEPTIONS = {
    "functions": {
        "avg_over_time(metric11[1m])": (
            "sums are exact here: it is the value that the file calls the correct one, and says "
            "that Prometheus doesn't get"
        ),
    },
    "limit": {
        'abs(avg(limit_ratio(0.5, http_requests{instance!~"histogram_[0-9]"})) '
        '- avg(limit_ratio(-0.5, http_requests{instance!~"histogram_[0-9]"}))) <= bool stddev('
        'http_requests{instance!~"histogram_[0-9]"})': (
            "which series are taken is by another hash than Prometheus'"
        ),
    },
}


@functools.cache
def prometheus_files() -> Path:
    try:
        source = golang.prometheus_source()
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        said = f"Prometheus' source can't be had: {error}"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    return source / "promql" / "promqltest" / "testdata"


@pytest.mark.parametrize("name", FILES)
def test_cases_of_prometheus(name: str) -> None:
    text = (prometheus_files() / f"{name}.test").read_text()
    wrong = {}
    compared = 0
    for case, reason in run(text):
        compared += not case.native
        if reason is not None:
            wrong[case.text] = f"{name}.test:{case.line}: {case.text}: {reason}"
    assert compared
    listed = EXCEPTIONS.get(name, {})
    assert [said for text, said in wrong.items() if text not in listed] == []
    assert wrong.keys() == listed.keys()
