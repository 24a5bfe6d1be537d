"""The service's metrics of itself: for `/metrics`, and as series of its own.

Values are read where they are when somebody asks; nothing is kept twice, and the hot path has no
extra cost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import trio
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from pushsvc.app.http.context import Context
from pushsvc.core.delivery.negotiate import Transport
from pushsvc.core.model.series import Batch, Kind, Rows, identify
from pushsvc.core.resources.limits import Limits
from pushsvc.core.storage.holdings import Refused
from pushsvc.errors import Problem
from pushsvc.journal import Statistics
from pushsvc.pipeline import now_ms
from pushsvc.version import __version__
from pushsvc.workers.totals import Totals

_KINDS: Final[dict[str, Kind]] = {"counter": "counter", "gauge": "gauge"}
_EVENTS: Final = {
    "samples": "Samples applied.",
    "samples_conflicting": "Samples of a journal left out because the hub had it otherwise.",
    "batches": "Batches applied; each got a sequence number.",
    "ticks": "Ticks of views that made frames.",
    "subscribed": "Subscribers attached, long polls included.",
    "subscribers_refused": "Subscribers refused because there were too many, or too many of one.",
    "connections_refused": "Connections closed at once: there were too many.",
    "connections_refused_by_address": "Connections closed at once: too many from one address.",
    "connections_refused_by_identity": "Connections refused: too many with tokens of one subject.",
    "tls_handshakes_failed": "Connections that ended because the two ends agreed on no keys.",
    "connections_silent": "Connections closed that did not say in time what they want.",
    "streams_refused": "Streams refused because more came than limits.streams_per_second.",
    "subscribers_stalled": "Subscribers disconnected because they took no bytes.",
    "frames": "Frames given to subscribers.",
    "frames_late": "Those of them that came from a view's ring, to subscribers a little behind.",
    "frames_replayed": "Those of them that were made for one subscriber alone.",
    "writes_blocked": "Times a socket took less than it was offered.",
    "subscribers_overtaken": "Times a subscriber fell off its view's ring.",
    "gaps": "Gaps that subscribers were told of.",
    "samples_lost": "Samples that those gaps stood for, where that is known.",
    "http2_streams_reset": "HTTP/2 streams reset, as their client took nothing for too long.",
    "polls_held": "Long polls held back, as they came from one epoch after the other.",
    "subscribers_expired": "Subscribers whose token expired.",
    "subscribers_taken_over": "Streams that ended because someone came back with their ticket.",
    "subscribers_unanswering": "WebSockets cut because no pong came.",
    "series_gone": "Series that fell silent, or were said to be over.",
    "remote_write_refused": "Samples and native histograms of remote write that were refused.",
    "remote_write_passed_over": "Samples of remote write passed over: NaN or infinite.",
    "influx_lines_refused": "Lines of line protocol that were refused.",
    "influx_strings": "Fields of line protocol passed over: strings.",
    "text_lines_refused": "Lines of Prometheus' text format and OpenMetrics that were refused.",
    "text_passed_over": "Samples of these formats passed over: NaN or infinite.",
    "integers_rounded": "Integers of OTLP and line protocol beyond 2^53, maybe rounded.",
    "otlp_points_refused": "OpenTelemetry data points refused, with the reason in the answer.",
    "otlp_points_without_value": "OpenTelemetry data points that said there was no value.",
    "statsd_datagrams": "StatsD datagrams read.",
    "statsd_datagrams_dropped": "StatsD datagrams the kernel dropped: its buffer was full.",
    "statsd_datagrams_too_long": "StatsD datagrams of more than 16 KiB, dropped whole.",
    "statsd_lines": "StatsD lines read.",
    "statsd_lines_bad": "StatsD lines that could not be used; the log has the last reason.",
    "statsd_lines_other": "Events and service checks of DogStatsD, which are passed over.",
    "statsd_lines_refused": "StatsD lines of metrics beyond limits.statsd_series.",
    "statsd_samples_refused": "Samples gathered from StatsD that the hub would not take.",
    "producers_stalled": "Producers' WebSockets cut because no answers were taken.",
    "expression_steps": "Steps of expressions that streams watch.",
    "expression_samples": "Samples that those steps handled.",
    "expression_steps_refused": "Those of them without results, as a limit says.",
    "expressions_refused": "Streams refused because expressions were too many, or too much.",
    "recorded_samples": "Samples of recorded expressions.",
    "recording_failures": "Steps of recorded expressions that gave nothing, for an error.",
    "own_samples_refused": "Samples of the service's own metrics that were left out.",
    "journal_begun_anew": "Times that the log had lost what was read of it, and was begun anew.",
    "ingest_overloaded": "Batches refused because the ingest channel stayed full.",
}


class _OwnMetrics(Collector):
    """Reads the hub and the objects around it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._kept = Statistics(0, 0, 0, 0)

    async def look(self) -> None:
        """Ask the journal, which may need a round trip, for its size."""
        self._kept = await self._context.journal.statistics()

    def collect(self) -> Iterator[Metric]:
        hub, context = self._context.hub, self._context
        yield InfoMetricFamily("pushsvc_build", "This program.", value={"version": __version__})
        totals = hub.totals()
        for event, text in _EVENTS.items():
            yield CounterMetricFamily(f"pushsvc_{event}", text, value=totals[event])
        yield CounterMetricFamily(
            "pushsvc_producers_refused",
            "Times a producer had used up limits.samples_per_second, and was to wait.",
            value=context.pipeline.quotas.refused,
        )
        refused = CounterMetricFamily(
            "pushsvc_access_refused", "Requests refused at the lock, by reason.", labels=["code"]
        )
        for code, count in context.access.refused.items():
            refused.add_metric([code], count)
        yield refused
        for name, text, counts in (
            (
                "refused",
                "Samples (line protocol: lines, OTLP: points) refused of what was taken in part.",
                context.refused.parts,
            ),
            (
                "requests_refused",
                "Producers' requests and messages of which nothing was taken, save by the lock.",
                context.refused.requests,
            ),
        ):
            by_reason = CounterMetricFamily(f"pushsvc_{name}", text, labels=["format", "code"])
            for (format_, code), count in counts.items():
                by_reason.add_metric([format_, code], count)
            yield by_reason
        yield from self._durations()
        transports = Counter(one.transport for one in hub.subscribers.values())
        by_transport = GaugeMetricFamily(
            "pushsvc_transport_subscribers", "Dashboards attached.", labels=["transport"]
        )
        for transport in Transport:
            by_transport.add_metric([transport.value], transports[transport.value])
        yield by_transport
        queue = context.pipeline.statistics()
        kept, since = self._kept, context.journal.away_since
        away = 0.0 if since is None else trio.current_time() - since
        for name, text, value in (
            ("series", "Live series.", len(hub.catalog)),
            (
                "history_samples",
                "Past samples held.",
                sum(len(series.history) for series in hub.catalog),
            ),
            ("views", "Distinct views.", len(hub.views)),
            ("expressions", "Different expressions that streams watch.", len(hub.standings)),
            (
                "subscribers",
                "Dashboards attached, waiting long polls included.",
                len(hub.subscribers),
            ),
            (
                "dashboard_waits",
                "Requests that wait for a dashboard to change.",
                context.changes.waiting,
            ),
            (
                "records",
                "Saved dashboards and used tickets that the log has.",
                len(hub.records),
            ),
            ("connections", "Open connections.", context.connections()),
            (
                "http2_waiting_bytes",
                "Bytes that wait for HTTP/2 clients, with what their requests cost.",
                context.waiting(),
            ),
            ("ingest_queue_batches", "Batches waiting for the hub.", queue.current_buffer_used),
            ("ingest_waiting_producers", "Producers waiting for room.", queue.tasks_waiting_send),
            ("sequence", "Sequence number of the newest batch.", hub.seq),
            ("journal_sequence", "Sequence number of the log's newest entry.", kept.seq),
            (
                "journal_horizon",
                "Sequence number after which the log can still be read.",
                kept.horizon,
            ),
            ("journal_entries", "Entries that the log keeps.", kept.entries),
            ("journal_bytes", "Bytes of entries that the log keeps.", kept.bytes),
            ("journal_away_seconds", "Seconds since when the log can't be reached.", away),
            ("draining", "1 while the service ends.", int(context.draining.is_set())),
        ):
            yield GaugeMetricFamily(f"pushsvc_{name}", text, value=value)

    def _durations(self) -> Iterator[Metric]:
        observed = self._context.pipeline.observed
        for name, text, label, durations in (
            (
                "handshake",
                "From a stream's request, once it is read, to its answer.",
                "transport",
                observed.handshakes,
            ),
            (
                "delivery",
                "From the arrival of a batch to its frame's being written, each frame.",
                "transport",
                observed.deliveries,
            ),
            ("tick", "Making the frames of a view and writing them to all.", "", observed.ticks),
            (
                "ingest",
                "From a producer's request, or message, to its answer, if it was taken.",
                "format",
                observed.ingest,
            ),
        ):
            family = HistogramMetricFamily(
                f"pushsvc_{name}_seconds", text, labels=[label] if label else []
            )
            for value, buckets in durations:
                family.add_metric([value] if label else [], buckets.cumulative(), buckets.total)
            yield family


