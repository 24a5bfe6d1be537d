"""The journal where a primary has a replica: what a failover loses, and what it doesn't."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from pushsvc.errors import Overloaded
from pushsvc.journal import EpochChanged, JournalError
from pushsvc.journal.valkey import Options, open_valkey_journal
from tests.journal.test_valkey import Reader, append, take, values, wait_away, wait_back
from tests.journal.valkey_server import Sentinel, ValkeyServer, running, started
from tests.ports import free_port


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def follows(replica: ValkeyServer) -> bool:
    with replica.client() as client:
        info = client.info("replication")
        return info.get("master_link_status") == "up" and not info["master_sync_in_progress"]


def part(replica: ValkeyServer) -> None:
    """Have it follow nobody who is there, with what it has."""
    with replica.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))


def promote(replica: ValkeyServer) -> None:
    with replica.client() as client:
        client.execute_command("REPLICAOF", "NO", "ONE")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[ValkeyServer, ValkeyServer]]:
    """A primary and its replica."""
    quick = ("--repl-diskless-sync-delay", "0", "--appendonly", "yes")
    with (
        running(tmp_path / "primary", *quick) as primary,
        running(
            tmp_path / "replica", *quick, "--replicaof", f"127.0.0.1 {primary.port}"
        ) as replica,
    ):
        until(lambda: follows(replica))
        yield primary, replica


async def test_a_failover_that_loses_nothing_goes_unnoticed(
    pair: tuple[ValkeyServer, ValkeyServer],
) -> None:
    primary, replica = pair
    url = f"{primary.url},127.0.0.1:{replica.port}"
    options = Options(replicas=1, append_wait=20)
    async with open_valkey_journal(url, options) as journal, trio.open_nursery() as nursery:
        epoch = journal.epoch
        reader = Reader(journal)
        nursery.start_soon(reader.run)
        await append(journal, *range(10))
        primary.kill()
        await wait_away(journal)
        promote(replica)
        await wait_back(journal)
        assert journal.epoch == epoch
        assert values(await reader.wait(10)) == list(range(10))
        nursery.cancel_scope.cancel()


async def test_what_the_replica_did_not_have_is_lost_and_told(
    pair: tuple[ValkeyServer, ValkeyServer],
) -> None:
    primary, replica = pair
    url = f"{primary.url},127.0.0.1:{replica.port}"
    async with open_valkey_journal(url) as journal, trio.open_nursery() as nursery:
        epoch = journal.epoch
        reader = Reader(journal)
        nursery.start_soon(reader.run)
        await append(journal, *range(10))
        with primary.client() as client:
            client.wait(1, 5000)
        part(replica)
        await append(journal, *range(10, 20))  # answered
        await reader.wait(20)
        primary.kill()
        promote(replica)
        assert isinstance(await reader.wait_end(), EpochChanged)
        assert journal.epoch != epoch
        await append(journal, 30)
        assert values(await take(journal, 11)) == [*range(10), 30]
        nursery.cancel_scope.cancel()


async def test_with_replicas_nothing_is_answered_that_a_failover_loses(
    pair: tuple[ValkeyServer, ValkeyServer],
) -> None:
    primary, replica = pair
    url = f"{primary.url},127.0.0.1:{replica.port}"
    options = Options(replicas=1, append_wait=0.5)
    answered: list[float] = []
    async with open_valkey_journal(url, options) as journal, trio.open_nursery() as nursery:
        await append(journal, 1, 2)

        async def publish(number: float) -> None:
            await append(journal, number)
            answered.append(number)

        part(replica)
        nursery.start_soon(publish, 3)
        await trio.sleep(0.3)
        with pytest.raises(Overloaded):
            await append(journal, 4)
        assert answered == []  # the primary has it, but it isn't safe
        with primary.client() as client:
            assert client.xlen("{pushsvc}:log") == 3
        primary.kill()
        promote(replica)
        await wait_back(journal)
        assert values(await take(journal, 3)) == [1, 2, 3]
        assert answered == []  # it is there, and the new primary has no replica yet
        with running(
            primary.folder.parent / "next", "--replicaof", f"127.0.0.1 {replica.port}"
        ) as other:
            await trio.to_thread.run_sync(until, lambda: follows(other))
            with trio.fail_after(30):
                while answered != [3]:
                    await trio.sleep(0.01)
            assert values(await take(journal, 3)) == [1, 2, 3]
        nursery.cancel_scope.cancel()


async def test_on_disk_before_it_is_answered(tmp_path: Path) -> None:
    with running(tmp_path, "--appendonly", "yes", "--appendfsync", "no") as server:
        if not server.knows("WAITAOF"):
            pytest.skip("this server has no WAITAOF")
        async with (
            open_valkey_journal(server.url, Options(fsync=True)) as journal,
            trio.open_nursery() as nursery,
        ):
            answered = trio.Event()

            async def publish() -> None:
                await append(journal, 1)
                answered.set()

            nursery.start_soon(publish)
            assert values(await take(journal, 1)) == [1]
            await trio.testing.wait_all_tasks_blocked(0.3)
            assert not answered.is_set()
            with server.client() as client:
                client.config_set("appendfsync", "always")
                client.set("something", "to be written")
            with trio.fail_after(30):
                await answered.wait()


async def test_sentinels_say_where_the_primary_is(
    pair: tuple[ValkeyServer, ValkeyServer], tmp_path: Path
) -> None:
    primary, replica = pair
    with started(Sentinel(tmp_path / "sentinel", primary)) as sentinel:
        with pytest.raises(JournalError, match=r"\?sentinel=NAME"):
            async with open_valkey_journal(sentinel.url.partition("?")[0]):
                pass
        with pytest.raises(JournalError, match="knows a primary other"):
            async with open_valkey_journal(sentinel.url.replace("=main", "=other")):
                pass
        nowhere = f"127.0.0.1:{free_port()}"
        url = sentinel.url.replace("valkey://", f"valkey://{nowhere},")
        async with open_valkey_journal(url) as journal:
            await append(journal, 1)
            with primary.client() as client:
                assert client.xlen("{pushsvc}:log") == 1
                client.wait(1, 5000)
            with sentinel.client() as client:
                until(lambda: client.sentinel_master("main")["num-slaves"] == 1)
            primary.kill()
            await wait_away(journal)
            await wait_back(journal)
            await append(journal, 2)
            with replica.client() as client:
                assert client.xlen("{pushsvc}:log") == 2
            assert values(await take(journal, 2)) == [1, 2]


async def test_a_cluster_says_where_the_journal_is(tmp_path: Path) -> None:
    def node(name: str) -> ValkeyServer:
        bus = ("--cluster-port", str(free_port()))
        return ValkeyServer(tmp_path / name, "--cluster-enabled", "yes", *bus)

    with started(node("a")) as a, started(node("b")) as b:
        with a.client() as client:
            # The slot of {pushsvc} is 4827.
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "4999")
            bus = b.settings[-1]
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", str(b.port), bus)
        with b.client() as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", "5000", "16383")
            until(lambda: client.cluster("INFO")["cluster_state"] == "ok")
        with a.client() as client:
            until(lambda: client.cluster("INFO")["cluster_state"] == "ok")
        async with open_valkey_journal(b.url) as journal:
            await append(journal, 1, 2)
            assert values(await take(journal, 2)) == [1, 2]
            with a.client() as client:
                assert client.xlen("{pushsvc}:log") == 2
