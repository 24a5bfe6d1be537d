"""Build the documentation as a site, in `build/docs/site`. A link that leads nowhere is an error.

The pages are those of the repository, in their places: what they say of each other holds where
they are read as files, and on the site alike.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "docs"
PAGES = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "k8s/README.md", "docs")


def main() -> int:
    """Returns the exit status."""
    return build(BUILD)


def build(into: Path) -> int:
    """Make the site in the folder `site` of `into`, which is emptied. Returns the exit status."""
    shutil.rmtree(into, ignore_errors=True)
    pages, site = into / "pages", into / "site"
    for name in PAGES:
        source, target = ROOT / name, pages / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("*.py", "*.toml", "__pycache__")
            shutil.copytree(source, target, ignore=ignored)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    shutil.copy(ROOT / "docs" / "zensical.toml", into)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    status = subprocess.run(command, cwd=into, check=False).returncode  # noqa: S603
    if status != 0:
        return status
    # It looks after pages and their headings itself, and not after pictures and other files.
    nowhere = [f"{page.relative_to(site)}: {link}" for page, link in dead_links(site)]
    if nowhere:
        sys.stderr.write("".join(f"{line} leads nowhere\n" for line in nowhere))
        return 1
    sys.stdout.write(f"{site / 'index.html'}\n")
    return 0


def dead_links(site: Path) -> Iterator[tuple[Path, str]]:
    """The links and pictures of a site's own that aren't there, with the page that has them."""
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue  # it is shown at any address, and its links begin at the root
        found = _Links()
        found.feed(page.read_text())
        for link in found.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or not parts.path:
                continue
            target = page.parent / unquote(parts.path)
            if not (target.is_file() or (target / "index.html").is_file()):
                yield page, link


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.links += [value for name, value in attrs if name in ("href", "src") and value]


if __name__ == "__main__":
    raise SystemExit(main())
