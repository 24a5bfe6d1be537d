"""What is known of faults in what is installed here: `python -m tests.audit`, or `make audit`.

pip-audit and `npm audit` ask the indexes. Where an index gives no answer nothing is known, which
isn't the same as no faults (pip-audit then ends with 0): that is said, and the status is 2. It is 1
where faults are known.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import msgspec

NPM = Path(__file__).parent.parent / "web" / "npm.py"


class NoAnswer(Exception):
    """An index didn't say whether there are faults; what it did say."""


class _Fault(msgspec.Struct):
    id: str
    fix_versions: list[str] = []


class _Package(msgspec.Struct):
    name: str
    version: str = ""
    vulns: list[_Fault] = []
    skip_reason: str | None = None


class _PipReport(msgspec.Struct):
    dependencies: list[_Package]


class _NpmPackage(msgspec.Struct):
    name: str
    severity: str
    range: str = ""


class _NpmReport(msgspec.Struct):
    vulnerabilities: dict[str, _NpmPackage] | None = None
    message: str = ""


def faults_of_pip(report: str | bytes) -> list[str]:
    """A line for each fault in what `pip-audit --format json` printed. Raises NoAnswer."""
    try:
        packages = msgspec.json.decode(report, type=_PipReport).dependencies
    except msgspec.DecodeError:
        raise NoAnswer("pip-audit printed no report") from None
    skipped = [package for package in packages if package.skip_reason is not None]
    faults = [
        f"{package.name} {package.version}: {fault.id}"
        f" (mended in {', '.join(fault.fix_versions) or 'no release'})"
        for package in packages
        for fault in package.vulns
    ]
    if skipped and not faults:
        raise NoAnswer(
            f"of {len(skipped)} of {len(packages)} packages the index said nothing: "
            f"{skipped[0].skip_reason}"
        )
    return faults


def faults_of_npm(report: str | bytes) -> list[str]:
    """A line for each package in what `npm audit --json` printed. Raises NoAnswer."""
    try:
        told = msgspec.json.decode(report, type=_NpmReport)
    except msgspec.DecodeError:
        raise NoAnswer("npm audit printed no report") from None
    if told.vulnerabilities is None:
        raise NoAnswer(told.message or "npm audit printed no report")
    return [
        f"{package.name} {package.range}: {package.severity}"
        for package in told.vulnerabilities.values()
    ]


def main() -> int:
    if importlib.util.find_spec("pip_audit") is None:
        sys.stderr.write("audit: pip-audit isn't installed here: make audit installs it\n")
        return 2
    pip_audit = ["pip_audit", "--local", "--skip-editable", "--progress-spinner", "off"]
    asked = {
        "Python": ([sys.executable, "-m", *pip_audit, "--format", "json"], faults_of_pip),
        "npm": ([sys.executable, str(NPM), "audit", "--json"], faults_of_npm),
    }
    status = 0
    for name, (command, faults_of) in asked.items():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            faults = faults_of(done.stdout)
        except NoAnswer as why:
            said = "" if done.stdout else done.stderr
            sys.stderr.write(f"{said}audit of {name}'s packages: not known: {why}\n")
            status = status or 2
            continue
        for line in faults:
            sys.stdout.write(f"{line}\n")
            status = 1
        sys.stdout.write(f"audit of {name}'s packages: {len(faults) or 'no'} known faults\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
