"""What a supervisor tells a worker, in its environment; all other settings stay as they are."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import MutableMapping
from typing import Final

import msgspec

from pushsvc.config import Settings
from pushsvc.listen.inherited import Inherited
from pushsvc.listen.listeners import Listener
from pushsvc.listen.statsd import prepare_statsd

VARIABLE: Final = "PUSHSVC_WORKER"


class Assignment(msgspec.Struct, frozen=True):
    """One worker's place among the others, and the descriptors that it was passed."""

    index: int
    """From 0 on. Work that is done once for all workers is done by the first."""
    count: int
    folder: str
    """A directory that only these workers can read, with the sockets on which they listen for each
    other."""
    orders: int
    """A stream socket to the supervisor."""
    listeners: list[tuple[int, str]]
    """Listening sockets, each with the host name in the settings, if it had one."""
    early: list[int] = []
    """Listening sockets of workers that aren't started yet; this one answers on them until it
    serves."""
    statsd: int | None = None
    """A bound datagram socket."""
    log: str = ""
    """The folder of the log that goes with this supervisor; empty where the settings name one."""
    secret: str = ""
    """What sessions are signed with where the settings don't say."""
    restarts: int = 0
    """How often a worker of this index was replaced."""

    def adopt(self) -> Inherited:
        """Take over the sockets in this process. Call it once."""
        listeners = []
        for descriptor, name in self.listeners:
            os.set_inheritable(descriptor, False)
            listeners.append(Listener(socket.socket(fileno=descriptor), name=name))
        statsd = None
        if self.statsd is not None:
            os.set_inheritable(self.statsd, False)
            statsd = prepare_statsd(socket.socket(fileno=self.statsd))
        return Inherited(listeners, statsd)

    def adopt_early(self) -> list[Listener]:
        """Take over the sockets of workers that aren't started yet. Call it once."""
        for descriptor in self.early:
            os.set_inheritable(descriptor, False)
        return [Listener(socket.socket(fileno=descriptor)) for descriptor in self.early]

    def share_of(self, settings: Settings) -> Settings:
        """The settings of a service for this worker of it.

        Limits of the whole service are divided. Limits of one client apply in each worker: a client
        with one connection has its whole share there.
        """
        replace, count = msgspec.structs.replace, self.count
        limits = replace(
            settings.limits,
            subscribers=math.ceil(settings.limits.subscribers / count),
            streams_per_second=settings.limits.streams_per_second / count,
            http2_waiting_bytes=math.ceil(settings.limits.http2_waiting_bytes / count),
        )
        pacing = replace(
            settings.stream, reconnects_per_second=settings.stream.reconnects_per_second / count
        )
        ingest = replace(
            settings.ingest,
            statsd="",
            own_interval=settings.ingest.own_interval if self.index == 0 else 0.0,
        )
        return replace(
            settings,
            server=replace(settings.server, host=()),
            limits=limits,
            stream=pacing,
            ingest=ingest,
            auth=replace(settings.auth, session_secret=settings.auth.session_secret or self.secret),
        )


def assigned(environment: MutableMapping[str, str]) -> Assignment | None:
    """The assignment of this process, which is removed from the environment; None if it isn't a
    worker."""
    text = environment.pop(VARIABLE, "")
    return msgspec.json.decode(text, type=Assignment) if text else None
