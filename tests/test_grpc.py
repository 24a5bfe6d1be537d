"""OTLP over gRPC, as gRPC's own client and OpenTelemetry's SDK speak it."""

from __future__ import annotations

import gzip
import math
import re
import socket
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import grpc
import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest
import trio
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from pushsvc import zstd
from pushsvc.app.producers.grpc import CHECK, EXPORT
from pushsvc.auth.keys import make_key, table_of
from pushsvc.config import Auth, Server
from pushsvc.core.resources.limits import Limits, Pacing
from pushsvc.errors import Malformed, TooLarge
from pushsvc.ingest.grpc import Code, OneMessage, message, seconds_of, trailers
from tests import golang
from tests.authority import Authority
from tests.calls import call_by_hand
from tests.ports import free_ports
from tests.serving import Served, carried, next_of, serving
from tests.test_producers_otel import Program

Metadata = Sequence[tuple[str, Any]]


def request_of(*names: str, value: float = 1.0) -> bytes:
    asked = ExportMetricsServiceRequest()
    metrics = asked.resource_metrics.add().scope_metrics.add().metrics
    for name in names:
        metrics.add(name=name).gauge.data_points.add(as_double=value)
    return asked.SerializeToString()


class Answer:
    """What a call came to."""

    def __init__(self, code: grpc.StatusCode, said: bytes, details: str, end: Metadata) -> None:
        self.code = code
        self.said = said
        self.details = details
        self.end = dict(end)

    @property
    def partial(self) -> Any:
        return ExportMetricsServiceResponse.FromString(self.said).partial_success


class Client:
    """A channel of gRPC's own client. Its calls block, in threads."""

    def __init__(self, served: Served, by: Authority | None = None, **options: Any) -> None:
        target = f"{served.host}:{served.port}"
        self.channel: Any
        if by is None:
            self.channel = grpc.insecure_channel(target, **options)
        else:
            root = by.ca.cert_pem.bytes()
            self.channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(root))

    async def call(
        self, method: str, body: bytes, *, metadata: Metadata = (), timeout: float = 30, **more: Any
    ) -> Answer:
        multi = self.channel.unary_unary(method)

        def ask() -> Answer:
            try:
                said, call = multi.with_call(body, metadata=metadata, timeout=timeout, **more)
            except grpc.RpcError as error:
                return Answer(error.code(), b"", error.details(), error.trailing_metadata() or ())
            return Answer(call.code(), said, call.details(), call.trailing_metadata())

        return await trio.to_thread.run_sync(ask)

    async def export(self, body: bytes, **more: Any) -> Answer:
        return await self.call(EXPORT, body, **more)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()


async def value_of(served: Served, name: str) -> float:
    listed = (await served.http.get("/v1/series", params={"select": name})).json()["series"]
    return float(listed[0]["value"])


@pytest.mark.parametrize("way", ["detached", "tls"])
async def test_an_export_is_applied_and_answered(way: str, certified: Authority) -> None:
    with carried(way, certified):
        async with serving() as served:
            with Client(served, certified if way == "tls" else None) as client:
                for value in (1.0, 2.0):
                    answer = await client.export(request_of("a", value=value))
                    assert answer.code is grpc.StatusCode.OK
                    assert not answer.partial.rejected_data_points
                    assert await value_of(served, "a") == value
            producers = (await served.http.get("/v1/producers")).json()["producers"]
            assert [each["format"] for each in producers] == ["otlp"]


async def test_messages_may_be_compressed_and_come_in_many_frames() -> None:
    async with serving() as served:
        with Client(served) as client:
            body = request_of(*(f"metric_{n}" for n in range(3000)))
            assert len(body) > 3 * 16384
            for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
                answer = await client.export(body, compression=compression)
                assert answer.code is grpc.StatusCode.OK, answer.details
        assert await value_of(served, "metric_2999") == 1.0


async def test_what_is_too_large_is_not_sent_again() -> None:
    async with serving(limits=Limits(body_bytes=10_000)) as served:
        with Client(served) as client:
            for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
                body = request_of("a" * 20_000)
                answer = await client.export(body, compression=compression)
                assert answer.code is grpc.StatusCode.INVALID_ARGUMENT
                assert "10000" in answer.details
                assert "limits.body_bytes" in answer.details


