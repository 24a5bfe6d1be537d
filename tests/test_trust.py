"""Services with certificates of their own: the commands and the client are told whom to trust."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from pushsvc.client import Points, Unreachable, connect, open_publisher, open_socket_publisher
from tests.authority import Authority
from tests.cli.forked import ENV, run
from tests.cli.test_commands import PUSHSVC
from tests.serving import serving


async def test_the_client_trusts_whom_it_is_told_to(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with serving(server=authority.server, verify=authority.trust) as served:
        async with open_publisher(served.url, tls=authority.trust) as publisher:
            await publisher.publish([{"name": "a", "value": 1}])
        async with open_socket_publisher(served.url, tls=authority.trust) as socket:
            await socket.publish([{"name": "a", "value": 2}])
        async with connect(served.url, ["a"], tls=authority.trust) as stream:
            with trio.fail_after(30):
                event = await anext(stream)
        assert isinstance(event, Points)
        with pytest.raises(Unreachable):
            async with open_publisher(served.url) as publisher:
                await publisher.publish([{"name": "a", "value": 1}])


@contextlib.contextmanager
def service(env: dict[str, str]) -> Iterator[str]:
    with subprocess.Popen(
        [*PUSHSVC, "serve"], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def test_commands_take_a_file_of_certificates_or_any(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ca = tmp_path / "ca.pem"
    authority.ca.cert_pem.write_to_path(ca)
    settings = {
        "PUSHSVC_SERVER_PORT": "0",
        "PUSHSVC_SERVER_CERTFILE": str(authority.certfile),
        "PUSHSVC_SERVER_KEYFILE": str(authority.keyfile),
    }
    with service({**ENV, **settings}) as url:
        assert url.startswith("https://")
        up = '{"name":"up","value":1}'
        for args, env in (
            (("--cafile", str(ca)), ENV),
            (("--insecure",), ENV),
            ((), {**ENV, "PUSHSVC_CAFILE": str(ca)}),
        ):
            assert run("health", "--url", url, *args, env=env).stdout == "ok\n"
            published = run("publish", "--url", url, *args, env=env, stdin=up)
            assert published.returncode == 0, published.stderr
            with subprocess.Popen(
                [*PUSHSVC, "tail", "--url", url, *args, "up"],
                env=env,
                stdout=subprocess.PIPE,
                text=True,
            ) as tail:
                assert tail.stdout is not None
                assert '"name":"up"' in tail.stdout.readline()
                tail.kill()
        for command in (("health",), ("publish",), ("tail", "up")):
            done = run(*command, "--url", url, env=ENV, stdin=up)
            assert done.returncode == 1
            assert "certificate" in done.stderr
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    done = run("health", "--url", url, "--cafile", str(wrong), env=ENV)
    assert done.returncode == 2
    assert str(wrong) in done.stderr


@pytest.mark.parametrize("secured", [True, False])
def test_health_asks_where_the_settings_have_the_service(tmp_path: Path, secured: bool) -> None:
    authority = Authority(tmp_path)
    env = {**ENV, "PUSHSVC_SERVER_HOST": f"unix:{tmp_path}/x"}
    if secured:
        env["PUSHSVC_SERVER_CERTFILE"] = str(authority.certfile)
        env["PUSHSVC_SERVER_KEYFILE"] = str(authority.keyfile)
    with service(env) as place:
        assert place.startswith("curl ")
        done = run("health", env=env)
        assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
    assert run("health", env=env).returncode == 1