class OwnRegistry(Collector):
    """All metrics of the service, with names as Prometheus recommends; with several workers, those
    of all workers together."""

    def __init__(self, context: Context) -> None:
        self._all = CollectorRegistry()
        self._own = _OwnMetrics(context)
        self._all.register(self._own)
        ProcessCollector(registry=self._all)
        PlatformCollector(registry=self._all)
        self._totals: Totals | None = None
        self._found: Iterable[Metric] = ()
        if context.peers is not None:
            self._totals = Totals(context.peers)
            context.peers.answer("metrics", self._tell)

    async def _tell(self, _: bytes) -> bytes:
        assert self._totals is not None
        await self._own.look()
        return self._totals.tell(self._all.collect())

    async def look(self) -> None:
        """Gather the values. Call it before anything is read."""
        await self._own.look()
        self._found = self._all.collect()
        if self._totals is not None:
            self._found = await self._totals.gather(self._found)

    def collect(self) -> Iterable[Metric]:
        return self._found


async def run_own_series(
    context: Context,
    registry: OwnRegistry,
    interval: float,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Publish the service's own metrics as series every so many seconds, until cancelled.

    They are submitted like all samples. Those that are refused are left out, at a limit of series
    or while the hub is behind, since nothing may have to wait for them.
    """
    task_status.started()
    due = trio.current_time()
    while True:
        await registry.look()
        rows = list(rows_of(_as_series(registry.collect()), now_ms(), context.limits))
        refused: list[Refused] = []
        try:
            await context.pipeline.submit(Batch(rows), refused=refused)
        except Problem:
            context.hub.counts["own_samples_refused"] += len(rows)
        context.hub.counts["own_samples_refused"] += len(refused)
        due = max(due + interval, trio.current_time())
        await trio.sleep_until(due)


def _as_series(metrics: Iterable[Metric]) -> Iterator[Metric]:
    """Series of the service beside those of its users begin with the service's own name."""
    for metric in metrics:
        if metric.name.startswith("python_"):
            continue
        if metric.name.startswith("process_"):
            renamed = Metric(f"pushsvc_{metric.name}", metric.documentation, metric.type)
            renamed.samples = [one._replace(name=f"pushsvc_{one.name}") for one in metric.samples]
            yield renamed
        else:
            yield metric


def rows_of(metrics: Iterable[Metric], time: int, limits: Limits) -> Iterator[Rows]:
    """Counters and gauges as samples of one time. Counters at 0 are left out, so that unused
    features make no series."""
    for metric in metrics:
        kind = _KINDS.get(metric.type)
        if kind is None:
            continue
        for sample in metric.samples:
            if sample.name.endswith("_created") or (kind == "counter" and sample.value == 0):
                continue
            identity = identify(sample.name, sample.labels, limits)
            unit = next((unit for unit in ("bytes", "seconds") if f"_{unit}" in sample.name), "")
            yield Rows(
                identity, [time], [float(sample.value)], kind, unit, metric.documentation or None
            )
