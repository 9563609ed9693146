"""``python -m lab up|down|status``: the lab by hand.

up [NAME=ENGINE …]   start these hosts (default edge-1=docker edge-2=podman edge-3=docker29)
down [LAB]           stop and remove everything of a lab (default lab; make demo's is called demo)
status               what runs
"""

from __future__ import annotations

import sys
from typing import cast

from lab.host import EngineKind, HostSpec
from lab.lab import Lab

DEFAULT = ("edge-1=docker", "edge-2=podman", "edge-3=docker29")


def main(argv: list[str]) -> int:
    """Run one command; the exit code."""
    command, *words = argv or ["status"]
    if command == "up":
        pairs = [word.split("=") for word in words or DEFAULT]
        Lab.found().up([HostSpec(name, cast(EngineKind, engine)) for name, engine in pairs])
        return main(["status"])
    if command == "down":
        Lab.found(*words[:1]).down()
        return 0
    if command == "status":
        lab = Lab.found()
        for host in lab.hosts.values():
            way = f"ssh -i {host.private_key_file} {host.user}@{host.address}"
            print(f"{host.name}  {host.spec.engine}  {host.address}  {way}")
        print(f"known hosts: {lab.known_hosts_file}" if lab.hosts else "no lab is running")
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
