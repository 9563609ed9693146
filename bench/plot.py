"""``python -m bench.plot``: results.svg out of RESULTS.md: seconds and bytes of every way, case by case.

Done by every run that writes RESULTS.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.results import Group, groups

HERE = Path(__file__).parent
OURS, OTHER, FLOOR = "#1b6ca8", "#b8c0c8", "#e3b23c"
LEGEND = {
    OURS: "pulumi-iofog",
    OTHER: "another way to bring the same image",
    FLOOR: "a part alone, which no way can do without: the link, or the engine",
}
INCHES_A_ROW = 0.25
SMALLEST = 0.003
"""Where a logarithmic axis begins: MB and seconds; what is less is drawn as nothing."""


def draw(shown: Sequence[Group], target: Path) -> None:
    """Write the plot; equal results give an equal file."""
    rows = sum(len(group.bars) + 2 for group in shown)
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bench", "font.size": 9})
    picture = Figure(figsize=(11, INCHES_A_ROW * rows + 1), layout="constrained")
    left, right = picture.subplots(1, 2, sharey=True)
    _draw_bars(left, right, shown)
    for axes, unit in ((left, "seconds"), (right, "MB to each host")):
        axes.set_xscale("log")
        axes.set_xlim(left=SMALLEST)
        axes.set_ylim(rows - 0.5, -0.5)
        axes.set_xlabel(f"{unit}, each step is ten times as much")
        axes.set_title(unit, loc="left", fontweight="bold")
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    keys = [Patch(color=color, label=text) for color, text in LEGEND.items()]
    picture.legend(handles=keys, loc="outside upper left", ncols=3, frameon=False)
    picture.savefig(target, metadata={"Date": None})


def _draw_bars(left: Axes, right: Axes, shown: Sequence[Group]) -> None:
    ticks: list[tuple[float, str]] = []
    at = 0
    for group in shown:
        left.text(SMALLEST, at, group.title, va="center", fontweight="bold")
        for number, bar in enumerate(group.bars):
            at += 1
            _draw_bar(left, at, bar.seconds, _color(number, bar.way))
            _draw_bar(right, at, bar.megabytes, _color(number, bar.way))
            ticks.append((at, bar.way))
        at += 2
    left.set_yticks([at for at, _ in ticks], [text for _, text in ticks])


def _draw_bar(axes: Axes, at: float, value: float | None, color: str) -> None:
    if value is None:
        return
    axes.barh(at, max(value, SMALLEST), color=color, height=0.8)
    axes.text(max(value, SMALLEST) * 1.08, at, f"{value:g}", va="center")


def _color(number: int, way: str) -> str:
    if number == 0 or way.startswith("pulumi-iofog"):
        return OURS
    return FLOOR if "alone" in way or "ssh cat" in way or way == "ssh true" else OTHER


def update() -> None:
    """Write it."""
    draw(groups((HERE / "RESULTS.md").read_text()), HERE / "results.svg")


if __name__ == "__main__":
    update()
