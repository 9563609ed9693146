"""Results as text: lines for the terminal while it runs, and RESULTS.md. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.measure import MB, Measure, Result, figure, ratio

HEAD = """# Results of the benchmark

Written by `python -m bench`; do not edit. Every case was measured with its baselines in the same run, on real
edge hosts (sshd and an engine each, in network namespaces of one machine). Seconds are wall time; those of
the provider are its own work in a fresh process (check, diff, create or update), its imports and the Pulumi
engine apart. MB are 10⁶ bytes to each host by the counters of its interface, so SSH's and TCP's share is in.
Where `docker save` is a baseline, the image is in the operator's engine already and pulling it is not counted.

![seconds and bytes](results.svg)
"""


def lines(result: Result) -> list[str]:
    """For the terminal."""
    if result.findings is None:
        return [f"  FAILED: {result.error}"]
    found = result.findings
    ours = found.measures[0]
    text = [
        f"  {figure(m.seconds):>6} s  {_sent(m, found.hosts):>8} MB  {_ratio(m, ours):>6}  {m.way}"
        for m in found.measures
    ]
    text += [f"  {_word(t.holds):6} {t.what}: {t.got}, wanted {t.wanted}" for t in found.targets]
    return text + [f"  ({note})" for note in found.notes]


def document(results: Sequence[Result], facts: Mapping[str, str], when: str, seconds: float) -> str:
    """RESULTS.md.

    Args:
        facts: of machine and versions.
        when: the day.
        seconds: that all took.
    """
    parts = [HEAD, "## Targets\n", *_targets(results), "\n## Seconds and bytes\n", *_measures(results)]
    parts += ["\n## Machine and versions\n", f"Measured on {when} in {seconds / 60:.0f} minutes.\n"]
    parts += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())]
    return "\n".join(parts) + "\n"


def summary(results: Sequence[Result]) -> str:
    """One line: ``17 of 30 targets hold; 1 case failed: drops``."""
    targets = [target for result in results if result.findings for target in result.findings.targets]
    line = f"{sum(target.holds for target in targets)} of {len(targets)} targets hold"
    failed = [result.case for result in results if result.findings is None]
    return line + (f"; {len(failed)} failed: {', '.join(failed)}" if failed else "")


def _targets(results: Sequence[Result]) -> list[str]:
    rows = [f"{summary(results)}.\n", "| case | | measured | wanted | |", "|---|---|---:|---:|---|"]
    for result in results:
        name = f"`{result.case}` {result.title}"
        if result.findings is None:
            rows.append(f"| {name} | {_cell(result.error)} | – | – | failed |")
            continue
        for target in result.findings.targets:
            rows.append(f"| {name} | {target.what} | {target.got} | {target.wanted} | {_word(target.holds)} |")
            name = ""
    return rows


def _measures(results: Sequence[Result]) -> list[str]:
    rows = ["| case | way | seconds | MB each | × the provider's time |", "|---|---|---:|---:|---:|"]
    notes: list[str] = []
    for result in results:
        if result.findings is None:
            continue
        found, name = result.findings, f"`{result.case}`"
        for m in found.measures:
            row = (name, _cell(m.way), figure(m.seconds), _sent(m, found.hosts), _ratio(m, found.measures[0]))
            rows.append(f"| {' | '.join(row)} |")
            name = ""
        notes += [f"- `{result.case}`: {note}" for note in found.notes]
    return [*rows, "", *notes]


def _sent(measure: Measure, hosts: int) -> str:
    return "–" if measure.sent is None else figure(measure.sent / MB / hosts)


def _ratio(measure: Measure, ours: Measure) -> str:
    return "1" if measure is ours else figure(ratio(measure.seconds, ours.seconds))


def _word(holds: bool) -> str:
    return "holds" if holds else "misses"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
