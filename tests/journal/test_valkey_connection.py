"""A connection to a Valkey: answers come to who asked, whatever becomes of others."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from coredis.exceptions import RedisError

from pushsvc.journal.valkey.address import Host
from pushsvc.journal.valkey.connection import Connection, Login, connect
from pushsvc.journal.valkey.trouble import Away
from tests.journal.valkey_server import ValkeyServer, running


@asynccontextmanager
async def connected(server: ValkeyServer, login: Login | None = None) -> AsyncGenerator[Connection]:
    async with trio.open_nursery() as nursery:
        yield await connect(nursery, Host("127.0.0.1", server.port), login or Login())
        nursery.cancel_scope.cancel()


async def test_who_asks_at_once_is_answered_each(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        async with connected(server) as one, trio.open_nursery() as nursery:

            async def echo(text: str) -> None:
                assert await one.ask_all([(b"ECHO", text), (b"ECHO", f"{text}!")]) == [
                    text.encode(),
                    f"{text}!".encode(),
                ]

            for number in range(50):
                nursery.start_soon(echo, "x" * number * 10_000)


async def test_what_a_socket_does_not_take_at_once_follows_before_what_comes_next(
    tmp_path: Path,
) -> None:
    large = "x" * (32 << 20)
    with running(tmp_path) as server:
        async with connected(server) as one, trio.open_nursery() as nursery:

            async def echo(text: str) -> None:
                # Whole, and to who asked: they are answered in the order in which they were sent.
                assert await one.ask(b"ECHO", text, timeout=30) == text.encode()

            server.suspend()
            try:
                for text in (large, "after it", f"{large}!"):
                    nursery.start_soon(echo, text)
                    await trio.testing.wait_all_tasks_blocked()
            finally:
                server.resume()


async def test_an_answer_nobody_waits_for_is_nobody_elses(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        async with connected(server) as one:
            with trio.move_on_after(0.05) as scope:
                await one.ask(b"BLPOP", "nothing", "1", timeout=30)
            assert scope.cancelled_caught
            assert await one.ask(b"ECHO", "after it") == b"after it"


async def test_an_error_is_an_answer(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        async with connected(server) as one:
            first, second = await one.ask_all([(b"NONSENSE",), (b"PING",)])
            assert isinstance(first, RedisError)
            assert second == b"PONG"
            with pytest.raises(RedisError):
                await one.ask(b"NONSENSE")


async def test_without_an_answer_in_time_it_is_closed(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        async with connected(server) as one:
            server.suspend()
            try:
                with pytest.raises(Away, match="doesn't answer"):
                    await one.ask(b"PING", timeout=0.1)
                with trio.fail_after(30):
                    await one.ended.wait()
                with pytest.raises(Away, match="closed the connection"):
                    await one.ask(b"PING")
            finally:
                server.resume()


async def test_the_end_of_the_server_ends_it_for_all_who_wait(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        async with connected(server) as one, trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(Away, match="closed the connection"):
                    await one.ask(b"BLPOP", "nothing", "0", timeout=60)

            for _ in range(3):
                nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            server.kill()
            with trio.fail_after(30):
                await one.ended.wait()


async def test_it_is_at_the_database_that_is_meant(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        async with connected(server, Login(db=3)) as one:
            await one.ask(b"SET", "here", "1")
        with server.client(db=3) as client:
            assert client.get("here") == b"1"
