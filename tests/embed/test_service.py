"""A service in the program's own process: publishing, watching, closing, and what goes wrong."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from pushsvc import (
    Busy,
    ConfigError,
    DocumentSubscription,
    Event,
    Gap,
    JournalError,
    Points,
    Refused,
    Service,
    Settings,
    Subscription,
    load_settings,
    open_service,
)
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Overloaded
from pushsvc.journal.memory import MemoryJournal


def sample(value: Any, name: str = "n", **members: Any) -> dict[str, Any]:
    return {"name": name, "value": value, **members}


async def values(events: Subscription, count: int) -> list[Any]:
    """Values of so many samples."""
    found: list[Any] = []
    with trio.fail_after(30):
        while len(found) < count:
            event = await events.receive()
            if isinstance(event, Points):
                found += [each.value for each in event.samples]
    return found


# -- publishing ------------------------------------------------------------------------------------


async def test_what_is_published_is_applied_and_watched() -> None:
    async with open_service() as service, service.subscribe("n") as events:
        applied = await service.publish(
            [sample(1, labels={"a": "b"}, unit="bytes"), sample(2, "m")]
        )
        assert (applied.applied, applied.id, applied.watchers) == (2, service.cursor, 1)
        with trio.fail_after(30):
            event = await events.receive()
        assert isinstance(event, Points)
        [point] = event.samples
        assert (point.value, point.series.labels, point.series.unit) == (1.0, {"a": "b"}, "bytes")
        assert events.cursor == event.cursor == service.cursor
        assert events.series == {point.series.ref: point.series}
        with pytest.raises(trio.WouldBlock):
            events.receive_nowait()


@pytest.mark.parametrize(
    ("batch", "code", "says"),
    [
        ([sample(1), sample(float("nan"))], "value", r"samples\[1\]: value of n is out of range"),
        ([sample(1, "")], "name", r"samples\[0\]: metric name is empty"),
        ([sample("up")], "kind", "n"),
        ([{"name": "n"}], "schema", "missing required field `value`"),
        ([sample(1, lables={})], "schema", "unknown field `lables`"),
        ([sample(1, time=1.5)], "schema", r"Expected `int \| null`, got `float`"),
    ],
)
async def test_a_batch_is_refused_as_a_whole(
    batch: list[dict[str, Any]], code: str, says: str
) -> None:
    async with open_service() as service:
        with pytest.raises(Refused, match=says) as refused:
            await service.publish(batch)
        assert refused.value.code == code
        assert service.statistics().samples == 0


async def test_what_is_no_batch_is_a_mistake_of_the_program() -> None:
    async with open_service() as service:
        with pytest.raises(TypeError, match="a batch is a list of samples"):
            await service.publish(sample(1))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="a sample has no object"):
            await service.publish([sample(object())])
        assert (await service.publish([])).applied == 0
        assert (await service.publish(iter([sample(1)]))).applied == 1


async def test_a_key_counts_once() -> None:
    async with open_service() as service:
        first = await service.publish([sample(1, kind="delta")], key="a")
        assert await service.publish([sample(1, kind="delta")], key="a") == first
        assert service.statistics().samples == 1
        with pytest.raises(Refused, match="another body"):
            await service.publish([sample(2, kind="delta")], key="a")


async def test_a_large_batch_is_read_in_a_thread() -> None:
    async with open_service() as service:
        batch = [sample(number, labels={"number": str(number)}) for number in range(10_000)]
        assert (await service.publish(batch)).applied == 10_000


async def test_a_closed_service_says_so() -> None:
    async with open_service() as service:
        pass
    with pytest.raises(trio.ClosedResourceError, match="the service is closed"):
        await service.publish([sample(1)])
    with pytest.raises(trio.ClosedResourceError, match="the service is closed"):
        service.subscribe()
    with pytest.raises(trio.ClosedResourceError, match="the service is closed"):
        service.subscribe_documents()
    await service.drain()


class StuckJournal(MemoryJournal):
    """Takes nothing until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = trio.Event()
        self.failures = 0

    async def append(self, drafts: Any) -> Any:
        await self.let.wait()
        if self.failures:
            self.failures -= 1
            raise Overloaded("journal", "the disk is full", retry_after=0.01)
        return await super().append(drafts)


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> list[StuckJournal]:
    made: list[StuckJournal] = []

    def make() -> StuckJournal:
        made.append(StuckJournal())
        return made[-1]

    monkeypatch.setattr("pushsvc.journal.opening.MemoryJournal", make)
    return made


