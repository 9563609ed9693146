"""``make demo``: pulumi up of a real image to four real edge hosts, a change, and everything down again.

Where Docker 29 and edgelet are still being built, it begins with docker and podman, and the other two join later.
Every step is proven on the hosts themselves; the exit code is 0 only if every proof succeeded.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
from pathlib import Path

from lab import build, images, proof
from lab.cache import pulumi_bin
from lab.controller_process import EMAIL, PASSWORD
from lab.host import Host, HostSpec
from lab.lab import Lab
from lab.shell import CommandFailed
from lab.stack import Stack

DEBIAN = (HostSpec("edge-docker", "docker"), HostSpec("edge-podman", "podman"))
BUILT = (HostSpec("edge-docker29", "docker29"), HostSpec("edge-edgelet", "edgelet"))
"""Whose engines may still be being built when the demo begins."""
EXAMPLE = Path(__file__).parent.parent / "examples" / "quickstart"


class Broken(Exception):
    """A step failed, or did not have the effect that it should."""


def main() -> int:
    """Run the demo; the exit code."""
    keep = os.environ.get("KEEP") == "1"
    began = time.monotonic()
    try:
        complete = build.ready("engines")
        with Lab.start((*DEBIAN, *BUILT) if complete else DEBIAN, name="demo", keep=keep) as lab:
            stack = _stack(lab)
            _first_transfer(lab, stack)
            if not complete:
                _more_hosts(lab, stack)
            _change(lab, stack)
            if keep:
                _title("The lab and the stack are left up (KEEP=1). To continue")
                print("\n".join(how_to_continue(lab, stack)))
                print(f"To stop and remove it all: {shlex.quote(sys.executable)} -m lab down {lab.name}")
                return 0
            _take_down(lab, stack)
    except (Broken, CommandFailed) as problem:
        print(f"\nFAILED: {problem}", file=sys.stderr)
        return 1
    print(f"\nAll steps succeeded, in {time.monotonic() - began:.0f} s.")
    return 0


def _stack(lab: Lab) -> Stack:
    _title(f"{len(lab.hosts)} edge hosts, a registry that they cannot reach, and a Controller")
    _show_hosts(lab)
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


def _more_hosts(lab: Lab, stack: Stack) -> None:
    """Docker 29 and edgelet join, once they are built."""
    _title("Two more hosts, as soon as their engines are built")
    build.wait("engines")
    lab.up(BUILT)
    _show_hosts(lab)
    stack.configure({"quickstart:agents": lab.agents()})
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


def _show_hosts(lab: Lab) -> None:
    for host in lab.hosts.values():
        print(f"{host.name:14} {host.address:14} sshd, {host.cli} {host.engine.version(host)}")


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


def how_to_continue(lab: Lab, stack: Stack) -> list[str]:
    """The commands, for a shell of which nothing is known; they leave its HOME alone."""
    host: Host = lab.hosts["edge-docker"]
    known = f"UserKnownHostsFile={lab.known_hosts_file}"
    return [
        f"cd {shlex.quote(str(stack.program))}",
        f". {shlex.quote(str(_write_environment(stack)))}",
        f"pulumi preview --stack {stack.name}",
        shlex.join(["ssh", "-i", str(lab.private_key_file), "-o", known, f"{host.user}@{host.address}"]),
    ]


def _write_environment(stack: Stack) -> Path:
    """The file that sets Pulumi's variables, and puts the virtual environment's programs first."""
    own = {key: value for key, value in stack.own_environment.items() if key not in ("HOME", "PATH")}
    lines = [f"export {key}={shlex.quote(value)}" for key, value in own.items()]
    lines.append(
        f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH":{shlex.quote(str(pulumi_bin()))}'
    )
    file = stack.folder / "environment.sh"
    file.write_text("\n".join(lines) + "\n")
    return file


def _title(text: str) -> None:
    print(f"\n=== {text} ".ljust(100, "="), flush=True)


if __name__ == "__main__":
    sys.exit(main())