async def test_what_can_not_be_read_is_not_sent_again() -> None:
    async with serving() as served:
        with Client(served) as client:
            answer = await client.export(b"\xff\xff")
            assert answer.code is grpc.StatusCode.INVALID_ARGUMENT
            assert "protobuf" in answer.details
            producers = (await served.http.get("/v1/producers")).json()["producers"]
            assert "protobuf" in str(producers[0])


async def test_a_part_that_is_refused_is_told() -> None:
    async with serving(limits=Limits(series=2)) as served:
        with Client(served) as client:
            answer = await client.export(request_of("a", "b", "c"))
            assert answer.code is grpc.StatusCode.OK
            assert answer.partial.rejected_data_points > 0
            assert "limits.series" in answer.partial.error_message


async def test_what_there_is_not_is_unimplemented() -> None:
    async with serving() as served:
        with Client(served) as client:
            answer = await client.call(EXPORT.replace("metrics", "trace"), b"")
            assert answer.code is grpc.StatusCode.UNIMPLEMENTED
            assert EXPORT in answer.details
            for name, status in ((b"", b"\x08\x01"), (EXPORT.split("/")[1].encode(), b"\x08\x01")):
                body = b"\x0a" + bytes((len(name),)) + name if name else b""
                assert (await client.call(CHECK, body)).said == status
            answer = await client.call(CHECK, b"\x0a\x01x")
            assert answer.code is grpc.StatusCode.NOT_FOUND


async def test_who_sends_too_much_is_told_when_to_go_on() -> None:
    async with serving(limits=Limits(samples_per_second=10.0)) as served:
        with Client(served) as client:
            answer = await client.export(request_of(*(f"m{n}" for n in range(500))))
            while answer.code is grpc.StatusCode.OK:
                answer = await client.export(request_of(*(f"m{n}" for n in range(500))))
            assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED
            status = Status.FromString(answer.end["grpc-status-details-bin"])
            assert status.code == answer.code.value[0]
            retry = RetryInfo()
            assert status.details[0].Unpack(retry)
            assert retry.retry_delay.seconds >= 1
            told = RetryInfo.FromString(answer.end["google.rpc.retryinfo-bin"])
            assert told == retry


async def test_a_call_that_takes_too_long_is_given_up() -> None:
    async with serving() as served:
        end = await call_by_hand(served, b"\0", ended=False, headers={"grpc-timeout": "200m"})
        assert int(end["grpc-status"]) == Code.DEADLINE_EXCEEDED


async def test_who_goes_silent_in_a_message_may_send_it_again() -> None:
    async with serving(stream=Pacing(body_timeout=0.2)) as served:
        end = await call_by_hand(served, b"\0\0\0", ended=False)
        assert int(end["grpc-status"]) == Code.UNAVAILABLE
        assert "stream.body_timeout" in end["grpc-message"]


async def test_messages_in_other_frames_and_encodings() -> None:
    async with serving() as served:
        body = request_of("a")
        assert (await call_by_hand(served, message(body)))["grpc-status"] == "0"
        for coding, encoded in (("deflate", zlib.compress(body)), ("zstd", zstd.compress(body))):
            framed = b"\1" + message(encoded)[1:]
            end = await call_by_hand(served, framed, headers={"grpc-encoding": coding})
            assert end["grpc-status"] == "0", end
        end = await call_by_hand(served, message(body), headers={"grpc-encoding": "snappy"})
        assert int(end["grpc-status"]) == Code.UNIMPLEMENTED
        end = await call_by_hand(served, b"\1" + message(b"x")[1:])
        assert int(end["grpc-status"]) == Code.INVALID_ARGUMENT


async def test_calls_of_one_connection_are_answered_side_by_side() -> None:
    async with serving() as served:
        with Client(served) as client:
            async with trio.open_nursery() as nursery:
                answers: list[Answer] = []

                async def one(number: int) -> None:
                    answers.append(await client.export(request_of(f"m{number}")))

                for number in range(20):
                    nursery.start_soon(one, number)
            assert {answer.code for answer in answers} == {grpc.StatusCode.OK}