async def test_publishing_waits_as_long_as_it_takes(stuck: list[StuckJournal]) -> None:
    settings = {"limits": {"ingest_queue": 1}, "stream": {"ingest_wait": 0.001}}
    async with open_service(settings) as service:
        applied: list[int] = []

        async def publish() -> None:
            applied.append((await service.publish([sample(1)])).applied)

        with trio.move_on_after(0.02) as scope:
            await service.publish([sample(1)])
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(publish)
            await trio.testing.wait_all_tasks_blocked()
            assert (applied, service.statistics().waiting >= 4) == ([], True)
            stuck[0].let.set()
        assert applied == [1] * 5
        assert service.statistics().samples == 6  # that which was cancelled as well


async def test_a_log_that_takes_nothing_is_told(stuck: list[StuckJournal]) -> None:
    async with open_service() as service:
        stuck[0].failures = 1
        stuck[0].let.set()
        with pytest.raises(Busy, match="the disk is full") as busy:
            await service.publish([sample(1)])
        assert busy.value.retry_after == 0.01
        assert (await service.publish([sample(1)])).applied == 1


# -- a channel of batches --------------------------------------------------------------------------


async def test_a_channel_is_applied_in_order_when_its_block_ends() -> None:
    async with open_service() as service, service.subscribe("n") as events:
        async with service.open_producer(10) as batches:
            for number in range(20):
                await batches.send([sample(number)])
        assert service.statistics().samples == 20
        assert await values(events, 20) == list(range(20))
        with pytest.raises(trio.ClosedResourceError):
            await batches.send([sample(1)])


async def test_a_full_channel_waits(stuck: list[StuckJournal]) -> None:
    async with open_service() as service, service.open_producer(2) as batches:
        for number in range(3):
            await batches.send([sample(number)])
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.WouldBlock):
            batches.send_nowait([sample(3)])
        with trio.move_on_after(0.02) as scope:
            await batches.send([sample(3)])
        assert scope.cancelled_caught
        stuck[0].failures = 2  # which is tried again
        stuck[0].let.set()
        await batches.send([sample(4)])
        await batches.aclose()
        while service.statistics().samples < 4:
            await trio.sleep(0.001)


async def test_a_refused_batch_ends_the_block() -> None:
    async with open_service() as service:
        with pytest.raises(Refused, match=r"samples\[0\]: metric name is empty"):
            async with service.open_producer() as batches:
                await batches.send([sample(1, "")])
                await trio.sleep_forever()
        assert (await service.publish([sample(1)])).applied == 1


@pytest.mark.parametrize("size", [0, 3])
async def test_who_is_sending_when_a_batch_is_refused_is_told_of_that(size: int) -> None:
    async with open_service() as service:
        for _ in range(10):  # tasks run in any order
            with pytest.raises(Refused, match="metric name is empty"):
                async with service.open_producer(size) as batches:
                    while True:
                        await batches.send([sample(1, "")])


@pytest.mark.parametrize("size", [0, 3])
async def test_who_is_sending_when_the_service_is_closed_is_told_of_that(size: int) -> None:
    async def produce(service: Service, task_status: trio.TaskStatus[None]) -> None:
        with pytest.raises(trio.ClosedResourceError, match="the service is closed"):
            async with service.open_producer(size) as batches:
                task_status.started()
                while True:
                    await batches.send([sample(1)])

    for _ in range(10):  # tasks run in any order
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                async with open_service() as service:
                    await nursery.start(produce, service)
                    await service.publish([sample(2)])


async def test_a_refused_batch_is_told_to_who_wants_to_go_on() -> None:
    told: list[tuple[list[Mapping[str, Any]], str]] = []

    def refused(batch: Iterable[Mapping[str, Any]], error: Refused) -> None:
        told.append((list(batch), error.code))

    async with open_service() as service:
        async with service.open_producer(refused=refused) as batches:
            await batches.send(iter([sample(1, "")]))
            await batches.send([sample(1)])
        assert told == [([sample(1, "")], "name")]
        assert service.statistics().samples == 1


