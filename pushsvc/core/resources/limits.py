"""Every bound of the service, with its default. All of them are configurable."""

from __future__ import annotations

import math

import msgspec


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a request, a client or the whole hub may use; crossing one is a named, counted error."""

    body_bytes: int = 8 * 1024 * 1024
    """Bytes of one request body; a chunked NDJSON upload is bounded per line instead."""
    line_bytes: int = 64 * 1024
    """Bytes of one NDJSON line."""
    batch_samples: int = 100_000
    """Samples in one batch."""
    labels: int = 32
    """Labels on one series, the metric name not counted."""
    name_bytes: int = 200
    """UTF-8 bytes of a metric or label name."""
    value_bytes: int = 1024
    """UTF-8 bytes of a label value, a state's value, a unit or a help text."""
    series: int = 100_000
    """Live series in the hub."""
    views: int = 1_000
    """Distinct views (selectors, rate, merge, heartbeat) that are watched at the same time."""
    subscribers: int = 16_000
    """Dashboards connected to this process."""
    streams_per_second: float = 2_000.0
    """Streams that may be opened in a second, also all at once; long polls are not counted."""
    selectors: int = 32
    """Selectors in one view."""
    selector_bytes: int = 4096
    """UTF-8 bytes of one selector."""
    message_bytes: int = 64 * 1024
    """Bytes of one message from a dashboard."""
    messages_per_second: float = 20.0
    """Messages a dashboard may send, averaged over ten seconds."""
    samples_per_second: float = 100_000.0
    """Samples of one producer (its token, or else its address), averaged over ten seconds."""
    connections_per_address: int = 1_000
    """Connections from one address that carry no stream and have shown no token: producers, pages
    being loaded."""
    connections_per_identity: int = 8_000
    """Connections that carry no stream and have shown tokens of one subject, wherever from."""
    subscribers_per_address: int = 4_000
    """Dashboards without a token connected from one address."""
    subscribers_per_identity: int = 8_000
    """Dashboards connected with tokens of one subject, wherever from."""
    http2_waiting_bytes: int = 64 * 1024 * 1024
    """Bytes that may wait for HTTP/2 clients that don't read, with the memory of their requests;
    beyond that, the streams that have waited longest are reset."""
    ingest_queue: int = 64
    """Batches that may wait for the hub before producers have to wait."""
    idempotency_keys: int = 50_000
    """Idempotency-Keys remembered; each is for five minutes."""
    statsd_series: int = 20_000
    """Different metrics of StatsD, each with its tags, that are held at the same time."""
    expression_bytes: int = 16 * 1024
    """UTF-8 bytes of one expression in PromQL."""
    expression_depth: int = 128
    """How deep an expression may be nested: brackets, and operators that follow each other."""
    expression_series: int = 20_000
    """Series that one query in PromQL may read."""
    expression_samples: int = 5_000_000
    """Samples that one query in PromQL may read, each counted at every step that reads it."""
    expression_seconds: float = 120.0
    """Seconds that one query in PromQL may take, with its wait for others."""
    expressions: int = 200
    """Different expressions (text, step, scope) that are worked out for streams at the same
    time."""
    expression_results: int = 2_000
    """Series that one expression of a stream may give."""
    expression_steps_per_second: float = 200.0
    """Steps that all expressions of streams may have in a second together."""
    expression_samples_per_second: int = 200_000
    """Samples that all expressions of streams together may handle for the steps of one second:
    those that are newly read, and the numbers made of them, what takes longer as several. One
    stands for about half a microsecond. While a step is worked out nothing is taken in."""
    recorded_expressions: int = 200
    """Expressions in the file of those that are recorded."""
    past_seconds: float = 7 * 86_400.0
    """How far behind the server's clock a sample's time may be."""
    future_seconds: float = 600.0
    """How far ahead of the server's clock a sample's time may be."""


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much of the past is kept."""

    samples: int = 10_000
    """Samples per series."""
    total_samples: int = 10_000_000
    """Samples of all series together, about 50 bytes each; beyond that the longest histories are
    cut."""
    seconds: float = 3600.0
    """Age, by arrival, at which a sample is dropped."""
    series_ttl: float = 3600.0
    """Seconds without a sample after which a series is removed."""


class Pacing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a stream behaves in time."""

    max_hz: float = 20.0
    """The fastest rate granted to anyone."""
    default_hz: float = 10.0
    """The rate of a stream that did not ask for one."""
    heartbeat: float = 15.0
    """Seconds without a frame after which a heartbeat is sent; announced in `hello`."""
    min_heartbeat: float = 5.0
    """The shortest that a client may ask for; longer ones are granted in multiples of it."""
    max_heartbeat: float = 60.0
    """The longest that a client may ask for."""

    def grant_heartbeat(self, asked: float | None) -> float:
        """The interval that is granted: never longer than the one asked for, unless that is too
        short.

        Clients with different intervals don't share a view, so only about a dozen intervals are
        granted. `heartbeat` itself is always granted, even outside of the bounds.
        """
        if asked is None or asked == self.heartbeat:
            return self.heartbeat
        if asked < self.min_heartbeat:
            return min(self.min_heartbeat, self.heartbeat)
        steps = math.floor(min(asked, self.max_heartbeat) / self.min_heartbeat + 1e-9)
        return round(max(steps, 1) * self.min_heartbeat, 3)

    stall_timeout: float = 30.0
    """Seconds a client may make no progress before it is disconnected."""
    poll_wait: float = 25.0
    """Seconds a long poll waits for news unless asked otherwise, and the longest it may ask for."""
    ring_frames: int = 64
    """Recent frames kept per view for readers that are a little behind."""
    replay_points: int = 20_000
    """Points in one replayed frame; a longer replay comes in several."""
    ingest_wait: float = 1.0
    """Seconds a producer is made to wait for room in the ingest channel before it gets 503."""
    body_timeout: float = 30.0
    """Seconds without a byte after which an upload is given up."""
    detach: bool = True
    """Whether sockets of streams are taken out of the HTTP server; off costs a task per stream."""
    compress: bool = True
    """Whether WebSockets are compressed if the client offers permessage-deflate. It is only done on
    detached sockets, where each frame is compressed once for all clients, and never for clients on
    this very machine, for whom it takes more time than it saves."""
    compress_http: bool = True
    """Whether SSE and NDJSON are compressed for clients that accept gzip or zstd: each frame by
    itself, so that none waits for the next, and once for all clients."""
    reconnects_per_second: float = 500.0
    """Clients that come back in one second, at the most, after a service that stops has told them
    to."""
