"""``python -m lab COMMAND``: use the lab by hand.

up [NAME=ENGINE …]      start these hosts (default edge-1=docker edge-2=podman edge-3=docker29; also edgelet),
                        the registry and a Controller
status                  what is running, and how to log in
env                     shell commands that set up a shell for Pulumi and the lab: eval "$(python -m lab env)"
push NAME:VERSION       build the lab's image of that version, and push it to the lab's registry
ssh HOST [COMMAND …]    log in to a host, or run a command there
down [LAB]              stop and remove everything of a lab (the one of make demo is called demo)

Everything applies to this checkout's lab of the name $LAB_NAME (default ``lab``).
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from lab import images
from lab.cache import pulumi_bin
from lab.controller_process import EMAIL, PASSWORD
from lab.engines import EngineKind
from lab.host import Host, HostSpec
from lab.lab import Lab

DEFAULT = ("edge-1=docker", "edge-2=podman", "edge-3=docker29")


def main(argv: Sequence[str]) -> int:
    """Run one command; the exit code."""
    command, *words = argv or ["status"]
    if command not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    lab = Lab.found(os.environ.get("LAB_NAME", "lab"))
    if command in NEED_A_LAB and not lab.hosts:
        print("no lab is running; start one with: python -m lab up", file=sys.stderr)
        return 1
    return COMMANDS[command](lab, words)


def _up(lab: Lab, words: Sequence[str]) -> int:
    pairs = [word.split("=") for word in words or DEFAULT]
    lab.up([HostSpec(name, cast(EngineKind, engine)) for name, engine in pairs])
    if lab.controller_endpoint() is None:
        lab.controller()
    return _status(lab, ())


def _status(lab: Lab, words: Sequence[str]) -> int:
    if not lab.hosts:
        print("no lab is running")
        return 0
    for host in lab.hosts.values():
        print(f"{host.name:12} {host.spec.engine:10} {host.address:16} {shlex.join(_ssh(lab, host))}")
    print(f"{'registry':12} {'':10} {lab.registry.address}")
    print(f"{'Controller':12} {'':10} {lab.controller_endpoint() or 'none'}")
    return 0


def _env(lab: Lab, words: Sequence[str]) -> int:
    (lab.folder / "state").mkdir(exist_ok=True)
    bin_folder = Path(sys.executable).parent
    values = {
        "PATH": f"{bin_folder}:{os.environ['PATH']}:{pulumi_bin()}",
        "PULUMI_BACKEND_URL": f"file://{lab.folder}/state",
        "PULUMI_HOME": f"{lab.folder}/pulumi",
        "PULUMI_CONFIG_PASSPHRASE": "lab-passphrase",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "LAB_REGISTRY": lab.registry.address,
        "LAB_CONTROLLER": lab.controller_endpoint() or "",
        "LAB_EMAIL": EMAIL,
        "LAB_PASSWORD": PASSWORD,
        "LAB_AGENTS": json.dumps(lab.agents()),
    }
    for name, value in values.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _push(lab: Lab, words: Sequence[str]) -> int:
    (name,) = words
    with tempfile.TemporaryDirectory() as folder:
        print(lab.registry.push(images.build(Path(folder), name.rpartition(":")[2]), name))
    return 0


def _log_in(lab: Lab, words: Sequence[str]) -> int:
    name, *command = words
    argv = [*_ssh(lab, lab.hosts[name]), *command]
    os.execvp(argv[0], argv)  # noqa: S606 - in place of this process, so that the terminal is its own


def _down(lab: Lab, words: Sequence[str]) -> int:
    (Lab.found(words[0]) if words else lab).down()
    return 0


def _ssh(lab: Lab, host: Host) -> list[str]:
    known = f"UserKnownHostsFile={lab.known_hosts_file}"
    return ["ssh", "-i", str(host.private_key_file), "-o", known, f"{host.user}@{host.address}"]


COMMANDS: dict[str, Callable[[Lab, Sequence[str]], int]] = {
    "up": _up,
    "status": _status,
    "env": _env,
    "push": _push,
    "ssh": _log_in,
    "down": _down,
}
NEED_A_LAB = ("env", "push", "ssh")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
