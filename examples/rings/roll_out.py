"""Brings a version to one ring after another, checks each, and then makes it the current one.

    python roll_out.py STACK registry.example/gateway:1.5 [./check AGENT…]

The check is a program of yours; it gets those agents of a ring that have the version, and if it fails, the rollout ends
there: the other rings have not been touched, and `gateway` is still the version that it was. A canary that cannot be
reached ends it too; a host of a later ring that is down does not. Exit code 0 if the version became the current one.
"""

import json
import subprocess
import sys
from pathlib import Path

from pulumi import automation


class Stopped(Exception):
    """The rollout ends here; the text says why."""


def main(stack_name: str, version: str, check: list[str]) -> int:
    try:
        pending = roll_out(automation.select_stack(stack_name, work_dir=str(Path(__file__).parent)), version, check)
    except Stopped as why:
        say(f"{why}; {version} does not become the current version. To go on from here, run the same command again")
        return 1
    left = f"; still to come, with a later pulumi up: {', '.join(pending)}" if pending else ""
    say(f"{version} is the current version{left}")
    return 0


def roll_out(stack: automation.Stack, version: str, check: list[str]) -> list[str]:
    """The agents that were down, and are left pending."""
    rings = [[agent_name(agent) for agent in ring] for ring in json.loads(stack.get_config("rings").value)]
    stack.set_config("next", automation.ConfigValue(version))
    for number, ring in enumerate(rings, start=1):
        where = f"ring {number} of {len(rings)}"
        say(f"{where}: {', '.join(ring)}")
        stack.set_config("reached", automation.ConfigValue(str(number)))
        pending = up(stack, where, "next_pending_agents")
        absent = [agent for agent in rings[0] if agent in pending]
        if absent:
            raise Stopped(f"{where}: no canary may be missing, but {', '.join(absent)} is")
        there = [agent for agent in ring if agent not in pending]
        if check and subprocess.run([*check, *there], check=False).returncode:
            raise Stopped(f"{where} did not pass the check")
    say(f"every ring has {version}: it becomes the current version")
    stack.set_config("current", automation.ConfigValue(version))
    for key in ("next", "reached"):
        stack.remove_config(key)
    return up(stack, "all rings", "pending_agents")


def up(stack: automation.Stack, where: str, output: str) -> list[str]:
    """Run `pulumi up`; the agents that an output of the stack lists."""
    try:
        done = stack.up(on_output=print, color="never")
    except automation.CommandError:
        raise Stopped(f"{where}: pulumi up failed, for the reason above") from None
    return list(done.outputs[output].value)


def agent_name(agent: str | dict[str, str]) -> str:
    return agent if isinstance(agent, str) else agent["name"]


def say(text: str) -> None:
    print(f"=== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
