"""results.svg: seconds and bytes of every way, case by case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.measure import MB, Findings, Result, figure

OURS, OTHER, FLOOR = "#1b6ca8", "#b8c0c8", "#e3b23c"
INCHES_A_BAR = 0.24
SMALLEST = 0.003
"""Where a logarithmic axis begins: MB and seconds; what is less is drawn as nothing."""


def draw(results: Sequence[Result], target: Path) -> None:
    """Write the plot; equal results give an equal file."""
    shown = [(result.case, result.findings) for result in results if result.findings]
    bars = sum(len(found.measures) + 1 for _, found in shown)
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bench", "font.size": 8})
    picture = Figure(figsize=(11, max(2.0, INCHES_A_BAR * bars)), layout="constrained")
    left, right = picture.subplots(1, 2, sharey=True)
    _bars(left, right, shown)
    left.set_xlabel("seconds")
    right.set_xlabel("MB to each host")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xlim(left=SMALLEST)
        axes.margins(y=0.01)
        axes.spines[["top", "right"]].set_visible(False)
    left.invert_yaxis()
    picture.savefig(target, metadata={"Date": None})


def _bars(left: Axes, right: Axes, shown: Sequence[tuple[str, Findings]]) -> None:
    ticks: list[tuple[float, str]] = []
    at = 0.0
    for case, found in shown:
        for number, measure in enumerate(found.measures):
            color = _color(number, measure.way)
            _bar(left, at, measure.seconds, color)
            _bar(right, at, None if measure.sent is None else measure.sent / MB / found.hosts, color)
            ticks.append((at, f"{case}: {measure.way}" if number == 0 else measure.way))
            at += 1
        at += 1
    left.set_yticks([at for at, _ in ticks], [text for _, text in ticks])


def _bar(axes: Axes, at: float, value: float | None, color: str) -> None:
    if value is None:
        return
    axes.barh(at, max(value, SMALLEST), color=color, height=0.8)
    axes.text(max(value, SMALLEST) * 1.08, at, figure(value), va="center", fontsize=7)


def _color(number: int, way: str) -> str:
    if number == 0:
        return OURS
    return FLOOR if "alone" in way or "ssh cat" in way or way == "ssh true" else OTHER
