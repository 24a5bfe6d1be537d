"""The service's listening sockets: what answers on them during the start, and the server that takes
over."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import trio
from quart_trio import QuartTrio

from pushsvc.app.dashboards.fast_path import FastPath
from pushsvc.app.early import Early, answer
from pushsvc.app.http.context import Context
from pushsvc.app.http.proxy_protocol import ProxyProtocol
from pushsvc.app.producers.fast_path import ProducerConnection
from pushsvc.auth.mode import AccessControl
from pushsvc.config import Settings
from pushsvc.core.resources.limits import Limits
from pushsvc.journal.starting import Starting
from pushsvc.listen.connection import Slot
from pushsvc.listen.listeners import Listener
from pushsvc.listen.server import Server, open_server
from pushsvc.listen.tls import HTTP1, Certificate
from pushsvc.listen.tls_socket import TlsStream
from pushsvc.service.parts import Parts
from pushsvc.workers.assignment import Assignment

_SPARE = 1_000
"""Connections beyond the subscribers: producers, pages being loaded, probes."""


def certificate_of(settings: Settings) -> Certificate | None:
    """The configured certificate. Raises CertificateError."""
    where = settings.server
    return Certificate(Path(where.certfile), Path(where.keyfile)) if where.certfile else None


def make_early(
    settings: Settings,
    access_control: AccessControl,
    starting: Starting,
    assignment: Assignment | None,
) -> Early:
    """The listener that answers while the service starts. Raises CertificateError."""
    where = settings.server
    certificate = None
    if where.certfile:
        certificate = Certificate(Path(where.certfile), Path(where.keyfile), HTTP1)
    others_serve = assignment is not None and assignment.restarts > 0
    return Early(
        partial(answer, starting=starting, prefix=where.prefix, others_serve=others_serve),
        most=_max_connections(settings.limits),
        most_of=partial(_max_connections_of, settings.limits, access_control),
        certificate=certificate,
    )


def open_http_server(
    parts: Parts,
    app: QuartTrio,
    settings: Settings,
    access_control: AccessControl,
    listeners: Sequence[Listener],
    certificate: Certificate | None,
) -> AbstractAsyncContextManager[Server]:
    """Serve the app and both fast paths on all listeners."""
    limits, engine = settings.limits, parts.engine
    scheme = "http" if certificate is None else "https"
    return open_server(
        app,
        listeners,
        message_bytes=limits.message_bytes,
        counts=parts.hub.counts,
        max_connections=_max_connections(limits),
        max_of=partial(_max_connections_of, limits, access_control),
        # For peers that vanished; clients that stall are disconnected sooner.
        user_timeout=2 * settings.stream.stall_timeout,
        waiting_bytes=limits.http2_waiting_bytes,
        certificate=certificate,
        stream_fast_path=None if engine is None else FastPath(parts.context, engine, scheme).take,
        open_fast_path=partial(_open_fast_path, parts.context),
    )


def _max_connections(limits: Limits) -> int:
    return limits.subscribers + _SPARE


def _max_connections_of(limits: Limits, access_control: AccessControl, peer: str) -> int:
    """How many connections an address may have. A proxy's address may have all of them: it limits
    its clients itself."""
    if access_control.access.proxies.trusts(peer):
        return _max_connections(limits)
    return limits.connections_per_address


def _open_fast_path(
    context: Context, stream: trio.SocketStream | TlsStream, first: bytes, slot: Slot
) -> ProxyProtocol | ProducerConnection | None:
    """The fast path for a connection that doesn't need Hypercorn yet, or None."""
    refusal = ProxyProtocol.open(stream, first)
    return ProducerConnection.open(context, stream, first, slot) if refusal is None else refusal