@pytest.mark.parametrize("timeout", ["1S", "50m", "99999999u"])
def test_timeouts_are_read(timeout: str) -> None:
    factor = {"S": 1.0, "m": 1e-3, "u": 1e-6}[timeout[-1]]
    found = seconds_of(timeout)
    assert found is not None
    assert math.isclose(found, int(timeout[:-1]) * factor)


@pytest.mark.parametrize("timeout", ["", "S", "1", "-1S", "123456789S", "1s", "1S "])
def test_other_timeouts_are_none(timeout: str) -> None:
    assert seconds_of(timeout) is None


@settings(deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(1, 50)))
def test_a_message_comes_in_any_parts(body: bytes, sizes: list[int]) -> None:
    whole, framed = OneMessage(300), message(body)
    for size in sizes:
        whole.feed(framed[:size])
        framed = framed[size:]
    whole.feed(framed)
    assert whole.finish() == (body, False)


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b"\x02\0\0\0\0", Malformed),
        (b"\0\0\0\0\x0bhello world", TooLarge),
        (b"\0\xff\xff\xff\xff", TooLarge),
        (message(b"a") + message(b"b"), Malformed),
    ],
)
def test_no_message_is_refused_as_soon_as_that_is_known(sent: bytes, kind: type) -> None:
    with pytest.raises(kind):
        OneMessage(10).feed(sent)


@pytest.mark.parametrize("sent", [b"", b"\0\0\0", message(b"hello")[:-1]])
def test_half_a_message_is_none(sent: bytes) -> None:
    half = OneMessage(10)
    half.feed(sent)
    with pytest.raises(Malformed):
        half.finish()


def test_what_goes_wrong_is_told_in_any_words() -> None:
    fields = dict(trailers(Code.INVALID_ARGUMENT, "100 % schön\n"))
    assert fields[b"grpc-message"] == b"100 %25 sch%C3%B6n%0A"
    assert len(dict(trailers(Code.INTERNAL, "ö" * 10_000))[b"grpc-message"]) <= 6000


async def test_a_bomb_costs_what_may_be_sent() -> None:
    async with serving(limits=Limits(body_bytes=100_000)) as served:
        bomb = gzip.compress(bytes(50_000_000))
        assert len(bomb) < 100_000
        with Client(served) as client:
            answer = await client.export(bytes(50_000_000), compression=grpc.Compression.Gzip)
            assert answer.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_tokens_are_metadata(tmp_path: Any) -> None:
    may, id_, hash_ = make_key()
    file = tmp_path / "keys.toml"
    file.write_text(
        table_of(id_, hash_, name="", read=(), write=('{__name__="a"}',), operator=False)
    )
    auth = Auth(mode="keys", keys_file=str(file))
    async with serving(auth=auth) as served:
        with Client(served) as client:
            answer = await client.export(request_of("a"))
            assert answer.code is grpc.StatusCode.UNAUTHENTICATED
            token = [("authorization", f"Bearer {may}")]
            answer = await client.export(request_of("a", "b"), metadata=token)
            assert answer.code is grpc.StatusCode.OK
            assert answer.partial.rejected_data_points >= 1
            assert (await client.call(CHECK, b"")).code is grpc.StatusCode.OK


async def test_a_second_port_serves_the_same() -> None:
    (port,) = free_ports(1)
    async with serving(server=Server(port=0, grpc_port=port)) as served:
        second = Served(f"http://127.0.0.1:{port}", served.http, served.drain)
        with Client(second) as client:
            assert (await client.export(request_of("a"))).code is grpc.StatusCode.OK
        assert await value_of(served, "a") == 1.0
    with socket.socket() as sock:
        assert sock.connect_ex(("127.0.0.1", port)) != 0


def documented() -> str:
    """What docs/producers.md says is to be set for gRPC."""
    text = (Path(__file__).parents[1] / "docs" / "producers.md").read_text()
    block = re.search(r"run by tests/test_grpc.py -->\n```sh\n(.*?)```", text, re.DOTALL)
    assert block is not None
    return block[1]


