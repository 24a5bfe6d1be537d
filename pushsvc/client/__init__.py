"""A client for streams and for publishing, on trio-websocket and httpx.

    async with connect("http://127.0.0.1:8080", ["node_load1"], window="5m") as stream:
        async for event in stream:
            ...

    async with open_publisher("http://127.0.0.1:8080") as publisher:
        await publisher.publish([{"name": "node_load1", "value": 0.42}])

    async with open_socket_publisher("http://127.0.0.1:8080") as publisher:  # many a second
        await publisher.publish([{"name": "node_load1", "value": 0.42}])

A stream keeps its cursor, so that it goes on where it was after any disconnect: no sample is lost
or comes twice, and samples that the server no longer has are reported as a `Gap` with their number.
"""

from pushsvc.client.errors import Busy, ClientError, Refused, Unreachable
from pushsvc.client.events import (
    Away,
    Back,
    Ended,
    Ending,
    Event,
    Failing,
    Gap,
    Gone,
    Points,
    Sample,
    Series,
)
from pushsvc.client.publisher import Publisher, open_publisher
from pushsvc.client.socket_publisher import SocketPublisher, open_socket_publisher
from pushsvc.client.stream import Statistics, Stream, connect

__all__ = [
    "Away",
    "Back",
    "Busy",
    "ClientError",
    "Ended",
    "Ending",
    "Event",
    "Failing",
    "Gap",
    "Gone",
    "Points",
    "Publisher",
    "Refused",
    "Sample",
    "Series",
    "SocketPublisher",
    "Statistics",
    "Stream",
    "Unreachable",
    "connect",
    "open_publisher",
    "open_socket_publisher",
]
