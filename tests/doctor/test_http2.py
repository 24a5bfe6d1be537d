"""A peer that breaks HTTP/2 amid an answer, as a server does that is restarted."""

from __future__ import annotations

import contextlib
import dataclasses
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest
import trio
import trustme

from pushsvc.doctor import probes
from pushsvc.doctor.examine import Unexaminable, examine
from pushsvc.doctor.way import FAILURES, Way, said

BROKEN = "HTTP/2 was broken amid an answer: "
ENDED = "the HTTP/2 connection was ended amid an answer"


@dataclasses.dataclass(frozen=True)
class Ending:
    """A peer that begins an answer, ends the connection, and then goes on with the answer."""

    last: int = 0
    """What its GOAWAY calls the last stream that it heard; that one and those before it were
    answered whole."""
    resets: bool = False
    """It ends the one stream instead."""
    parted: bool = False
    """What comes behind the end comes a moment later."""

    async def answer(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        peer.initiate_connection()
        heard = 0
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while True:
                await stream.send_all(peer.data_to_send())
                for event in peer.receive_data(await stream.receive_some()):
                    if isinstance(event, h2.events.RequestReceived) and not heard:
                        fields = [(":status", "200"), ("content-type", "text/event-stream")]
                        whole = event.stream_id <= self.last
                        peer.send_headers(event.stream_id, fields, end_stream=whole)
                        if not whole:
                            heard = event.stream_id
                            peer.ping(b"received")
                    elif isinstance(event, h2.events.PingAckReceived):
                        # By now it reads the body.
                        await self._end(peer, heard, stream)
                        return
                    elif isinstance(event, h2.events.ConnectionTerminated):
                        return

    async def _end(
        self,
        peer: h2.connection.H2Connection,
        heard: int,
        stream: trio.SSLStream[trio.SocketStream],
    ) -> None:
        await stream.send_all(peer.data_to_send())
        peer.send_data(heard, b'{"time_ms":1}\n')
        rest = peer.data_to_send()
        if self.resets:
            peer.reset_stream(heard, h2.errors.ErrorCodes.INTERNAL_ERROR)
        else:
            peer.close_connection(last_stream_id=self.last)
        end = peer.data_to_send()
        if self.parted:
            await stream.send_all(end)
            await trio.sleep(0.05)
            await stream.send_all(rest)
        else:
            await stream.send_all(end + rest)


@contextlib.asynccontextmanager
async def breaking(folder: Path, ending: Ending) -> AsyncIterator[tuple[Way, Path]]:
    """The way to such a peer, and the certificate to trust it by."""
    ca = trustme.CA()
    trusted = folder / "ca.pem"
    ca.cert_pem.write_to_path(trusted)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        secured = trio.SSLListener(listener, context, https_compatible=True)
        nursery.start_soon(trio.serve_listeners, ending.answer, [secured])
        tls = partial(ssl.create_default_context, cafile=str(trusted))
        yield Way(f"https://127.0.0.1:{port}", None, tls, 2.0), trusted
        nursery.cancel_scope.cancel()


async def test_each_probe_tells_of_it(tmp_path: Path) -> None:
    async with breaking(tmp_path, Ending()) as (way, _):
        assert (await probes.drip(way, 2, 0.01)).failure.startswith(BROKEN)
        assert (await probes.quiet_answer(way, 0.1)).failure.startswith(BROKEN)
        assert (await probes.stream_answer(way, "text/event-stream")).startswith(BROKEN)
        assert (await probes.upload(way, 1, 10, 0.01)).failure.startswith(BROKEN)
        assert await probes.clock(way) is None
        assert await probes.epochs(way, 1) == ()
        with pytest.raises(Unexaminable, match=BROKEN):
            await examine(way, 1.0)


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        (Ending(parted=True), ENDED),
        (Ending(resets=True), "the HTTP/2 stream was reset with INTERNAL_ERROR"),
    ],
    ids=["end", "reset"],
)
async def test_other_ends_are_told_in_words_too(ending: Ending, told: str, tmp_path: Path) -> None:
    async with breaking(tmp_path, ending) as (way, _):
        assert (await probes.drip(way, 2, 0.01)).failure == told


async def test_an_answer_that_was_never_heard_is_a_failure(tmp_path: Path) -> None:
    async with breaking(tmp_path, Ending(last=1, parted=True)) as (way, _):
        async with way.http() as http:
            await http.get("/")
            with pytest.raises(FAILURES) as raised:
                await http.get("/")
    assert said(raised.value) == ENDED


async def test_the_command_says_so_in_a_line(tmp_path: Path) -> None:
    async with breaking(tmp_path, Ending()) as (way, trusted):
        with trio.fail_after(60):
            done = await trio.run_process(
                [sys.executable, "-m", "pushsvc", "doctor", way.url, "--cafile", str(trusted)],
                stdout=subprocess.DEVNULL,
                capture_stderr=True,
                check=False,
            )
    assert done.returncode == 2
    assert done.stderr.decode().startswith(f"pushsvc: {way.url}: {BROKEN}")
    assert len(done.stderr.splitlines()) == 1
