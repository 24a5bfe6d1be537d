"""The pod with a volume: what README.md says of copies of its log."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import trio

from tests.k8s.manifests import K8S
from tests.test_restart import ENV, publish, service


async def test_a_copy_made_as_the_readme_says_has_all_and_can_be_put_back(tmp_path: Path) -> None:
    [program] = re.findall(r"-- python -c '([^']+)'", (K8S / "README.md").read_text())
    data = tmp_path / "data"
    program = program.replace("/var/lib/pushsvc", str(data))
    async with service(data) as (one, http):
        for value in range(3):
            await publish(one, http, value)
        await trio.run_process([sys.executable, "-c", program], env=ENV)
        before = await publish(one, http, 3)
        assert await one.stop(signal.SIGTERM) == 0
        for path in data.glob("journal.sqlite*"):
            path.unlink()
        (data / "copy.sqlite").rename(data / "journal.sqlite")
        await one.start(http)
        answer = await http.get(f"{one.url}/v1/history", params={"select": "n"})
        [series] = answer.json()["series"]
        assert [value for _, value in series["points"]] == [0, 1, 2]
        # It can't say what came after it: what was seen of that is found to be of another epoch.
        assert answer.json()["id"].partition(".")[0] != before.partition(".")[0]
