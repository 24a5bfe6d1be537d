"""What is said where a Valkey isn't there, isn't set up for it, or doesn't let one in."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import structlog
import trio
import trustme

from pushsvc.core.model.series import Batch
from pushsvc.core.storage.entry import Draft
from pushsvc.journal import JournalError, Nonces
from pushsvc.journal.valkey import Options, open_valkey_journal
from pushsvc.journal.valkey.address import Address, Host, parse_address
from pushsvc.journal.valkey.trouble import COMMANDS
from tests.journal.valkey_server import PROGRAMS, ValkeyServer, running
from tests.ports import free_port


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    folder = tmp_path_factory.mktemp("valkey")
    sock = str(folder / "sock")
    with running(folder, "--appendonly", "no", "--unixsocket", sock) as server:
        yield server


async def refusal(url: str, options: Options | None = None, *, ca: Path | None = None) -> str:
    with trio.fail_after(30), pytest.raises(JournalError) as refused:
        async with open_valkey_journal(url, options, ca=ca):
            pass
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)
    return str(refused.value)


async def opens(url: str, options: Options | None = None, *, ca: Path | None = None) -> None:
    """It can be opened, and used."""
    nonces = Nonces()
    with trio.fail_after(30):
        async with open_valkey_journal(url, options, ca=ca) as journal:
            before = journal.seq
            await journal.append([Draft(nonces(), Batch([]))])
            assert journal.seq == before + 1


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("valkey://h", Address(hosts=(Host("h", 6379),))),
        ("redis://h:1", Address(hosts=(Host("h", 1),))),
        ("valkeys://h/2", Address(hosts=(Host("h", 6379),), tls=True, db=2)),
        ("rediss://h?db=3", Address(hosts=(Host("h", 6379),), tls=True, db=3)),
        ("valkey://[::1]:7", Address(hosts=(Host("::1", 7),))),
        (
            "valkey://joe:a%2Fb%40@h",
            Address(hosts=(Host("h", 6379),), username="joe", password="a/b@"),
        ),
        ("valkey://:pw@h", Address(hosts=(Host("h", 6379),), password="pw")),
        ("valkey://a,b:7,[::1]", Address(hosts=(Host("a", 6379), Host("b", 7), Host("::1", 6379)))),
        (
            "valkey://a,b:7/1?sentinel=main&sentinel_password=pw",
            Address(
                hosts=(Host("a", 26379), Host("b", 7)),
                db=1,
                sentinel="main",
                sentinel_password="pw",
            ),
        ),
        ("unix:///run/valkey.sock", Address(path="/run/valkey.sock")),
        ("valkey+unix://u:p@/s?db=1", Address(path="/s", db=1, username="u", password="p")),
    ],
)
def test_urls(url: str, address: Address) -> None:
    assert parse_address(url) == address


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://h", "begins with http"),
        ("h:6379", "begins with h"),
        ("valkey://", "names no host"),
        ("valkey://a,,b", "names no host"),
        ("valkey://joe:secret/x@h:1", "written as %3A"),
        ("valkey://joe:secret#x@h:1", "written as %23"),
        ("valkey://h:99999", "a port that is none"),
        ("valkey://[::1", "can't be read"),
        ("valkey://h/main", "number of a database"),
        ("valkey://h?sentinal=x", "an option sentinal"),
        ("unix://run/sock", "three slashes"),
    ],
)
async def test_urls_that_are_none(url: str, said: str) -> None:
    assert said in await refusal(url)


def test_an_address_that_is_shown_holds_no_secret() -> None:
    address = parse_address("valkey://joe:secret@h:1?sentinel=x&sentinel_password=secret")
    assert "secret" not in f"{address} {address!r}"


async def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert "Connection refused" in await refusal(f"valkey://127.0.0.1:{port}")
    assert "No such file" in await refusal("unix:///nowhere/sock")
    assert "can't be found" in await refusal("valkey://host.invalid")


async def test_somebody_there_who_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"valkey://127.0.0.1:{silent.getsockname()[1]}"
        assert "doesn't answer" in await refusal(url)
        assert "doesn't answer in TLS" in await refusal(url.replace("valkey:", "valkeys:"))


async def test_opening_may_wait_for_a_server(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(opens, server.url, Options(start_wait=20))
            await trio.sleep(0.3)
            await trio.to_thread.run_sync(server.start)
    finally:
        server.kill()


async def test_passwords(tmp_path: Path) -> None:
    with running(tmp_path, "--requirepass", "secret") as server:
        at = f"127.0.0.1:{server.port}"
        assert "wants a password" in await refusal(f"valkey://{at}")
        assert "password of user default" in await refusal(f"valkey://:secretary@{at}")
        assert "password of user joe" in await refusal(f"valkey://joe:secret@{at}")
        await opens(f"valkey://:secret@{at}")
        await opens(f"valkey://default:secret@{at}")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("~* +@all -info", "use INFO"),
        ("~* +@all -evalsha", "use EVALSHA"),
        ("~* +@all -xadd", "use XADD"),
        ("~* +@all -xtrim", "use XTRIM"),
        ("~* +@all -hset", "doesn't let user joe use"),
        ("~* +@all -time", "use TIME"),
        ("~other:* +@all", "a key"),
    ],
)
async def test_a_user_who_may_too_little(plain: ValkeyServer, rules: str, said: str) -> None:
    with plain.client() as client:
        client.execute_command("ACL", "SETUSER", "joe", "reset", "on", ">secret", *rules.split())
    told = await refusal(f"valkey://joe:secret@127.0.0.1:{plain.port}", Options(prefix="of joe"))
    assert said in told
    assert "ACL SETUSER joe ~{PREFIX}:* +" in told


async def test_a_user_who_may_what_is_said(plain: ValkeyServer) -> None:
    rules = ["~{jane}:*", *COMMANDS.split()]
    with plain.client() as client:
        client.execute_command("ACL", "SETUSER", "jane", "reset", "on", ">secret", *rules)
    await opens(f"valkey://jane:secret@127.0.0.1:{plain.port}", Options(prefix="jane"))


async def test_sockets_and_databases(plain: ValkeyServer) -> None:
    await opens(f"unix://{plain.folder}/sock")
    await opens(f"{plain.url}/3")
    with plain.client(db=3) as client:
        assert client.exists("{pushsvc}:log")
    assert "no such database" in await refusal(f"{plain.url}/99")


async def test_a_server_that_would_drop_the_journal(tmp_path: Path) -> None:
    with running(tmp_path, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as server:
        told = await refusal(server.url)
        assert "maxmemory-policy to noeviction (it is allkeys-lru)" in told
        with server.client() as client:
            client.config_set("maxmemory-policy", "volatile-lru")  # drops only what has an end
        await opens(server.url)


async def test_a_server_that_keeps_nothing_is_told_of(plain: ValkeyServer, tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        await opens(plain.url)
    [told] = [one for one in logs if one["event"] == "the journal isn't on disk"]
    assert told["cure"] == "set appendonly yes"
    with (
        running(tmp_path, "--appendonly", "yes") as server,
        structlog.testing.capture_logs() as logs,
    ):
        await opens(server.url)
    assert "the journal isn't on disk" not in [one["event"] for one in logs]


async def test_a_server_without_a_file_to_wait_for(plain: ValkeyServer) -> None:
    if not plain.knows("WAITAOF"):
        assert "journal.fsync needs 7.2" in await refusal(plain.url, Options(fsync=True))
        return
    assert "set appendonly yes" in await refusal(plain.url, Options(fsync=True))


async def test_a_replica(plain: ValkeyServer, tmp_path: Path) -> None:
    with running(tmp_path, "--replicaof", f"127.0.0.1 {plain.port}") as replica:
        assert "is a replica" in await refusal(replica.url)
        await opens(f"{replica.url},127.0.0.1:{plain.port}")  # of several, the primary


async def test_keys_of_somebody_else(plain: ValkeyServer) -> None:
    with plain.client() as client:
        client.set("{taken}:state", "x")
        client.hset("{newer}:state", mapping={"format": "99", "epoch": "e"})
    assert "another journal.prefix" in await refusal(plain.url, Options(prefix="taken"))
    assert "its format is 99" in await refusal(plain.url, Options(prefix="newer"))


@asynccontextmanager
async def behind_tls(port: int, authority: trustme.CA) -> AsyncGenerator[int]:
    """The port of a proxy that speaks TLS, as 127.0.0.1, for a port that doesn't."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def copy(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
        while data := await source.receive_some():
            await sink.send_all(data)

    async def carry(client: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            async with client, await trio.open_tcp_stream("127.0.0.1", port) as server:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(copy, client, server)
                    await copy(server, client)
                    nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, ssl.SSLError):
            pass

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(
            partial(trio.serve_ssl_over_tcp, carry, 0, context, host="127.0.0.1")
        )
        yield listener.transport_listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def test_tls(plain: ValkeyServer, tmp_path: Path) -> None:
    authority, bundle = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    async with behind_tls(plain.port, authority) as port:
        await opens(f"valkeys://127.0.0.1:{port}", ca=bundle)
        untrusted = await refusal(f"rediss://127.0.0.1:{port}")
        assert "isn't trusted" in untrusted
        assert "journal.ca" in untrusted
        assert "names the host" in await refusal(f"rediss://localhost:{port}", ca=bundle)
        assert "valkeys://" in await refusal(f"valkey://127.0.0.1:{port}")
    tls = f"valkeys://127.0.0.1:{plain.port}"
    assert "begins with valkey://" in await refusal(tls, ca=bundle)
    assert "No such file" in await refusal(tls, ca=tmp_path / "none.pem")
    assert "no certificates in PEM" in await refusal(tls, ca=Path(__file__))


