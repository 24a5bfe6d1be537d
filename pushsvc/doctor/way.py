"""Connections to the service: each probe has its own."""

from __future__ import annotations

import contextlib
import dataclasses
import ssl
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

import httpcore
import httpx
import trio
from h2.events import ConnectionTerminated, StreamReset
from h2.exceptions import H2Error
from trio_websocket import ConnectionClosed, WebSocketConnection

from pushsvc.client.dial import handshake
from pushsvc.client.errors import ClientError, Unreachable, reason


@dataclasses.dataclass(frozen=True)
class Way:
    """Where the service is and how it is asked."""

    url: str
    token: str | None
    tls: Callable[[], ssl.SSLContext]
    """Makes a context for each connection, because the protocols offered by ALPN are set in it."""
    timeout: float
    """Seconds for answers that should come at once."""

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    @property
    def origin(self) -> str:
        """The origin of a page at the URL, as a browser writes it."""
        target = urlsplit(self.url)
        default = {"http": ":80", "https": ":443"}[target.scheme]
        return f"{target.scheme}://{target.netloc.rpartition('@')[2].lower().removesuffix(default)}"

    def http(self) -> httpx.AsyncClient:
        """HTTP/2 where the other end supports it, as in a browser; reads have no timeout.

        Proxies of the environment are not used: WebSockets would not go through them.
        """
        return httpx.AsyncClient(
            base_url=self.url,
            headers=self.headers,
            http2=True,
            verify=self.tls(),
            trust_env=False,
            timeout=httpx.Timeout(self.timeout, read=None),
        )

    @contextlib.asynccontextmanager
    async def socket(
        self, path: str, *, as_page: bool = False
    ) -> AsyncIterator[WebSocketConnection]:
        """A WebSocket, with the origin of a page if `as_page` is set.

        Raises ClientError if it isn't opened within the timeout.
        """
        headers = self.headers | ({"Origin": self.origin} if as_page else {})
        target = urlsplit(self.url)
        secure = target.scheme == "https"
        host, port = target.hostname or "", target.port or (443 if secure else 80)
        with trio.CancelScope(deadline=trio.current_time() + self.timeout) as opening:
            async with (
                await self._connect(host, port, secure=secure) as stream,
                trio.open_nursery() as nursery,
            ):

                async def run(task_status: trio.TaskStatus[WebSocketConnection]) -> None:
                    await handshake(
                        stream,
                        self.url,
                        target.netloc,
                        target.path + path,
                        headers,
                        task_status=task_status,
                    )

                socket = await nursery.start(run)
                opening.deadline = float("inf")
                yield socket
                nursery.cancel_scope.cancel()
        if opening.cancelled_caught:
            raise Unreachable(f"no answer to the handshake within {self.timeout:g} s")

    async def _connect(
        self, host: str, port: int, *, secure: bool
    ) -> trio.SocketStream | trio.SSLStream[trio.SocketStream]:
        try:
            stream = await trio.open_tcp_stream(host, port)
        except OSError as error:
            raise Unreachable(reason(error)) from None
        if not secure:
            return stream
        tls = trio.SSLStream(stream, self.tls(), server_hostname=host, https_compatible=True)
        try:
            await tls.do_handshake()
        except (trio.BrokenResourceError, ssl.SSLError) as error:
            await trio.aclose_forcefully(stream)
            raise Unreachable(f"TLS: {reason(error)}") from None
        except BaseException:  # such as when the timeout is over
            await trio.aclose_forcefully(stream)
            raise
        return tls


def said(error: BaseException) -> str:
    """Why a probe failed, in a few words."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ConnectionClosed):
        closing = error.reason
        if closing is None:
            return "the connection broke"
        return f"closed with {closing.code} {closing.reason or ''}".rstrip()
    if isinstance(error, ClientError):
        return str(error)
    return _said_of_http2(error) or reason(error)


def _said_of_http2(error: BaseException) -> str:
    """The same for errors of httpcore and h2 in their own terms; empty for other errors."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, H2Error):
            return f"HTTP/2 was broken amid an answer: {str(inner) or type(inner).__name__}"
        event = inner.args[0] if inner.args else None
        if isinstance(inner, httpcore.ConnectionNotAvailable) or isinstance(
            event, ConnectionTerminated
        ):
            return "the HTTP/2 connection was ended amid an answer"
        if isinstance(event, StreamReset):
            code = getattr(event.error_code, "name", event.error_code)
            return f"the HTTP/2 stream was reset with {code}"
        inner = inner.__cause__
    return ""


FAILURES = (
    *(httpx.HTTPError, ClientError, ConnectionClosed, OSError, trio.BrokenResourceError),
    # httpcore raises these while a body is read, if the server ends the connection and then goes on
    # with the answer, as a server does that restarts.
    *(H2Error, httpcore.ConnectionNotAvailable),
)
"""What a probe raises on a bad path."""
