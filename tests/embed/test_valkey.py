"""Services of one program on a log at a real Valkey."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from pushsvc import JournalError, Points, open_service
from tests.journal.valkey_server import running


async def test_services_share_a_log(tmp_path: Path) -> None:
    with running(tmp_path / "valkey") as server:
        config = {"journal": {"url": server.url}}
        async with open_service(config) as one:
            applied = await one.publish([{"name": "n", "value": 1, "kind": "delta"}], key="a")
            async with open_service(config) as other:
                again = await other.publish([{"name": "n", "value": 1, "kind": "delta"}], key="a")
                assert again.id == applied.id
                async with other.subscribe("n", since=applied.id) as events:
                    await one.publish([{"name": "n", "value": 2}])
                    with trio.fail_after(30):
                        event = await events.receive()
                    assert isinstance(event, Points)
                    assert [each.value for each in event.samples] == [2.0]
                    assert event.cursor == one.cursor


async def test_a_log_that_cant_be_reached_is_told(tmp_path: Path) -> None:
    config = {"journal": {"url": f"unix://{tmp_path}/nobody.sock", "start_wait": 0.0}}
    with pytest.raises(JournalError, match=r"nobody\.sock can't be reached"):
        async with open_service(config):
            raise AssertionError
