"""Who brings samples: whose share they are taken off, and what of them may be written."""

from __future__ import annotations

import trio
from quart import g, request
from quart.wrappers import Request, Websocket
from quart_trio import QuartTrio

from pushsvc.address import group
from pushsvc.app.context import Context
from pushsvc.app.guard import principal_of_request
from pushsvc.auth.principal import ANYONE, Principal


def who(asked: Request | Websocket) -> str:
    """The producer behind a request: whoever has its token, else the address it comes from."""
    return account(principal_of_request(), asked.remote_addr or "")


def account(principal: Principal, address: str) -> str:
    """Under what name a producer has its share."""
    return group(address) if principal is ANYONE else principal.id


def install(app: QuartTrio, context: Context) -> None:
    @app.before_request
    async def refuse_who_owes() -> None:
        """A producer beyond its share is told before its next batch is read."""
        if request.method == "POST" and isinstance(g.get("principal"), Principal):
            context.pipeline.quotas.refuse(who(request), trio.current_time())
