"""What a worker is told by its supervisor: in its environment, all else being as it was given."""

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
    """From 0 on. What one worker does for all is done by the first."""
    count: int
    folder: str
    """Private to these workers: where they listen for each other."""
    orders: int
    """A stream socket to the supervisor."""
    listeners: list[tuple[int, str]]
    """Listening sockets, each with the host name that it was asked for by, if there was one."""
    early: list[int] = []
    """Listening sockets of workers that aren't there yet, for which this one answers until it
    serves."""
    statsd: int | None = None
    """A bound datagram socket."""
    log: str = ""
    """The log that lasts as long as the supervisor; empty where the settings name another."""
    secret: str = ""
    """What sessions are signed with where the settings don't say."""
    restarts: int = 0
    """How often a worker of this index was replaced."""

    def adopt(self) -> Inherited:
        """The sockets, in this process. To be called once."""
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
        """The sockets of those that aren't there yet. To be called once."""
        for descriptor in self.early:
            os.set_inheritable(descriptor, False)
        return [Listener(socket.socket(fileno=descriptor)) for descriptor in self.early]

    def share_of(self, settings: Settings) -> Settings:
        """The settings of a service, as they are for this worker of it.

        What bounds the whole service is divided. What bounds one client is of each worker: whoever
        has one connection has its whole share where that leads.
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
        journal = settings.journal
        if self.log:
            journal = replace(journal, path=self.log)
        return replace(
            settings,
            server=replace(settings.server, host=()),
            limits=limits,
            stream=pacing,
            ingest=ingest,
            journal=journal,
            auth=replace(settings.auth, session_secret=settings.auth.session_secret or self.secret),
        )


def assigned(environment: MutableMapping[str, str]) -> Assignment | None:
    """What this process is to do as a worker, taken out of the environment; None if it is none."""
    text = environment.pop(VARIABLE, "")
    return msgspec.json.decode(text, type=Assignment) if text else None
