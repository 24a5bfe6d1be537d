"""The examples of docs/promql.md."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from pushsvc.core.resources.limits import Limits
from pushsvc.recording.rules import load_rules

PAGE = Path(__file__).parents[2] / "docs" / "promql.md"


def test_the_file_and_the_commands_of_the_page(tmp_path: Path) -> None:
    [block] = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "expressions.toml").write_text(block)
    rules = load_rules(tmp_path / "expressions.toml", Limits())
    assert [rule.name for rule in rules] == ["job:requests:rate1m", "job:errors:share"]
    assert "$ pushsvc serve --recording-rules expressions.toml" in PAGE.read_text()
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pushsvc"),
            *("check-config", "--recording-rules", "expressions.toml"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert 'file = "expressions.toml"' in ran.stdout
