"""`pushsvc dashboards`: what Grafana exported, as a file or at a service (docs/dashboards.md)."""

from __future__ import annotations

import json
from pathlib import Path

import trio

from pushsvc.config import Dashboards
from pushsvc.dashboards.model import read
from tests.cli.forked import run
from tests.dashboards.grafana_files import HOSTS
from tests.serving import serving

FILE = json.dumps(HOSTS)


def test_a_file_becomes_a_dashboard_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    source, made = tmp_path / "node.json", tmp_path / "made.json"
    source.write_text(FILE)
    done = run("dashboards", "import", str(source), "--output", str(made))
    assert (done.returncode, done.stdout) == (0, "")
    assert read(made.read_bytes()).title == "Hosts"
    lines = done.stderr.splitlines()
    assert "left out · Memory: its value, the mean: it is the newest" in lines
    assert lines[-1] == f"4 of 5 panels taken, {len(lines) - 1} remarks"
    piped = run("dashboards", "import", stdin=FILE)
    assert piped.stdout.encode() == made.read_bytes()
    assert piped.stderr == done.stderr


def test_what_is_no_dashboard_is_told(tmp_path: Path) -> None:
    for text, reason in (
        ("{", "the file is no JSON"),
        ("{}", "required field `title`"),
        (
            '{"apiVersion":"dashboard.grafana.app/v2","spec":{}}',
            "export it from Grafana as Classic",
        ),
    ):
        done = run("dashboards", "import", stdin=text)
        assert (done.returncode, done.stdout) == (1, "")
        assert reason in done.stderr
    for arguments in (["--name", "Not this"], ["--output", str(tmp_path / "no" / "where")]):
        assert run("dashboards", "import", *arguments, stdin=FILE).returncode == 1
    both = run("dashboards", "import", "--name", "a", "--output", "b", stdin=FILE)
    assert both.returncode == 2
    assert run("dashboards", "import", str(tmp_path / "none")).returncode == 2


async def test_it_is_saved_at_a_service_once_or_replaced(tmp_path: Path) -> None:
    async with serving(dashboards=Dashboards(directory=str(tmp_path))) as served:
        url = f"http://{served.host}:{served.port}"

        async def save(*more: str) -> tuple[int, str, str]:
            done = await trio.to_thread.run_sync(
                lambda: run(
                    "dashboards", "import", "--url", url, "--name", "node", *more, stdin=FILE
                )
            )
            return done.returncode, done.stdout, done.stderr

        assert (await save())[:2] == (0, f"{url}/d/node\n")
        status, _, said = await save()
        assert (status, said) == (
            1,
            f"pushsvc: {url} has a dashboard node already: say --replace, or another --name\n",
        )
        assert (await save("--replace"))[0] == 0
        assert (await served.http.get("/v1/dashboards/node")).json()["title"] == "Hosts"
    status, _, said = await save()
    assert status == 1
    assert url in said
