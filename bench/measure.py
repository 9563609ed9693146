"""Values of a benchmark: what was timed, what was wanted, and the ratios between them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Measure:
    """One way of bringing an image, timed.

    Attributes:
        seconds: wall.
        sent: bytes that the hosts' interfaces have received, all hosts together; None where not counted.
    """

    way: str
    seconds: float
    sent: int | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A number that must be reached; ``value`` and ``limit`` in ``unit``."""

    what: str
    value: float
    limit: float
    unit: str = "×"
    at_least: bool = False

    @property
    def holds(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def wanted(self) -> str:
        """``≤ 1.2 ×``."""
        return f"{'≥' if self.at_least else '≤'} {self.limit:g} {self.unit}".strip()

    @property
    def got(self) -> str:
        return f"{figure(self.value)} {self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Findings:
    """What one case has shown. The first measure is the provider's. ``hosts``: served at the same time."""

    measures: Sequence[Measure]
    targets: Sequence[Target]
    notes: Sequence[str] = ()
    hosts: int = 1


@dataclass(frozen=True, slots=True)
class Result:
    """A case and its findings, or why there are none."""

    case: str
    title: str
    findings: Findings | None = None
    error: str = ""

    @property
    def holds(self) -> bool:
        """Whether every target does; a case that has failed holds nothing."""
        return self.findings is not None and all(target.holds for target in self.findings.targets)


def ratio(value: float, base: float) -> float:
    """value ÷ base; infinite where there is nothing to divide by."""
    return value / base if base else float("inf")


def times(what: str, value: float, base: float, limit: float, *, at_least: bool = False) -> Target:
    """A target for value ÷ base."""
    return Target(what, ratio(value, base), limit, at_least=at_least)


def percent(what: str, part: float, whole: float, limit: float) -> Target:
    """A target for a part of a whole."""
    return Target(what, 100 * ratio(part, whole), limit, "%")


def megabytes(what: str, value: float, limit: float) -> Target:
    """A target in MB, for a value in bytes; a limit in MB."""
    return Target(what, value / MB, limit, "MB")


def figure(value: float) -> str:
    """Three figures that count, without an exponent: 0.052, 1.23, 79.4, 238; whole numbers as they are."""
    if value == float("inf"):
        return "∞"
    if value == int(value):
        return str(int(value))
    for below, places in ((0.1, 3), (10, 2), (100, 1)):
        if abs(value) < below:
            return f"{value:.{places}f}"
    return f"{value:.0f}"


def sending(samples: Sequence[tuple[float, int]], total: int) -> float:
    """Seconds that 96 % of the bytes took, of samples of (seconds, bytes so far): from the first 2 % to 98 %, so
    that signing in and loading are left out. 0 where there is no such stretch."""
    inside = [at for at, count in samples if 0.02 * total <= count <= 0.98 * total]
    return inside[-1] - inside[0] if inside else 0.0


def quickest(measures: Sequence[Measure]) -> Measure:
    """The one that took the least time."""
    return min(measures, key=lambda measure: measure.seconds)
