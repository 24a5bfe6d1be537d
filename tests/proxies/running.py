"""Proxies as processes of their own on free loopback ports, which end with the test."""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import trio
import trustme

from tests.ports import free_ports
from tests.proxies.proxy import Place, Proxy, Values, program_of


class Running:
    """A proxy that serves, and how to reach it."""

    def __init__(self, proxy: Proxy, place: Place, authority: trustme.CA) -> None:
        self.proxy = proxy
        self.place = place
        self._authority = authority
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ssl(self) -> ssl.SSLContext:
        """A context of one's own: httpx writes into it which protocols it offers."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context

    @property
    def plain(self) -> str:
        return f"http://127.0.0.1:{self.place.plain}"

    @property
    def tls(self) -> str:
        return f"https://127.0.0.1:{self.place.tls}"

    async def start(self) -> None:
        """Returns when connections are accepted."""
        name, *arguments = self.proxy.command(self.place)
        found = program_of(name)
        with (self.place.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - forks, and doesn't wait
                [found, *arguments],
                stdout=log,
                stderr=log,
                cwd=self.place.folder,
                env={**os.environ, "HOME": str(self.place.folder)},
            )
        for port in (self.place.plain, self.place.tls):
            with trio.fail_after(20):
                while not await self._accepts(port):
                    assert self._process.poll() is None, self.log()
                    await trio.sleep(0.02)

    async def stop(self) -> None:
        """End it as an impatient operator would."""
        if self._process is not None:
            self._process.terminate()
            with trio.move_on_after(3):
                while self._process.poll() is None:
                    await trio.sleep(0.02)
            self._process.kill()
            self._process.wait()
            self._process = None

    async def reload(self) -> None:
        """Have it take up its configuration again, as it does when some Ingress has changed."""
        assert self._process is not None
        if self.proxy.reload_signal is not None:
            self._process.send_signal(self.proxy.reload_signal)
        command = self.proxy.reload_command(self.place)
        if command is not None:
            found = program_of(command[0])
            await trio.run_process([found, *command[1:]], capture_stderr=True)

    def log(self) -> str:
        return (self.place.folder / "log").read_text()

    @staticmethod
    async def _accepts(port: int) -> bool:
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
        except OSError:
            return False
        await stream.aclose()
        return True


@contextlib.asynccontextmanager
async def running(
    proxy: Proxy, values: Values, backend: int, folder: Path
) -> AsyncIterator[Running]:
    """A proxy in front of a port of loopback. Skips the test where it isn't installed."""
    program_of(proxy.name)
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    plain, tls, admin = free_ports(3)
    place = Place(folder, plain, tls, admin, backend)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(place.certificate))
    (folder / "configuration").write_text(proxy.configuration(values, place))
    it = Running(proxy, place, authority)
    try:
        await it.start()
        yield it
    except BaseException as error:
        error.add_note(f"{proxy.name} said: {it.log()[-4000:]}")
        raise
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 10):
            await it.stop()