async def test_a_channel_of_a_service_that_is_closed_says_so() -> None:
    with pytest.raises(trio.ClosedResourceError, match="the service is closed"):
        async with open_service() as service:
            pass
        async with service.open_producer() as batches:
            await batches.send([sample(1)])
            await trio.sleep_forever()


async def test_an_error_in_the_block_is_that_error() -> None:
    with pytest.raises(ValueError, match="why"):
        async with open_service() as service, service.open_producer():
            raise ValueError("why")


# -- watching --------------------------------------------------------------------------------------


async def test_a_cursor_goes_on_where_it_was() -> None:
    async with open_service() as service:
        await service.publish([sample(1)])
        since = service.cursor
        await service.publish([sample(2)])
        await service.publish([sample(3)])
        async with service.subscribe("n", since=since, merge="all") as events:
            assert await values(events, 2) == [2.0, 3.0]
            since = events.cursor or ""
        await service.publish([sample(4)])
        async with service.subscribe(["n"], since=since) as events:
            assert await values(events, 1) == [4.0]
        async with service.subscribe("n", window="5m") as events:
            assert await values(events, 4) == [1.0, 2.0, 3.0, 4.0]
        async with service.subscribe("n", since="another.7") as events:
            with trio.fail_after(30):
                assert isinstance(await events.receive(), Gap)


async def test_who_comes_late_is_told_what_is_lost() -> None:
    async with open_service({"history": {"samples": 10}}) as service:
        await service.publish([sample(-1)])
        since = service.cursor
        for number in range(18):
            await service.publish([sample(number)])
        async with service.subscribe("n", since=since) as events:
            with trio.fail_after(30):
                gap = await events.receive()
            assert isinstance(gap, Gap)
            assert (gap.lost, await values(events, 10)) == (8, list(range(8, 18)))


async def test_a_slow_reader_is_given_merged_points_that_add_up() -> None:
    async with open_service() as service, service.subscribe("n", merge="last") as events:
        for number in range(500):
            await service.publish([sample(number)])
        count, newest = 0, None
        with trio.fail_after(30):
            while count < 500:
                event = await events.receive()
                assert isinstance(event, Points)
                count += sum(each.count for each in event.samples)
                newest = event.samples[-1].value
        assert (count, newest) == (500, 499.0)


async def test_results_of_expressions_come_at_the_step_that_was_asked_for() -> None:
    async with open_service() as service, service.subscribe("sum(n)", step="2s") as events:
        await service.publish([sample(1), sample(2, "n", labels={"a": "b"})])
        with trio.fail_after(60):
            event = await events.receive()
            assert isinstance(event, Points)
            assert [(each.value, each.time % 2000) for each in event.samples] == [(3.0, 0)]
            events.watch("count(n)", step=3)
            while not (isinstance(event, Points) and event.samples[0].value == 2.0):
                event = await events.receive()
            assert event.samples[0].time % 3000 == 0
        async with service.subscribe_documents("sum(n)", step=5) as documents:
            assert b"sum(n)" in await documents.receive()
        with pytest.raises(Refused, match="step must be whole seconds"):
            service.subscribe("sum(n)", step=0.5)


async def test_what_is_watched_can_be_changed() -> None:
    async with open_service() as service, service.subscribe("a") as events:
        await service.publish([sample(1, "a"), sample(2, "b")])
        assert await values(events, 1) == [1.0]
        events.watch(["a", "b"])
        assert await values(events, 1) == [2.0]
        with pytest.raises(Refused):
            events.watch("{")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"select": "{"}, "selector"),
        ({"since": "?"}, "cursor"),
        ({"window": "soon"}, "window"),
        ({"window": -1.0}, "window"),
        ({"points": 100}, "points"),
        ({"max_hz": 0.0}, "max_hz"),
        ({"merge": "some"}, "merge"),
    ],
)
async def test_what_cant_be_watched_is_refused_at_once(asked: dict[str, Any], code: str) -> None:
    async with open_service() as service:
        with pytest.raises(Refused) as refused:
            service.subscribe(**asked)
        assert refused.value.code == code
        assert service.statistics().subscribers == 0


async def test_a_cursor_of_what_never_was_is_refused() -> None:
    async with open_service() as service:
        epoch = service.cursor.partition(".")[0]
        with pytest.raises(Refused, match="ahead"):
            service.subscribe(since=f"{epoch}.7")


