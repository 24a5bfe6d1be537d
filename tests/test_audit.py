"""What is made of the reports of pip-audit and npm audit."""

from __future__ import annotations

import json

import pytest

from tests.audit import NoAnswer, faults_of_npm, faults_of_pip

FAULT = {"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": [], "description": "..."}
CLEAN = {"name": "trio", "version": "0.30", "vulns": []}
FAULTY = {"name": "h2", "version": "2.0", "vulns": [FAULT, FAULT | {"fix_versions": []}]}
SKIPPED = {"name": "quart", "skip_reason": "Dependency not found on PyPI"}


def pip(*packages: object) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_each_fault_of_a_python_package_is_a_line() -> None:
    assert faults_of_pip(pip(CLEAN)) == []
    told = [
        "h2 2.0: PYSEC-1 (mended in 2.1)",
        "h2 2.0: PYSEC-1 (mended in no release)",
    ]
    assert faults_of_pip(pip(CLEAN, FAULTY)) == told
    assert faults_of_pip(pip(SKIPPED, FAULTY)) == told


def test_each_faulty_package_of_npm_is_a_line() -> None:
    def npm(found: object) -> str:
        return json.dumps({"auditReportVersion": 2, "vulnerabilities": found, "metadata": {}})

    assert faults_of_npm(npm({})) == []
    found = {"vite": {"name": "vite", "severity": "high", "range": "<8.1", "via": []}}
    assert faults_of_npm(npm(found)) == ["vite <8.1: high"]


@pytest.mark.parametrize("report", ["", "No known vulnerabilities found", "[]"])
def test_what_is_no_report_is_no_answer(report: str) -> None:
    for faults_of in (faults_of_pip, faults_of_npm):
        with pytest.raises(NoAnswer):
            faults_of(report)


def test_an_index_that_says_nothing_is_no_answer() -> None:
    with pytest.raises(NoAnswer, match="of 1 of 2 packages the index said nothing"):
        faults_of_pip(pip(CLEAN, SKIPPED))
    with pytest.raises(NoAnswer, match="405"):
        faults_of_npm(json.dumps({"message": "405 Method Not Allowed", "error": {}}))
