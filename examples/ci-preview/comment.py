"""Writes a comment for a pull request: who is affected, and how many bytes would be sent.

pulumi preview --json | python comment.py > comment.md
"""

import json
import sys
from typing import Any, cast

KIND = "iofog:OfflineImage"
SHORT = len("sha256:") + 12
VERBS = {"create": "new", "update": "updated", "replace": "replaced", "create-replacement": "replaced"}


def comment(preview: dict[str, Any]) -> str:
    """The Markdown of what ``pulumi preview --json`` says."""
    steps = [s for s in preview.get("steps", []) if s["urn"].split("::")[2].endswith(KIND)]
    said = [d for d in preview.get("diagnostics", []) if d.get("urn") and d["severity"] in ("info", "warning", "error")]
    lines = ["### Edge images"]
    for step in steps:
        if step["op"] not in (*VERBS, "delete"):
            continue
        name = step["urn"].split("::")[-1]
        lines += ["", f"**{name}** is {VERBS.get(step['op'], 'deleted')}"]
        lines += [f"> {d['message'].strip()}" for d in said if d["urn"] == step["urn"]]
        lines += _table(_digests(step.get("oldState")), _digests(step.get("newState")))
    if len(lines) == 1:
        lines += ["", "No edge host is affected."]
    return "\n".join(lines) + "\n"


def _digests(state: dict[str, Any] | None) -> dict[str, str]:
    digests = (state or {}).get("inputs", {}).get("agent_digests")
    return cast(dict[str, str], digests) if isinstance(digests, dict) else {}


def _table(old: dict[str, str], new: dict[str, str]) -> list[str]:
    changed = [agent for agent in sorted({*old, *new}) if old.get(agent) != new.get(agent)]
    if not changed:
        return []
    rows = [f"| {agent} | {_short(old.get(agent))} | {_short(new.get(agent))} |" for agent in changed]
    return ["", "| agent | holds | will hold |", "|---|---|---|", *rows]


def _short(digest: str | None) -> str:
    return f"`{digest[:SHORT]}`" if digest else "–"


if __name__ == "__main__":
    print(comment(json.load(sys.stdin)), end="")
