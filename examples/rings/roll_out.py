"""Brings a version to one ring after another, checks each, and then makes it the current one.

    python roll_out.py STACK registry.example/gateway:1.5 [./check AGENT…]

The check is a program of yours; it gets the agents of a ring as arguments, and if it fails, the rollout ends there:
the other rings have not been touched, and `gateway` is still the version that it was.
"""

import json
import subprocess
import sys
from pathlib import Path

from pulumi import automation


def main(stack_name: str, version: str, check: list[str]) -> int:
    stack = automation.select_stack(stack_name, work_dir=str(Path(__file__).parent))
    rings = json.loads(stack.get_config("rings").value)
    stack.set_config("next", automation.ConfigValue(version))
    for number, ring in enumerate(rings, start=1):
        say(f"ring {number} of {len(rings)}: {', '.join(agent_name(agent) for agent in ring)}")
        stack.set_config("reached", automation.ConfigValue(str(number)))
        stack.up(on_output=print, color="never")
        if check and subprocess.run([*check, *map(agent_name, ring)], check=False).returncode:
            say(f"ring {number} did not pass the check: stopping; {version} does not become the current version")
            return 1
    say(f"every ring holds {version}: it becomes the current version")
    stack.set_config("current", automation.ConfigValue(version))
    for key in ("next", "reached"):
        stack.remove_config(key)
    stack.up(on_output=print, color="never")
    return 0


def agent_name(agent: str | dict[str, str]) -> str:
    return agent if isinstance(agent, str) else agent["name"]


def say(text: str) -> None:
    print(f"=== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
