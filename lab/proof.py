"""What an edge host really holds, asked of its own engine and not through the provider."""

from __future__ import annotations

from lab.host import Host
from lab.shell import CommandFailed


def can_create(host: Host, image: str) -> bool:
    """Whether a container of the image can be created without pulling."""
    try:
        made = host.run(f"{host.cli} create --pull never --network none {image}").strip()
    except CommandFailed:
        return False
    host.run(f"{host.cli} rm --force {made}")
    return True


def images(host: Host) -> list[str]:
    """Names of the images that the host's engine lists."""
    listed = host.run(f"{host.cli} image ls --format '{{{{.Repository}}}}:{{{{.Tag}}}}'").split()
    return sorted(name for name in listed if name != "<none>:<none>")


def forget(host: Host, image: str) -> None:
    """Delete an image by hand."""
    host.run(f"{host.cli} image rm --force {image}")


def empty(host: Host) -> None:
    """Delete every container and image."""
    host.run(f"{host.cli} ps --all --quiet | xargs --no-run-if-empty {host.cli} rm --force")
    host.run(f"{host.cli} image ls --all --quiet | sort -u | xargs --no-run-if-empty {host.cli} image rm --force")
