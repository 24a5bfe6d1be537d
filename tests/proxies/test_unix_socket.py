"""A real nginx that comes by a Unix socket."""

from __future__ import annotations

from pathlib import Path

import httpx
import trio
from trio_websocket import open_websocket_url

from pushsvc.config import Web
from tests.proxies.proxy import Nginx, Place, Values
from tests.proxies.running import running
from tests.test_listening import listening

CLIENT = "127.0.0.2"


class NginxOverUnix(Nginx):
    """As it is configured otherwise, but for where it passes requests on to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def configuration(self, values: Values, place: Place) -> str:
        text = super().configuration(values, place)
        return text.replace(f"http://127.0.0.1:{place.backend}", f"http://unix:{self._path}")


async def test_clients_of_a_proxy_on_a_unix_socket_are_known_and_are_served(
    tmp_path: Path,
) -> None:
    path = tmp_path / "pushsvc.sock"
    nginx = NginxOverUnix(path)
    async with (
        listening(f"unix:{path}?mode=666", web=Web(trusted_proxies="unix")),
        running(nginx, nginx.shipped(), 0, tmp_path) as front,
        httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(verify=front.ssl, local_address=CLIENT)
        ) as http,
    ):
        for url in (front.plain, front.tls):
            echo = (await http.get(f"{url}/v1/doctor/echo")).json()
            assert (echo["peer"], echo["address"]) == ("", CLIENT)
            assert echo["scheme"] == url.partition(":")[0]
            # A page's own POST, whose Origin is what the proxy was asked by.
            answer = await http.post(
                f"{url}/v1/samples", json={"name": "up", "value": 1}, headers={"Origin": url}
            )
            assert answer.status_code == 200, answer.text
        stream = front.plain.replace("http:", "ws:") + "/v1/stream?select=up"
        with trio.fail_after(30):
            async with open_websocket_url(stream) as socket:
                assert '"hello"' in await socket.get_message()
                while '"points":[[' not in await socket.get_message():
                    pass
