"""What every engine of a host answers, and what those have in common that speak Docker's command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from lab.shell import CommandFailed

if TYPE_CHECKING:
    from lab.host import Host, HostSpec

EngineKind = Literal["docker", "podman", "docker29", "edgelet", "none"]


class Engine:
    """None at all; also what the others are made of.

    Attributes:
        cli: the program that is asked.
        programs: what it brings to PATH; other hosts do not have them.
        folders: what the host owns for it, besides what every host does.
        path: folders of PATH that other hosts do not have.
    """

    cli: ClassVar[str] = "docker"
    programs: ClassVar[tuple[str, ...]] = ()
    folders: ClassVar[tuple[str, ...]] = ()
    path: ClassVar[tuple[str, ...]] = ()

    def prepare(self, folder: Path) -> None:
        """Put what it needs into the host's folder, before anything is mounted."""

    def mounts(self, folder: Path) -> list[str]:
        """Commands that mount what the operator keeps for it, while the host still sees the operator's files."""
        return []

    def start(self, host: Host) -> None:
        """Start its daemon and wait until it answers."""

    def stop(self, host: Host) -> None:
        """Stop its daemon, in order, as a service manager would."""

    def version(self, host: Host) -> str:
        """What it says that it is."""
        raise NotImplementedError

    def can_create(self, host: Host, image: str) -> bool:
        """Whether a container of the image can be created without pulling."""
        raise NotImplementedError

    def holds(self, host: Host, image: str) -> bool:
        """Whether all of the image is there; where a container is proof enough, whether one can be created."""
        return self.can_create(host, image)

    def run(self, host: Host, image: str) -> str:
        """What a container of the image says; CommandFailed if it fails or can't be started without pulling."""
        raise NotImplementedError

    def content(self, host: Host, image: str, path: str) -> str:
        """A file of a container of the image, which is created without pulling, and not run."""
        raise NotImplementedError

    def use(self, host: Host, image: str) -> None:
        """Create a container of the image that stays."""
        raise NotImplementedError

    def containers(self, host: Host) -> list[str]:
        """Something for each container that there is."""
        raise NotImplementedError

    def release(self, host: Host) -> None:
        """Delete every container."""
        raise NotImplementedError

    def images(self, host: Host) -> list[str]:
        """Names of the images that it has, sorted."""
        raise NotImplementedError

    def forget(self, host: Host, image: str) -> None:
        """Delete an image by hand."""
        raise NotImplementedError

    def empty(self, host: Host) -> None:
        """Delete every container and image."""
        raise NotImplementedError


class DockerLike(Engine):
    """What is asked in Docker's words."""

    def version(self, host: Host) -> str:
        return host.run(f"{self.cli} version --format '{{{{.Server.Version}}}}'").strip()

    def can_create(self, host: Host, image: str) -> bool:
        try:
            made = host.run(f"{self.cli} create --pull never --network none {image}").strip()
        except CommandFailed:
            return False
        host.run(f"{self.cli} rm --force {made}")
        return True

    def run(self, host: Host, image: str) -> str:
        return host.run(f"{self.cli} run --rm --pull never --network none {image}")

    def content(self, host: Host, image: str, path: str) -> str:
        made = host.run(f"{self.cli} create --pull never --network none {image} true").strip()
        content = host.run(f"{self.cli} export {made} | tar -xO {path}")
        host.run(f"{self.cli} rm --force {made}")
        return content

    def use(self, host: Host, image: str) -> None:
        host.run(f"{self.cli} create --pull never --network none {image} true")

    def containers(self, host: Host) -> list[str]:
        return host.run(f"{self.cli} ps --all --quiet").split()

    def release(self, host: Host) -> None:
        host.run(f"{self.cli} ps --all --quiet | xargs --no-run-if-empty {self.cli} rm --force")

    def images(self, host: Host) -> list[str]:
        listed = host.run(f"{self.cli} image ls --format '{{{{.Repository}}}}:{{{{.Tag}}}}'").split()
        return sorted(name for name in listed if name != "<none>:<none>")

    def forget(self, host: Host, image: str) -> None:
        host.run(f"{self.cli} image rm --force {image}")

    def empty(self, host: Host) -> None:
        self.release(host)
        host.run(f"{self.cli} image ls --all --quiet | sort -u | xargs --no-run-if-empty {self.cli} image rm --force")


def niced(spec: HostSpec) -> list[str]:
    """The beginning of an engine's command line. Where a session is scheduled as one (sched(7), autogroup), a process'
    own nice counts among those of its session only, and the session's among all."""
    script = f'echo {spec.nice} 2>/dev/null >/proc/self/autogroup; exec nice -n {spec.nice} "$@"'
    return ["sh", "-c", script, "sh"]
