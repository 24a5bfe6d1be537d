"""Behind a proxy: whose limits count, and who is believed."""

from __future__ import annotations

import pytest

from pushsvc.config import Web
from pushsvc.core.resources.limits import Limits
from tests.serving import Served, detach, next_of, serving

BEHIND = Web(trusted_proxies="127.0.0.1")


async def streams_of(served: Served, header: dict[str, str]) -> int:
    """The status that one more stream of this client gets, while it has one."""
    async with served.documents("text/event-stream", headers=header) as documents:
        await next_of(documents, "hello")
        more = {**header, "Accept": "application/x-ndjson"}
        return (await served.http.get("/v1/stream", headers=more)).status_code


@pytest.mark.parametrize("detached", [True, False])
async def test_limits_are_of_the_client_and_not_of_the_proxy(detached: bool) -> None:
    detach.set(detached)
    limits = Limits(connections_per_address=2, subscribers_per_address=1)
    async with serving(limits=limits, web=BEHIND) as served:
        assert await streams_of(served, {"X-Forwarded-For": "192.0.2.1"}) == 503
        async with (
            served.documents("text/event-stream", headers={"X-Forwarded-For": "192.0.2.1"}) as one,
            served.documents("text/event-stream", headers={"X-Forwarded-For": "192.0.2.2"}) as two,
            served.documents("text/event-stream", headers={"X-Forwarded-For": "192.0.2.3"}) as six,
        ):
            for documents in (one, two, six):
                await next_of(documents, "hello")
            listed = (await served.http.get("/v1/subscribers")).json()["subscribers"]
            assert len(listed) == 3


async def test_who_is_no_trusted_proxy_is_not_believed() -> None:
    limits = Limits(subscribers_per_address=1)
    async with serving(limits=limits, web=Web(trusted_proxies="192.0.2.0/24")) as served:
        async with served.documents(
            "text/event-stream", headers={"X-Forwarded-For": "192.0.2.9"}
        ) as documents:
            await next_of(documents, "hello")
            answer = await served.http.get(
                "/v1/stream",
                headers={"X-Forwarded-For": "192.0.2.8", "Accept": "application/x-ndjson"},
            )
            assert answer.status_code == 503
            assert answer.json()["limit"] == "subscribers_per_address"


async def test_a_producer_s_share_is_its_own_behind_a_proxy() -> None:
    limits = Limits(samples_per_second=1.0)
    async with serving(limits=limits, web=BEHIND) as served:
        flood = {"samples": [{"name": "a", "value": n} for n in range(100)]}
        for address, status in (("192.0.2.1", 200), ("192.0.2.1", 429), ("192.0.2.2", 200)):
            answer = await served.http.post(
                "/v1/samples", json=flood, headers={"X-Forwarded-For": address}
            )
            assert answer.status_code == status
