"""The engine's sockets: whom it serves, and how much the kernel keeps for one that is slow."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
import trio

from pushsvc.core.resources.limits import Limits
from pushsvc.listen.listeners import Listener
from pushsvc.transport.buffers import NOT_SENT
from pushsvc.transport.detached import DetachedCarrier
from pushsvc.transport.engine import READ, WRITE, Engine, Watched
from tests.serving import serving
from tests.test_acceptor import SSE, answer


class _Carrier:
    """Watches one end of a pair, and notes what it is told."""

    def __init__(self, engine: Engine, then: Callable[[], None] = lambda: None) -> None:
        self.socket, self.other = socket.socketpair()
        self.closed = False
        self.served: list[int] = []
        self._engine = engine
        self._then = then
        engine.add(self)

    def serve(self, events: int) -> None:
        self.served.append(events)
        if events & READ and not self.socket.recv(100):
            self.abort()
        self._then()

    def tend(self, now: float) -> None:
        pass

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self._engine.remove(self)
            self.socket.close()


async def served(carrier: _Carrier) -> None:
    with trio.fail_after(30):
        while not carrier.served:
            await trio.lowlevel.checkpoint()


async def test_readable_and_writable_are_told_apart() -> None:
    engine = Engine()
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        one, other = _Carrier(engine), _Carrier(engine)
        one.other.send(b"x")
        engine.watch(other, READ | WRITE)
        await served(one)
        await served(other)
        engine.watch(other, READ)
        assert set(one.served) == {READ}
        assert set(other.served) == {WRITE}
        other.other.close()
        with trio.fail_after(30):
            while not other.closed:
                await trio.lowlevel.checkpoint()
        assert len(engine) == 1
        nursery.cancel_scope.cancel()
    assert one.closed
    one.other.close()


async def test_the_number_of_a_socket_that_was_cut_is_another_ones_by_then() -> None:
    engine = Engine()
    crowd: list[_Carrier] = []
    new: list[_Carrier] = []

    def replace() -> None:
        """The first that is served cuts the others, whose numbers the new ones get."""
        if not new:
            numbers = {one.socket.fileno() for one in crowd}
            for one in crowd:
                if not one.served:
                    one.abort()
            new.extend(_Carrier(engine) for _ in crowd)
            assert numbers & {one.socket.fileno() for one in new}

    async with trio.open_nursery() as nursery:
        crowd += [_Carrier(engine, replace) for _ in range(8)]
        for one in crowd:
            one.other.send(b"x")
        await nursery.start(engine.run)
        with trio.fail_after(30):
            while not new:
                await trio.lowlevel.checkpoint()
        new[0].other.send(b"x")
        await served(new[0])
        assert sum(bool(one.served) for one in crowd) == 1
        assert not any(one.served for one in new[1:])
        nursery.cancel_scope.cancel()
    for one in crowd + new:
        one.other.close()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
async def test_what_a_listener_accepts_is_what_sockets_are(family: socket.AddressFamily) -> None:
    with socket.socket(family) as sock, socket.socket(family) as client:
        sock.bind(("127.0.0.1", 0) if family == socket.AF_INET else "")
        sock.listen()
        listener = Listener(sock)
        with pytest.raises(BlockingIOError):
            listener.accept()
        client.connect(sock.getsockname())
        with trio.fail_after(30):
            await trio.lowlevel.wait_readable(sock)
        accepted, peer = listener.accept()
        with accepted:
            assert accepted.gettimeout() == 0.0
            assert not accepted.get_inheritable()
            assert (accepted.family, accepted.type) == (client.family, client.type)
            assert accepted.proto == sock.proto
            assert not peer or peer == client.getsockname()


async def test_the_kernel_keeps_little_for_a_client_that_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    carriers: list[Watched] = []
    add = Engine.add

    def note(self: Engine, carrier: Watched) -> None:
        carriers.append(carrier)
        add(self, carrier)

    monkeypatch.setattr(Engine, "add", note)
    async with (
        serving(limits=Limits(samples_per_second=1e9)) as service,
        await service.raw(SSE) as stream,
    ):
        await answer(stream)
        (carrier,) = [one for one in carriers if isinstance(one, DetachedCarrier)]
        lowat = carrier.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
        assert lowat == NOT_SENT
        with trio.fail_after(30):
            while not carrier.subscriber.blocked:
                await service.publish(*({"name": f"m{n}", "value": n} for n in range(1000)))
        # The kernel doubles what is asked for, to have room for what it notes of it.
        bound = carrier.socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        assert bound == 2 * 128 * 1024
