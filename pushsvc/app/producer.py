"""Who brings samples: whose share they are taken off."""

from __future__ import annotations

import trio
from quart import request
from quart.wrappers import Request, Websocket
from quart_trio import QuartTrio

from pushsvc.address import group
from pushsvc.app.context import Context


def who(asked: Request | Websocket) -> str:
    """The producer behind a request: the address it comes from."""
    return group(asked.remote_addr or "")


def install(app: QuartTrio, context: Context) -> None:
    @app.before_request
    async def refuse_who_owes() -> None:
        """A producer beyond its share is told before its next batch is read."""
        if request.method == "POST":
            context.pipeline.quotas.refuse(who(request), trio.current_time())
