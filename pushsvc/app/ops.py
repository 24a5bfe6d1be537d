"""For operators: is it alive, may it have traffic, what does it do."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from quart import Response
from quart_trio import QuartTrio

from pushsvc.app.context import Context
from pushsvc.app.own_metrics import open_registry


def install(app: QuartTrio, context: Context) -> None:
    registry = open_registry(context)

    @app.get("/livez")
    async def livez() -> Response:
        """Answers as long as the process does; it asks nothing of the hub."""
        return Response("ok\n", content_type="text/plain")

    @app.get("/readyz")
    async def readyz() -> Response:
        if context.draining.is_set():
            return Response("draining\n", status=503, content_type="text/plain")
        if not context.hub.warm:
            return Response("warming\n", status=503, content_type="text/plain")
        return Response("ok\n", content_type="text/plain")

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
