"""The provider as the benchmark runs it: one resource, each ``up`` in a fresh process with a cache of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAY_TAKE = 600.0
"""Seconds for one ``up``."""
WORKS_AT = Path(__file__).parent.parent


class ProviderFailed(Exception):
    """The verbs have failed; the message is what the user would see."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one ``up`` took. Seconds without imports; memory in bytes.

    Attributes:
        grown: peak resident memory over what it was after the imports.
        child_peak: of the largest process that it has started and that has ended.
        contacted: every address that it has opened a connection to.
    """

    seconds: float
    check_seconds: float
    import_seconds: float
    grown: int
    child_peak: int
    contacted: tuple[str, ...]


class Deployment:
    """One resource and its state, from the first ``up`` on.

    Args:
        folder: the provider's cache and home are in there.
        name: the catalog item's; no other deployment of this Controller may have it.
        config: the stack's config.
    """

    def __init__(self, folder: Path, name: str, config: Mapping[str, str]) -> None:
        self._folder, self._name, self._config = folder, name, dict(config)
        self._state: dict[str, Any] = {}
        (folder / "home").mkdir(parents=True, exist_ok=True)

    def up(self, reference: str, agents: Sequence[Mapping[str, Any]], *, pool: int = 2, bring: bool = True) -> Answer:
        """Create, or update what is there, as ``pulumi up`` would.

        Args:
            bring: contact the agents; without it they are only written into the state.

        Raises:
            ProviderFailed: with the provider's own message; the state stays as it was.
        """
        inputs = {"name": self._name, "x86": reference, "agents": [dict(a) for a in agents], "transfer_pool": pool}
        answer = self._call({"config": self._config, "state": self._state, "inputs": inputs, "bring": bring})
        if answer.get("error"):
            raise ProviderFailed(answer["error"])
        self._state = answer["state"]
        return Answer(
            seconds=answer["seconds"],
            check_seconds=answer["check_seconds"],
            import_seconds=answer["import_seconds"],
            grown=answer["peak"] - answer["idle"],
            child_peak=answer["child_peak"],
            contacted=tuple(answer["contacted"]),
        )

    def _call(self, job: dict[str, Any]) -> dict[str, Any]:
        env = {**os.environ, "XDG_CACHE_HOME": str(self._folder / "cache"), "HOME": str(self._folder / "home")}
        done = subprocess.run(
            [sys.executable, "-m", "bench.child"],
            input=json.dumps(job).encode(),
            capture_output=True,
            cwd=WORKS_AT,
            env=env,
            timeout=MAY_TAKE,
            check=False,
        )
        if done.returncode:
            raise ProviderFailed(done.stderr.decode(errors="replace")[-2000:])
        return dict(json.loads(done.stdout))
