"""What the empty page says how to send: each as it stands there, with and without a token."""

from __future__ import annotations

import contextlib
import json
import sys
import tomllib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trio

from pushsvc.auth.keys import make_key, table_of
from pushsvc.config import Auth
from tests.debian import program
from tests.serving import Served, serving
from tests.test_producers_prometheus import free_port, process

FILE = Path(__file__).parent.parent / "web/src/page/ways.json"
WAYS = {way["name"]: way for way in json.loads(FILE.read_text())}

OTEL = """
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
provider = MeterProvider(metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())])
provider.get_meter("tried").create_counter("tried").add(3)
provider.shutdown()
"""


def test_each_way_is_tried_here() -> None:
    assert set(WAYS) == {"curl", "Python", "Prometheus", "OpenTelemetry", "Telegraf"}


class Asked:
    """A service to send to; with `token`, one that asks for it."""

    def __init__(self, served: Served, token: str) -> None:
        self.served = served
        self.token = token
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def text(self, name: str) -> str:
        text: str = WAYS[name]["text"]
        return text.replace("{url}", self.served.url)

    def said_of_tokens(self, name: str) -> str:
        said: str = WAYS[name]["token"]
        return said.replace("TOKEN", self.token)

    async def wait(self, name: str) -> Mapping[str, Any]:
        """The series, once it is there."""
        with trio.fail_after(60):
            while True:
                answer = await self.served.http.get("/v1/series", headers=self._headers)
                for series in answer.json()["series"]:
                    if series["name"] == name:
                        return dict(series)
                await trio.sleep(0.05)


@contextlib.asynccontextmanager
async def asked(tmp_path: Path, *, token: bool) -> AsyncIterator[Asked]:
    if not token:
        async with serving() as served:
            yield Asked(served, "")
        return
    key, id_, hash_ = make_key()
    everything = ['{__name__=~".+"}']
    file = tmp_path / "keys.toml"
    file.write_text(
        table_of(id_, hash_, name="all", read=everything, write=everything, operator=False)
    )
    async with serving(auth=Auth(mode="keys", keys_file=str(file))) as served:
        yield Asked(served, key)


WITH_AND_WITHOUT = pytest.mark.parametrize("token", [False, True])


@WITH_AND_WITHOUT
async def test_curl(tmp_path: Path, *, token: bool) -> None:
    async with asked(tmp_path, token=token) as to:
        command = to.text("curl")
        if token:
            command += " " + to.said_of_tokens("curl")
        await trio.run_process(["bash", "-c", f"{command} --fail --silent --output /dev/null"])
        series = await to.wait("room_temperature")
    assert (series["labels"], series["value"]) == ({"room": "office"}, 21.5)


@WITH_AND_WITHOUT
async def test_python(tmp_path: Path, *, token: bool) -> None:
    async with asked(tmp_path, token=token) as to:
        text = to.text("Python")
        if token:
            field, _, _ = to.said_of_tokens("Python").partition(" among")
            text = text.replace("headers={", f"headers={{{field}, ")
        with process(sys.executable, "-c", text):
            await to.wait("wave")


@pytest.mark.parametrize("token", [pytest.param(False, marks=pytest.mark.long), True])
async def test_prometheus(tmp_path: Path, *, token: bool) -> None:
    port = free_port()
    async with asked(tmp_path, token=token) as to:
        file = tmp_path / "prometheus.yml"
        said, _, _ = to.said_of_tokens("Prometheus").partition(" below")
        file.write_text(
            "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: itself\n"
            f"    static_configs:\n      - targets: ['127.0.0.1:{port}']\n"
            + to.text("Prometheus")
            + (f"\n    {said}" if token else "")
        )
        with process(
            program("prometheus", "prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ):
            assert (await to.wait("up"))["labels"]["job"] == "itself"


@WITH_AND_WITHOUT
async def test_opentelemetry(tmp_path: Path, *, token: bool) -> None:
    async with asked(tmp_path, token=token) as to:
        lines = to.text("OpenTelemetry")
        if token:
            lines += f"\nexport {to.said_of_tokens('OpenTelemetry')}"
        with process("bash", "-c", f'{lines}\nexec "$0" -c "$1"', sys.executable, OTEL):
            assert (await to.wait("tried_total"))["value"] == 3


async def test_telegraf(tmp_path: Path) -> None:
    """Its configuration is read, and sent is what its plugin `outputs.influxdb_v2` sends: it is in
    none of the registries that tests install from."""
    async with asked(tmp_path, token=True) as to:
        [output] = tomllib.loads(to.text("Telegraf"))["outputs"]["influxdb_v2"]
        assert set(output) == {"urls", "token", "organization", "bucket"}
        answer = await to.served.http.post(
            f"{output['urls'][0]}/api/v2/write",
            params={"bucket": output["bucket"], "org": output["organization"]},
            headers={"Authorization": f"Token {to.token}"},
            content=b"cpu,host=a usage=1.5",
        )
        assert answer.status_code == 204
        assert (await to.wait("cpu_usage"))["value"] == 1.5
