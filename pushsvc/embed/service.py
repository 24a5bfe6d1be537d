"""A service within another program: `open_service`, and the object that it gives."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from numbers import Real
from typing import Any, TypeAlias

import msgspec
import trio

from pushsvc.app.producers.answers import Applied
from pushsvc.client.errors import Busy, Refused
from pushsvc.config import ConfigError, Settings, load_settings
from pushsvc.core.delivery.merge import Merge
from pushsvc.embed.errors import alone, translated, without_groups
from pushsvc.embed.subscription import DocumentSubscription, Subscription, read
from pushsvc.ingest.idempotency import fingerprint
from pushsvc.ingest.native import MSGPACK
from pushsvc.pipeline import now_ms
from pushsvc.service import Running, run_until_closed

Samples: TypeAlias = Iterable[Mapping[str, Any]]
"""A batch: each sample has `name` and `value` (a finite number; text or a boolean of a state; None
where the series has no value from then on), and may have `labels` (of text to text), `time` (Unix
milliseconds; now, if not said), `kind` (gauge, counter, delta, state), `unit` and `help`."""

_BIG = 128 * 1024
"""Bytes beyond which a batch is decoded in a thread, so that no stream waits for it."""


class Service:
    """A service that runs in this program, made by `open_service`.

    Its methods may be called from any task of the Trio program that it runs in.
    """

    def __init__(self, running: Running, drain: trio.Event) -> None:
        self._running = running
        self._context = running.context
        self._drain = drain

    @property
    def urls(self) -> tuple[str, ...]:
        """Where it listens, if it does; for a Unix socket, a command that connects to it."""
        return self._running.urls

    @property
    def cursor(self) -> str:
        """The cursor of the newest batch: `subscribe(since=service.cursor)` gives everything after
        it."""
        return str(self._context.hub.cursor)

    async def publish(self, samples: Samples, *, key: str | None = None) -> Applied:
        """Publish one batch, of which all or nothing is applied. Returns when it is applied (and in
        the journal, as durably as that is configured): the number of samples, the cursor after
        them, and the number of subscribers that watch them.

        Batches of one task are applied in its order. While the service is behind, or its log can't
        be reached, this waits without a limit: put a timeout around it (`trio.fail_after`). Always
        checkpoints. If it is cancelled, the batch may still be applied; with a `key` (text that no
        other batch has, for five minutes) it may be sent again and is applied once.

        Raises Refused for an invalid batch, and says which sample it is; Busy where the log
        couldn't take it, or lost it: it may be sent again after `retry_after` seconds;
        trio.ClosedResourceError when the service is closed, BrokenResourceError when it ended while
        this waited, TypeError for objects that aren't samples.
        """
        with translated():
            batch, once = await self._read(samples, key)
            return Applied.of(await self._context.pipeline.submit_patiently(batch, once))

    def open_producer(
        self,
        max_buffer_size: float = 0,
        *,
        refused: Callable[[Samples, Refused], None] | None = None,
    ) -> AbstractAsyncContextManager[trio.MemorySendChannel[Samples]]:
        """A channel of batches, for a task that doesn't want to wait for answers.

            async with service.open_producer() as batches:
                await batches.send([{"name": "queue_length", "value": 12}])

        Batches are published in the order in which they were sent, one at a time. While the service
        is behind, or its log can't be reached, up to `max_buffer_size` batches wait; then `send`
        waits too, and `send_nowait` raises trio.WouldBlock. Leaving the block closes the channel
        and waits until all that was sent is applied, also by clones that are still open.

        A refused batch ends the block with that Refused. If there is a function `refused`, it is
        called with the batch and the error instead, and the next batch is published. What the log
        couldn't take is tried again. If the service ends first, the block ends with
        trio.ClosedResourceError or BrokenResourceError. A cancelled block drops batches that aren't
        applied yet.
        """
        return _open_producer(self, max_buffer_size, refused)

    def subscribe(
        self,
        select: str | Sequence[str] = (),
        *,
        since: str | None = None,
        window: str | float | None = None,
        points: int | None = None,
        max_hz: float | None = None,
        merge: Merge | None = None,
        step: str | float | None = None,
    ) -> Subscription:
        """Watch from now on: a channel of events, to be closed (`async with`).

            async with service.subscribe("queue_length", window="5m") as events:
                async for event in events:
                    ...

        `select` is a PromQL selector or expression, or several; all series if it is empty. `step`
        is the time between results of expressions (`"5s"`, or whole seconds; 1 by default). The
        channel begins after the cursor `since`, or with `window` of history (`"15m"`, or seconds),
        merged to about `points` samples of each series, or else with the newest sample of each.
        `max_hz` is how often in a second there may be new samples (`stream.default_hz`, 10, by
        default), `merge` what becomes of several samples of a series in between: `all` of them,
        the `last`, or the `envelope` (last, lowest, highest).

        Doesn't checkpoint. Raises Refused for invalid parameters, Busy at the limit of subscribers,
        trio.ClosedResourceError when the service is closed or drained.
        """
        self._refuse_when_closed()
        with translated():
            spec, start = read(self._context, select, since, window, points, max_hz, merge, step)
            return Subscription(self._context, spec, start)

    def subscribe_documents(
        self,
        select: str | Sequence[str] = (),
        *,
        since: str | None = None,
        window: str | float | None = None,
        points: int | None = None,
        max_hz: float | None = None,
        merge: Merge | None = None,
        step: str | float | None = None,
    ) -> DocumentSubscription:
        """Like `subscribe`, for programs that pass documents of the protocol on: a channel of
        documents as JSON in bytes, `hello` first. Doesn't checkpoint; raises what `subscribe`
        does."""
        self._refuse_when_closed()
        with translated():
            spec, start = read(self._context, select, since, window, points, max_hz, merge, step)
            return DocumentSubscription(self._context, spec, start)

    async def drain(self) -> None:
        """Tell all subscribers to come back later, local and remote ones, and accept no new ones.
        Returns when that is done, within `server.drain_timeout` seconds. Samples are still
        accepted. Call it before stopping a server that isn't the service's own; leaving
        `open_service` does it by itself. Idempotent; always checkpoints."""
        self._drain.set()
        await self._running.drained.wait()

    def statistics(self) -> ServiceStatistics:
        """Counts and state of the service at this moment. Doesn't checkpoint."""
        hub, waiting = self._context.hub, self._context.pipeline.statistics()
        return ServiceStatistics(
            len(hub.catalog),
            len(hub.subscribers),
            waiting.current_buffer_used + waiting.tasks_waiting_send,
            hub.counts["samples"],
            self._context.journal.away_since is not None,
        )

    def _refuse_when_closed(self) -> None:
        if self._context.draining.is_set():
            raise trio.ClosedResourceError("the service is closed, or was drained")

    async def _read(self, samples: Samples, key: str | None) -> tuple[Any, bytes]:
        """The decoded batch, and the fingerprint by which a repetition with this key is recognised
        (empty without a key). Raises Problem."""
        if isinstance(samples, Mapping | str):
            raise TypeError("a batch is a list of samples, not one of them")
        body = msgspec.msgpack.encode({"samples": list(samples)}, enc_hook=_number)
        once = b""
        if key is not None:
            once = fingerprint(f"embedded {key}".encode(), "") + fingerprint(body, "")
        decode = partial(self._context.native.batch, body, now_ms(), MSGPACK)
        batch = await self._context.decoding.run(decode) if len(body) > _BIG else decode()
        return batch, once


