"""The provider's process: reads one job as JSON, calls the verbs as Pulumi would, answers as JSON.

Imports come first and are timed apart; what the process holds then is its idle memory. Everything that it
contacts is noted by an audit hook, so that "no connection" is more than a guess.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

started = time.monotonic()

from pulumi_iofog.provider import OfflineImageProvider  # noqa: E402 - timed


def main() -> None:
    """Run the job of standard input."""
    job = json.load(sys.stdin)
    contacted: set[str] = set()
    sys.addaudithook(lambda event, args: _note(contacted, event, args))
    answer: dict[str, Any] = {"import_seconds": time.monotonic() - started, "idle": _memory("VmRSS")}
    _forget_peak()
    try:
        _run(job, answer)
    except Exception as problem:
        answer["error"] = f"{type(problem).__name__}: {problem}"
    answer["peak"] = _memory("VmHWM")
    answer["child_peak"] = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    answer["contacted"] = sorted(contacted)
    json.dump(answer, sys.stdout)


def _run(job: dict[str, Any], answer: dict[str, Any]) -> None:
    provider = OfflineImageProvider()
    request: Any = SimpleNamespace(config=job["config"])
    provider.configure(request)
    state = job["state"]
    began = time.monotonic()
    news = {**job["inputs"], "__run": {"preview": False, "resource": f"bench/bench/{job['inputs']['name']}"}}
    checked = provider.check(state.get("inputs", {}), news)
    if checked.failures:
        raise RuntimeError("; ".join(f"{failure.property}: {failure.reason}" for failure in checked.failures))
    inputs = checked.inputs
    answer["check_seconds"] = time.monotonic() - began
    if not job["bring"]:
        # A state as if the agents had been served, for those that are not there.
        outputs: dict[str, Any] = {**inputs, "catalog_item_id": 1, "pending_agents": []}
        id_ = "1"
    elif not state:
        created = provider.create(inputs)
        id_, outputs = created.id, created.outs or {}
    else:
        id_, outputs = state["id"], state["outputs"]
        if provider.diff(id_, outputs, inputs).changes:
            outputs = provider.update(id_, outputs, inputs).outs or {}
    answer["seconds"] = time.monotonic() - began
    answer["state"] = {"id": id_, "inputs": inputs, "outputs": outputs}


def _note(contacted: set[str], event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(args[1], tuple):
        contacted.add(str(args[1][0]))


def _memory(field: str) -> int:
    """A line of /proc/self/status, in bytes (proc(5))."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    main()