@pytest.mark.long
async def test_tls_that_the_server_speaks_itself(tmp_path: Path) -> None:
    authority, bundle, secrets = trustme.CA(), tmp_path / "ca.pem", tmp_path / "secrets.pem"
    authority.cert_pem.write_to_path(str(bundle))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(secrets))
    port = free_port()
    tls = (
        *("--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(secrets), "--tls-key-file", str(secrets)),
    )
    # The Valkey of the other tests is built without TLS.
    with running(tmp_path / "redis", *tls, program=PROGRAMS["redis"]()) as server:
        with server.client() as client:
            rules = ["~{joe}:*", *COMMANDS.split()]
            client.execute_command("ACL", "SETUSER", "joe", "reset", "on", ">secret", *rules)
        options = Options(prefix="joe")
        await opens(f"rediss://joe:secret@127.0.0.1:{port}", options, ca=bundle)
        assert "isn't trusted" in await refusal(f"rediss://joe:secret@127.0.0.1:{port}", options)
        assert "valkeys://" in await refusal(f"valkey://joe:secret@127.0.0.1:{port}", options)


def test_without_the_client_it_is_said_how_to_get_it() -> None:
    program = (
        "import sys, trio\n"
        "sys.modules['coredis'] = None\n"
        "from pushsvc.journal import JournalError\n"
        "from pushsvc.journal.valkey import open_valkey_journal\n"
        "async def main():\n"
        "    async with open_valkey_journal('valkey://h'): pass\n"
        "try: trio.run(main)\n"
        "except JournalError as error: print(error)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.endswith("pip install 'pushsvc[valkey]'\n")