class ServiceStatistics(msgspec.Struct, frozen=True):
    """What `Service.statistics` tells."""

    series: int
    """Series that the service has at present."""
    subscribers: int
    """Subscribers over all transports, in this process."""
    waiting: int
    """Batches that wait for the log: those in `limits.ingest_queue`, and those that wait for a
    place there."""
    samples: int
    """Samples applied since the start, including those of a log that was read then."""
    away: bool
    """Whether the log can't be reached."""


def _number(value: object) -> float:
    """Convert number types of other libraries, such as NumPy's. Raises TypeError."""
    if isinstance(value, Real):
        return float(value)
    raise TypeError(f"a sample has no {type(value).__name__}: {value!r}")


@asynccontextmanager
async def _open_producer(
    service: Service, max_buffer_size: float, refused: Callable[[Samples, Refused], None] | None
) -> AsyncGenerator[trio.MemorySendChannel[Samples]]:
    send, receive = trio.open_memory_channel[Samples](max_buffer_size)

    async def publish() -> None:
        # Closed by the block: tasks that send are cancelled by the error, and don't get an error of
        # the channel.
        async for samples in receive:
            batch = list(samples) if not isinstance(samples, Mapping) else samples
            while True:
                try:
                    await service.publish(batch)
                except Busy as busy:
                    await trio.sleep(busy.retry_after)
                    continue
                except Refused as error:
                    if refused is None:
                        raise
                    refused(batch, error)
                break

    with alone():
        async with send, receive, trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            async with send:
                yield send