async def test_there_are_as_many_subscribers_as_may_be() -> None:
    async with open_service({"limits": {"subscribers": 1}}) as service:
        async with service.subscribe():
            with pytest.raises(Busy, match=r"limits\.subscribers"):
                service.subscribe()
        await service.subscribe().aclose()


async def test_documents_are_those_of_the_wire() -> None:
    async def document_of(documents: DocumentSubscription, kind: str) -> bytes:
        with trio.fail_after(30):
            while True:
                document = await documents.receive()
                said = msgspec.json.decode(document)
                if said["type"] == kind and said.get("points") != []:
                    return document

    async with (
        open_service() as service,
        service.subscribe_documents("n") as first,
        service.subscribe_documents("n") as second,
    ):
        await document_of(first, "hello")
        await document_of(second, "hello")
        await service.publish([sample(1)])
        document = await document_of(first, "points")
        assert await document_of(second, "points") is document
        assert msgspec.json.decode(document)["id"] == first.cursor == service.cursor
        await service.drain()
        await document_of(first, "goaway")
        with pytest.raises(trio.EndOfChannel):
            await first.receive()


async def test_one_task_receives() -> None:
    async with open_service() as service, service.subscribe() as events:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(events.receive)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await events.receive()
            nursery.cancel_scope.cancel()


async def test_a_closed_subscription_says_so() -> None:
    async with open_service() as service:
        events = service.subscribe()
        async with trio.open_nursery() as nursery:

            async def receive() -> None:
                with pytest.raises(trio.ClosedResourceError, match="this subscription is closed"):
                    await events.receive()

            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            await events.aclose()
        assert service.statistics().subscribers == 0
        await events.aclose()


# -- endings ---------------------------------------------------------------------------------------


async def test_who_waits_when_it_is_closed_is_given_all_and_ends() -> None:
    got: list[Event] = []

    async def watch(service: Service, task_status: trio.TaskStatus[None]) -> None:
        async with service.subscribe("n", max_hz=0.1) as events:
            await service.publish([sample(0)])
            got.append(await events.receive())
            task_status.started()
            async for event in events:
                got.append(event)  # noqa: PERF401 - as people write it

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            async with open_service() as service:
                await nursery.start(watch, service)
                await service.publish([sample(1)])
    assert [each.value for one in got if isinstance(one, Points) for each in one.samples] == [0, 1]


async def test_an_error_of_the_service_cancels_the_block_and_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: object, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await broken.wait()
        raise JournalError("the disk is gone")

    monkeypatch.setattr("pushsvc.pipeline.Pipeline.run_sweeps", fail)
    broken, said = trio.Event(), list[str]()

    async def watch(service: Service) -> None:
        with pytest.raises(trio.BrokenResourceError, match="the service ended"):
            await service.subscribe().receive()
        said.append("watch")

    async def publish(service: Service) -> None:
        with pytest.raises(trio.BrokenResourceError, match="before it was known"):
            await service.publish([sample(1)])
        said.append("publish")

    monkeypatch.setattr("pushsvc.journal.opening.MemoryJournal", StuckJournal)
    with trio.fail_after(30):
        async with trio.open_nursery() as outside:
            with pytest.raises(JournalError, match="the disk is gone") as error:
                async with open_service() as service:
                    outside.start_soon(watch, service)
                    outside.start_soon(publish, service)
                    await trio.testing.wait_all_tasks_blocked()
                    broken.set()
                    await trio.sleep_forever()
            assert error.value.__context__ is None
            with trio.fail_after(30):
                await service.drain()
    assert sorted(said) == ["publish", "watch"]
    with pytest.raises(trio.ClosedResourceError):
        await service.publish([sample(1)])


async def break_when_blocked(broken: trio.Event) -> None:
    await trio.testing.wait_all_tasks_blocked()
    broken.set()


