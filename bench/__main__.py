"""``python -m bench [main | CASE …]``: measure, print, and where all cases ran write RESULTS.md and results.svg.

The exit code says whether every case could be measured; a target that is missed is only reported.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from bench import machine, plot, readme, report
from bench.cases import CASES, Case, chosen
from bench.measure import Result
from bench.provider import ProviderFailed
from bench.site import Site
from lab import Lab
from lab.shell import CommandFailed

HERE = Path(__file__).parent
EXPECTED = (ProviderFailed, CommandFailed, RuntimeError, OSError, subprocess.SubprocessError, ValueError)


def main(words: list[str]) -> int:
    """Run the chosen cases; the exit code."""
    try:
        cases = chosen(words)
    except KeyError as problem:
        names = "\n".join(f"  {case.name:18} {case.title}" for case in CASES)
        print(f"{__doc__}\nno case {problem}; there are\n{names}", file=sys.stderr)
        return 2
    began, busy = time.monotonic(), machine.load()
    results = _measure_all(cases)
    print(f"\n{report.summary(results)}; {time.monotonic() - began:.0f} s")
    if not words:
        _write(results, time.monotonic() - began, busy)
    return 0 if all(result.findings for result in results) else 1


def _measure_all(cases: Sequence[Case]) -> list[Result]:
    results = []
    with Lab.start([], name="bench") as lab:
        site = Site(lab)
        for case in cases:
            print(f"\n{case.name}: {case.title}", flush=True)
            began = time.monotonic()
            result = _measure(case, site)
            print("\n".join(report.lines(result)))
            print(f"  [{time.monotonic() - began:.0f} s in all, load {machine.load():.1f}]", flush=True)
            results.append(result)
    return results


def _measure(case: Case, site: Site) -> Result:
    try:
        return Result(case.name, case.title, case.run(site))
    except EXPECTED as problem:
        return Result(case.name, case.title, error=f"{problem}"[:1000])


def _write(results: Sequence[Result], seconds: float, busy: float) -> None:
    today = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    facts = {**machine.facts(), "load before it began": f"{busy:.1f}"}
    (HERE / "RESULTS.md").write_text(report.document(results, facts, today, seconds))
    plot.update()
    readme.update()
    print(f"written: {HERE.name}/RESULTS.md, {HERE.name}/results.svg, and the table in README.md")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
