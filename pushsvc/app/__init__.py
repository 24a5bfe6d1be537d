"""The HTTP interface: Quart routes over the hub and the pipeline."""

from __future__ import annotations

from quart_trio import QuartTrio

from pushsvc.app.dashboards import companion, lookup, prometheus, streams
from pushsvc.app.dashboards import saved as dashboards
from pushsvc.app.http import coding, guard, problems
from pushsvc.app.http.base_path import StripBasePath
from pushsvc.app.http.connection import BoundedHTTPConnection, BoundedRequest
from pushsvc.app.http.context import Context
from pushsvc.app.operators import doctor, ops, senders, watchers
from pushsvc.app.pages import descriptions, login, page
from pushsvc.app.producers import (
    influx,
    otlp,
    producer,
    prometheus_text,
    publish,
    pushgateway,
    remote_write,
    samples,
)
from pushsvc.app.producers.grpc import Grpc


def create_app(context: Context) -> QuartTrio:
    """Build the Quart app of one service. It serves nothing by itself."""
    app = QuartTrio("pushsvc", static_folder=None)
    app.asgi_http_class = BoundedHTTPConnection
    app.request_class = BoundedRequest
    # Request bodies have limits of their own, in bytes and in seconds of silence, and streams have
    # no time limit.
    app.config.update(
        MAX_CONTENT_LENGTH=None,
        BODY_TIMEOUT=None,
        RESPONSE_TIMEOUT=None,
        PROVIDE_AUTOMATIC_OPTIONS=False,
    )
    coding.install(app, context)
    problems.install(app)
    producers = (samples, publish, otlp, remote_write, influx, prometheus_text, pushgateway)
    reading = (streams, companion, lookup, prometheus, watchers, senders, dashboards, doctor)
    for module in (guard, producer, login, *producers, *reading, ops, page, descriptions):
        module.install(app, context)
    app.asgi_app = Grpc(app.asgi_app, context)  # type: ignore[method-assign]
    if context.prefix:
        app.asgi_app = StripBasePath(app.asgi_app, context.prefix)  # type: ignore[method-assign]
    return app
