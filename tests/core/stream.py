"""What a subscriber is given."""

from __future__ import annotations

from typing import Any

from pushsvc.core.delivery.subscriber import Subscriber
from tests.core.world import Client


def documents(subscriber: Subscriber) -> list[dict[str, Any]]:
    """All that can be pulled now, decoded."""
    client = Client()
    client.names = dict.fromkeys(subscriber.view.members, "")
    client.pull(subscriber)
    return client.documents


def types(subscriber: Subscriber) -> list[str]:
    """What kinds of documents those are."""
    return [document["type"] for document in documents(subscriber)]
