"""``make demo``: pulumi up of a real image to four real edge hosts, a change, and everything down again.

Every step is proven on the hosts themselves; the exit code is 0 only if every proof succeeded.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
from pathlib import Path

from lab import images, proof
from lab.controller_process import EMAIL, PASSWORD
from lab.host import Host, HostSpec
from lab.lab import Lab
from lab.stack import Stack

HOSTS = (
    HostSpec("edge-docker", "docker"),
    HostSpec("edge-podman", "podman"),
    HostSpec("edge-docker29", "docker29"),
    HostSpec("edge-edgelet", "edgelet"),
)
EXAMPLE = Path(__file__).parent.parent / "examples" / "quickstart"


class Broken(Exception):
    """A step failed, or did not have the effect that it should."""


def main() -> int:
    """Run the demo; the exit code."""
    keep = os.environ.get("KEEP") == "1"
    began = time.monotonic()
    try:
        with Lab.start(HOSTS, name="demo", keep=keep) as lab:
            stack = _stack(lab)
            _first_transfer(lab, stack)
            _change(lab, stack)
            if keep:
                _how_to_continue(lab, stack)
                return 0
            _take_down(lab, stack)
    except Broken as problem:
        print(f"\nFAILED: {problem}", file=sys.stderr)
        return 1
    print(f"\nAll steps succeeded, in {time.monotonic() - began:.0f} s.")
    return 0


def _stack(lab: Lab) -> Stack:
    _title("Four edge hosts, a registry that they cannot reach, and a Controller")
    for host in lab.hosts.values():
        print(f"{host.name:14} {host.address:14} sshd, {host.cli} {host.engine.version(host)}")
    controller = lab.controller()
    _push(lab, "1.0")
    stack = Stack(EXAMPLE, lab.folder / "stack")
    stack.configure(
        {"iofog:endpoint": controller.endpoint, "iofog:email": EMAIL, "quickstart:agents": lab.agents()},
        secrets={"iofog:password": PASSWORD},
    )
    return stack


def _first_transfer(lab: Lab, stack: Stack) -> None:
    stack.configure({"quickstart:image": f"{lab.registry.address}/gateway:1.0"})
    _pulumi(stack, "preview")
    before = _received(lab)
    _pulumi(stack, "up", "--yes", "--skip-preview")
    _prove(lab, "1.0", before)


def _change(lab: Lab, stack: Stack) -> None:
    _title("The application layer changes: gateway:1.1")
    _push(lab, "1.1")
    stack.configure({"quickstart:image": f"{lab.registry.address}/gateway:1.1"})
    _pulumi(stack, "preview", "--diff")
    before = _received(lab)
    _pulumi(stack, "up", "--yes", "--skip-preview")
    _prove(lab, "1.1", before)
    _title("Nothing has changed, so nothing is sent")
    _pulumi(stack, "up", "--yes", "--skip-preview")


def _take_down(lab: Lab, stack: Stack) -> None:
    _pulumi(stack, "destroy", "--yes", "--skip-preview")
    _title("Stopping the hosts")


def _push(lab: Lab, version: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lab.registry.push(images.build(Path(folder), version), f"gateway:{version}")


def _prove(lab: Lab, version: str, before: dict[str, int]) -> None:
    """On each host, by its own engine: a container of the image can be created without pulling."""
    _title(f"Proof, on the hosts, that gateway:{version} works without a registry")
    image = f"{lab.registry.address}/gateway:{version}"
    for host in lab.hosts.values():
        if not proof.can_create(host, image):
            raise Broken(f"{host.name}: no container of {image} can be created")
        line = f"{host.name:14} container created; {_received(lab)[host.name] - before[host.name]:>10,} bytes received"
        if host.spec.engine in ("docker", "edgelet"):
            said = proof.run(host, image).strip()
            if said != f"application {version}":
                raise Broken(f"{host.name}: the container said {said!r}")
            line += f"; run: {said!r}"
        print(line)


def _received(lab: Lab) -> dict[str, int]:
    """Bytes by each host's interface."""
    return {host.name: host.counters().received for host in lab.hosts.values()}


def _pulumi(stack: Stack, *arguments: str) -> None:
    _title(f"pulumi {shlex.join(arguments)}")
    if stack.show(*arguments) != 0:
        raise Broken(f"pulumi {' '.join(arguments)} failed")


def _how_to_continue(lab: Lab, stack: Stack) -> None:
    _title("The lab and the stack are left up (KEEP=1). To continue")
    for key, value in stack.own_environment.items():
        print(f"export {key}={shlex.quote(value)}")
    print(f"cd {stack.program} && pulumi preview --stack {stack.name}")
    host: Host = lab.hosts["edge-docker"]
    print(f"ssh -i {lab.private_key_file} -o UserKnownHostsFile={lab.known_hosts_file} {host.user}@{host.address}")
    print("To stop and remove it all: .venv/bin/python -m lab down demo")


def _title(text: str) -> None:
    print(f"\n=== {text} ".ljust(100, "="), flush=True)


if __name__ == "__main__":
    sys.exit(main())
