"""The story of a world that broke a rule, as a page: a lane for each who had a part in it."""

from __future__ import annotations

from pathlib import Path
from string import Template

import msgspec

from tests.simulation.story import Broken
from tests.simulation.world import World, again

KEPT = Path(__file__).parents[2] / "artifacts" / "simulation"
_TEMPLATE = Template(Path(__file__).with_name("page.html").read_text("utf-8"))


def draw(world: World, broken: Broken, mutation: str | None = None) -> str:
    """HTML that needs nothing else."""
    story = world.story
    told = {
        "seed": world.seed,
        "mutation": mutation,
        "again": again(world, mutation),
        "who": broken.who,
        "rule": broken.rule,
        "lanes": story.lanes,
        "clients": sorted(story.clients),
        "spans": story.spans,
        "lines": story.lines,
    }
    data = msgspec.json.encode(told).decode()
    return _TEMPLATE.substitute(story=data.replace("<", "\\u003c"))


def keep(world: World, broken: Broken, mutation: str | None = None) -> Path:
    """Where the page was put."""
    KEPT.mkdir(parents=True, exist_ok=True)
    of = f"-{mutation}" if mutation else ""
    path = KEPT / f"seed-{world.seed}{of}.html"
    path.write_text(draw(world, broken, mutation), "utf-8")
    return path
