"""For operators and probes: liveness, readiness, metrics."""

from __future__ import annotations

import trio
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from quart import Response
from quart_trio import QuartTrio

from pushsvc.app.http.context import Context
from pushsvc.app.http.described import TEXT, Content, described
from pushsvc.app.operators.own_metrics import OwnRegistry

_REGISTRY = "pushsvc.own_metrics"


def own_registry(app: QuartTrio) -> OwnRegistry:
    """The service's own metrics, as an app has them."""
    registry = app.extensions[_REGISTRY]
    assert isinstance(registry, OwnRegistry)
    return registry


def _text(text: str) -> Content:
    return Content(text, {"text/plain": TEXT})


def install(app: QuartTrio, context: Context) -> None:
    registry = OwnRegistry(context)
    app.extensions[_REGISTRY] = registry

    @app.get("/livez")
    @described("Is the process alive", answers={200: _text("Yes.")})
    async def livez() -> Response:
        """Answers as long as the process runs; it doesn't use the hub."""
        return Response("ok\n", content_type="text/plain")

    @app.get("/readyz")
    @described(
        "May it have traffic",
        answers={200: _text("Yes."), 503: _text("It drains, or starts: with how far it is.")},
    )
    async def readyz() -> Response:
        if context.draining.is_set():
            return Response("draining\n", status=503, content_type="text/plain")
        if not context.hub.warm:
            return Response("warming\n", status=503, content_type="text/plain")
        since = context.journal.away_since
        if since is not None:
            # Other processes probably can't reach it either, so taking this one out of service
            # wouldn't help.
            away = round(trio.current_time() - since)
            return Response(f"ok, the journal is away for {away} s\n", content_type="text/plain")
        return Response("ok\n", content_type="text/plain")

    @app.get("/metrics")
    @described("The service's own metrics", answers={200: _text("Prometheus text exposition.")})
    async def metrics() -> Response:
        await registry.look()
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