async def test_the_sdk_exports_and_a_stream_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as served, served.documents("text/event-stream") as documents:
        for name, value in re.findall(r"(OTEL_\w+)=(\S+)", documented()):
            monkeypatch.setenv(name, value.replace(":8080", f":{served.port}"))
        exporter = OTLPMetricExporter()
        program = Program(PeriodicExportingMetricReader(exporter, math.inf))
        try:
            program.work()
            await program.flush()
            names: set[str] = set()
            with trio.fail_after(30):
                while "http_server_requests_total" not in names:
                    points = await next_of(documents, "points")
                    names |= {series["name"] for series in points["series"]}
            assert await value_of(served, "http_server_requests_total") == 2.0
        finally:
            await trio.to_thread.run_sync(program.end)


async def test_what_comes_while_the_service_ends_is_sent_again() -> None:
    """A stream that is reset with REFUSED_STREAM was not begun (RFC 9113 section 8.7)."""
    server = Server(port=0, shutdown_timeout=5.0)
    async with serving(server=server) as served:
        peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        peer.initiate_connection()
        fields = [(":method", "POST"), (":scheme", "http"), (":path", EXPORT), (":authority", "x")]
        fields += [("content-type", "application/grpc"), ("te", "trailers")]
        peer.send_headers(1, fields)  # it keeps the connection open, as its message is to come
        async with await served.raw(peer.data_to_send()) as stream:
            await served.wait_metric("pushsvc_connections", 2)
            served.drain.set()
            reset: list[int] = []
            with trio.fail_after(30):
                while not reset:
                    await trio.sleep(0.1)
                    peer.send_headers(peer.get_next_available_stream_id(), fields)
                    await stream.send_all(peer.data_to_send())
                    with trio.move_on_after(0.1):
                        events = peer.receive_data(bytes(await stream.receive_some(65536)))
                        resets = (e for e in events if isinstance(e, h2.events.StreamReset))
                        reset += [int(event.error_code) for event in resets]
            assert reset[0] == h2.errors.ErrorCodes.REFUSED_STREAM


async def test_the_sdk_waits_for_a_service_that_is_away() -> None:
    (port,) = free_ports(1)
    exporter = OTLPMetricExporter(f"http://127.0.0.1:{port}", timeout=30)
    program = Program(PeriodicExportingMetricReader(exporter, math.inf))
    try:
        program.work()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(program.flush)
            await trio.sleep(0.5)
            async with serving(server=Server(port=port)) as served:
                with trio.fail_after(30):
                    while not (await served.http.get("/v1/series")).json()["series"]:
                        await trio.sleep(0.05)
                assert await value_of(served, "http_server_requests_total") == 2.0
    finally:
        await trio.to_thread.run_sync(program.end)


COLLECTED = """\
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "127.0.0.1:%(taken)d"}
exporters:
  otlp/pushsvc:
    endpoint: "127.0.0.1:%(port)d"
    tls: {insecure: true}
    retry_on_failure: {initial_interval: 100ms, max_interval: 500ms}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    metrics: {receivers: [otlp], exporters: [otlp/pushsvc]}
"""


@pytest.mark.skipif(
    not golang.COLLECTOR.path.exists(),
    reason="the Collector isn't compiled (python -m tests.golang does it, by Go)",
)
async def test_the_collector_passes_on_what_it_gets_over_a_restart(tmp_path: Path) -> None:
    taken, port = free_ports(2)
    configured = tmp_path / "collector.yaml"
    configured.write_text(COLLECTED % {"taken": taken, "port": port})
    program = [str(golang.COLLECTOR.path), "--config", str(configured)]
    process = await trio.lowlevel.open_process(program, stderr=subprocess.DEVNULL)
    channel = grpc.insecure_channel(f"127.0.0.1:{taken}")
    call = channel.unary_unary(EXPORT)

    def export(value: float) -> None:
        call(request_of("a", value=value), timeout=30, wait_for_ready=True)

    async def arrives(served: Served, value: float) -> None:
        async with served.documents("text/event-stream", select="a") as documents:
            while True:
                points = (await next_of(documents, "points"))["points"]
                if any(point[2] == value for point in points):
                    return

    try:
        async with serving(server=Server(port=port)) as served:
            await trio.to_thread.run_sync(export, 1.0)
            with trio.fail_after(30):
                await arrives(served, 1.0)
        await trio.to_thread.run_sync(export, 2.0)  # while nobody takes it
        async with serving(server=Server(port=port)) as served:
            with trio.fail_after(30):
                await arrives(served, 2.0)
    finally:
        channel.close()
        process.kill()
        await process.wait()