@pytest.mark.parametrize("waits", ["publish", "receive", "send"])
async def test_the_block_is_told_of_the_error_and_not_of_its_consequences(
    waits: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await broken.wait()
        raise JournalError("the disk is gone")

    monkeypatch.setattr("pushsvc.pipeline.Pipeline.run_sweeps", fail)
    monkeypatch.setattr("pushsvc.journal.opening.MemoryJournal", StuckJournal)
    for _ in range(5):  # tasks run in any order
        broken = trio.Event()
        with trio.fail_after(30), pytest.raises(JournalError, match="the disk is gone"):
            async with open_service() as service, trio.open_nursery() as nursery:
                nursery.start_soon(break_when_blocked, broken)
                if waits == "publish":
                    await service.publish([sample(1)])
                elif waits == "receive":
                    while True:
                        await service.subscribe().receive()
                else:
                    async with service.open_producer() as batches:
                        while True:
                            await batches.send([sample(1)])


async def test_an_error_of_the_block_passes_as_it_is() -> None:
    with pytest.raises(ValueError, match="why") as error:
        async with open_service():
            raise ValueError("why")
    assert error.value.__context__ is None
    with pytest.raises(ExceptionGroup) as group:
        async with open_service():
            raise ExceptionGroup("two", [ValueError("one"), KeyError("two")])
    assert {type(each) for each in group.value.exceptions} == {ValueError, KeyError}


async def test_a_cancelled_block_ends_at_once() -> None:
    with trio.move_on_after(0.05) as scope:
        async with open_service() as service:
            async with service.open_producer() as batches, service.subscribe("n") as events:
                while True:
                    await batches.send([sample(1)])
                    await events.receive()
    assert scope.cancelled_caught
    with trio.CancelScope() as scope:
        scope.cancel()
        async with open_service():
            raise AssertionError
    assert scope.cancelled_caught


async def test_nothing_of_the_program_is_touched() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers], logging.getLogger().handlers[:]
    async with open_service():
        after = [signal.getsignal(number) for number in numbers], logging.getLogger().handlers[:]
    assert after == before


# -- configuration, journals -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"journal": {"pth": "a"}}, r"config: there is no setting journal\.pth: did you mean jour"),
        ({"jurnal": {}}, r"config: there is no section \[jurnal\]: did you mean journal"),
        ({"limits": {"series": -1}}, r"config: limits\.series must be a whole number above 0"),
        ({"journal": "a"}, "config: journal is a section"),
        ({"server": {"workers": 2}}, r"config: server\.workers must be 1"),
        (Settings(limits=Limits(series=-1)), r"config: limits\.series must be a whole number"),
    ],
)
async def test_a_wrong_value_is_named(config: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        async with open_service(config):
            raise AssertionError


async def test_it_may_only_listen_where_nobody_else_is() -> None:
    config = {"server": {"host": "0.0.0.0"}}
    with pytest.raises(ConfigError, match=r"server\.host is 0\.0\.0\.0, which others can reach"):
        async with open_service(config, listen=True):
            raise AssertionError
    async with open_service(config) as service:
        assert service.urls == ()


def test_settings_come_from_what_is_named(tmp_path: Path) -> None:
    file = tmp_path / "push.toml"
    file.write_text("[limits]\nseries = 5\nviews = 6\nlabels = 7\n")
    settings = load_settings(
        {"limits": {"labels": 9}, "journal": {"path": tmp_path / "log.db"}},
        file=file,
        environ={"PUSHSVC_LIMITS_VIEWS": "8", "HOME": "/"},
    )
    assert (settings.limits.series, settings.limits.views, settings.limits.labels) == (5, 8, 9)
    assert settings.journal.path == str(tmp_path / "log.db")


async def test_a_file_keeps_the_past_and_is_one_services(tmp_path: Path) -> None:
    config = {"journal": {"path": tmp_path / "push.db"}}
    async with open_service(config) as service:
        await service.publish([sample(1)])
        since = service.cursor
        await service.publish([sample(2)])
        with pytest.raises(JournalError, match="is in use by process"):
            async with open_service(config):
                raise AssertionError
        assert (await service.publish([sample(3)])).applied == 1
    async with open_service(config) as service, service.subscribe("n", since=since) as events:
        assert await values(events, 2) == [2.0, 3.0]


async def test_several_may_run_in_one_program() -> None:
    async with open_service() as one, open_service() as other:
        async with one.subscribe() as ones, other.subscribe() as others:
            await one.publish([sample(1)])
            await other.publish([sample(2)])
            assert (await values(ones, 1), await values(others, 1)) == ([1.0], [2.0])
