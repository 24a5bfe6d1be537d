"""Programs that exist only as packages of the system."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess

import pytest

_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
_APT = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120")


def program(name: str, package: str) -> str:
    """The path of a program; its package is installed where that may be done.

    Skips the test where it can't be had, and fails it in CI, which has to have everything.
    """
    found = shutil.which(name, path=_PATH) or _install(name, package)
    if found is None:
        said = f"{name} isn't installed (Debian's package: {package})"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    return found


@functools.cache
def _install(name: str, package: str) -> str | None:
    if os.geteuid() != 0 or shutil.which(_APT[0]) is None:
        return None
    # Nothing that a package brings is to be started by the system: tests start what they need.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (("update",), ("install", "-y", "--no-install-recommends", package)):
        subprocess.run([*_APT, *command], capture_output=True, check=False, env=quiet)
    return shutil.which(name, path=_PATH)
