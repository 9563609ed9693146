"""RESULTS.md read again, for what is made out of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bench.cases import CASES


@dataclass(frozen=True, slots=True)
class Bar:
    """One way of a case; what was not counted is None."""

    way: str
    seconds: float | None
    megabytes: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """A case in words, and its ways, the provider's first."""

    title: str
    bars: Sequence[Bar]


def groups(results: str) -> list[Group]:
    """What RESULTS.md's table "Seconds and bytes" has."""
    titles = {case.name: case.title for case in CASES}
    found: list[tuple[str, list[Bar]]] = []
    for line in results.partition("\n## Seconds and bytes\n")[2].partition("\n## ")[0].splitlines():
        case, way, seconds, sent, *_ = [*map(str.strip, re.split(r"(?<!\\)\|", line.strip("|"))), "", "", "", ""]
        if not re.fullmatch(r"[\d.]+", seconds):
            continue
        if case:
            found.append((case.strip("`"), []))
        found[-1][1].append(Bar(way.replace("\\|", "|"), _number(seconds), _number(sent)))
    return [Group(titles.get(case, case), bars) for case, bars in found]


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[\d.]+", text) else None
