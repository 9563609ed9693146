"""``check_site.py FOLDER``: every link inside a built site leads somewhere, and nothing is fetched from elsewhere.

mkdocs checks the links that are written in pages; this checks what came out of it, the theme's and the API
reference's own included. Links to other sites that a reader may follow are not looked at.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED_CSS = re.compile(r"(?:url\(\s*|@import\s+)[\"']?((?:https?:)?//[^\"')\s]+)")


class Page(HTMLParser):
    """The anchors of a page, and what it points at: (address, whether a browser fetches it by itself)."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.anchors: set[str] = set()
        self.links: list[tuple[str, bool]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if "src" in found:
            self.links.append((found["src"], True))
        if "href" in found:
            self.links.append((found["href"], tag == "link" and found.get("rel") != "canonical"))


def main(folder: Path) -> int:
    """Print what is wrong; the exit code."""
    pages = {path: Page(path) for path in sorted(folder.rglob("*.html"))}
    wrong = [f"{path.relative_to(folder)}: {what}" for path, what in _wrong(folder, pages)]
    print("\n".join(wrong) or f"{len(pages)} pages, {sum(len(page.links) for page in pages.values())} links")
    return 1 if wrong or not pages else 0


def _wrong(folder: Path, pages: dict[Path, Page]) -> Iterator[tuple[Path, str]]:
    for page in pages.values():
        for link, fetched in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if fetched and parts.scheme != "data":
                    yield page.path, f"fetches {link}"
                continue
            # 404.html is served for any address, so its links begin at the site's own.
            base = folder if parts.path.startswith("/") else page.path.parent
            target = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else page.path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                yield page.path, f"{link} leads nowhere"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield page.path, f"{link} has no such anchor"
    for sheet in folder.rglob("*.css"):
        for address in FETCHED_CSS.findall(sheet.read_text(encoding="utf-8")):
            yield sheet, f"fetches {address}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