@asynccontextmanager
async def open_service(
    config: Settings | Mapping[str, Any] | None = None, *, listen: bool = False
) -> AsyncGenerator[Service]:
    """Run a service for as long as the block lasts.

        async with open_service({"journal": {"path": "push.db"}}) as service:
            ...

    `config` has the sections and keys of the file of `pushsvc serve`, or is the result of
    `load_settings`; without it all settings have their defaults. With `listen` the service also
    serves HTTP at `server.host` and `server.port` (`service.urls`); without, samples come in and
    go out through `service`, and through `create_app`. Several services may run in one program,
    each with a log of its own. The program's signal handlers and logging aren't touched. Only with
    `listen`, Hypercorn's HTTP/2 and WebSocket protocols are replaced in this process, by ones with
    bounded buffers for slow clients.

    The block begins when the log has been read. Leaving it drains the service: subscribers are told
    to come back, requests are finished, and everything published is in the log. An error in the
    block, or a cancellation, ends the service at once and is passed on unchanged. An error of the
    service cancels the block and is raised in its place.

    Raises ConfigError for a wrong value, or if the service would be reachable for others without
    access control; JournalError where the log can't be opened, or fails later; OSError where an
    address can't be listened on; CertificateError. Checkpoints.
    """
    settings = _settings(config, listen=listen)
    drain, close = trio.Event(), trio.Event()
    block = trio.CancelScope()
    with alone():
        async with trio.open_nursery() as nursery:
            running: Running = await nursery.start(_run, settings, drain, close, block)
            try:
                with block:
                    yield Service(running, drain)
            except BaseException:
                nursery.cancel_scope.cancel()
                raise
            drain.set()
            close.set()


async def _run(
    settings: Settings,
    drain: trio.Event,
    close: trio.Event,
    block: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[Running],
) -> None:
    def ended() -> None:
        if not close.is_set():
            # first, so that the block gets no error that is only a consequence of this one
            block.cancel()

    with without_groups():
        await run_until_closed(
            settings, drain=drain, close=close, started=task_status.started, ended=ended
        )


def _settings(config: Settings | Mapping[str, Any] | None, *, listen: bool) -> Settings:
    """The settings, checked. Raises ConfigError."""
    given = msgspec.to_builtins(config) if isinstance(config, Settings) else config
    settings = load_settings(given)
    if settings.server.workers != 1:
        raise ConfigError("config: server.workers must be 1: within a program it is one process")
    if listen:
        return settings
    server = msgspec.structs.replace(settings.server, host=(), certfile="", keyfile="")
    return msgspec.structs.replace(settings, server=server)
