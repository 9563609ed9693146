"""What an edge host really holds, asked of its own engine and not through the provider."""

from __future__ import annotations

from lab.host import Host


def can_create(host: Host, image: str) -> bool:
    """Whether a container of the image can be created without pulling."""
    return host.engine.can_create(host, image)


def holds(host: Host, image: str) -> bool:
    """Whether a container can be created, and all that the engine keeps of the image is there."""
    return host.engine.holds(host, image)


def run(host: Host, image: str) -> str:
    """What a container of the image says; CommandFailed if it can't be started without pulling."""
    return host.engine.run(host, image)


def images(host: Host) -> list[str]:
    """Names of the images that the host's engine has."""
    return host.engine.images(host)


def forget(host: Host, image: str) -> None:
    """Delete an image by hand."""
    host.engine.forget(host, image)


def empty(host: Host) -> None:
    """Delete every container and image."""
    host.engine.empty(host)
