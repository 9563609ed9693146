"""``python -m bench.readme``: put what RESULTS.md has for a few cases into README.md's table.

Done by every run that writes RESULTS.md; a test holds that README.md has what comes out.
"""

from __future__ import annotations

import re
from pathlib import Path

TOP = Path(__file__).parent.parent
RESULTS, README = TOP / "bench/RESULTS.md", TOP / "README.md"
CASES = {
    "first-100": "first transfer",
    "v2": "the application's layer changed",
    "v3": "some libraries in the base layer changed",
    "v4": "the base layer rebuilt",
    "v5": "dependencies upgraded",
    "no-change": "nothing changed",
}
OURS, OTHER = "pulumi-iofog", "docker save | zstd -3 | ssh docker load"
TABLE = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- /measured -->)", re.DOTALL)


def table(results: str) -> str:
    """The table, from RESULTS.md's text."""
    head = ["| over 100 Mbit/s | pulumi-iofog | `docker save \\| zstd -3 \\| ssh docker load` |", "|---|---:|---:|"]
    rows = [
        f"| {what} | {_cell(results, case, OURS)} | {_cell(results, case, OTHER)} |" for case, what in CASES.items()
    ]
    return "\n".join([*head, *rows]) + "\n"


def _cell(results: str, case: str, way: str) -> str:
    """``0.57 s, 2.04 MB``; a dash where that way was not measured."""
    rows = re.search(rf"^\| `{re.escape(case)}` \|(.*\n(?:\|  \|.*\n)*)", results, re.MULTILINE)
    for row in rows[1].splitlines() if rows else ():
        said, seconds, sent = [cell.strip() for cell in re.split(r"(?<!\\)\|", row.removeprefix("|  |"))][:3]
        if said.replace("\\|", "|") == way:
            return f"{seconds} s, {sent} MB"
    return "–"


def update() -> None:
    """Write it."""
    README.write_text(TABLE.sub(lambda _: table(RESULTS.read_text()), README.read_text()))


if __name__ == "__main__":
    update()
