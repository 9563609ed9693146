"""ioFog's own engine: a real containerd as edgelet sets it up, and the lab's ``edgelet`` (lab/edgelet)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import images
from lab.cache import SOURCES, docker_29, edgelet
from lab.engines.base import Engine, niced
from lab.shell import CommandFailed

if TYPE_CHECKING:
    from lab.host import Host

PROGRAM_FOLDER = "/usr/local/bin"
BUNDLE = "/var/lib/edgelet/data/current/bin"
"""Where edgelet unpacks what it comes with."""
DATA = "/var/lib/edgelet-containerd"
BLOBS = f"{DATA}/root/io.containerd.content.v1.content/blobs/sha256"
SNAPSHOTS = f"{DATA}/root/io.containerd.snapshotter.v1.overlayfs/snapshots"
SOCKET = "/run/edgelet/containerd.sock"
SETTINGS = "/var/lib/edgelet/settings.json"
PAUSE = "docker.io/portainer/pause:latest"
BUNDLED = ("containerd", "containerd-shim-runc-v2")


class Edgelet(Engine):
    """Two services, as edgelet's packages have them: containerd, and the daemon that answers the commands."""

    cli = "edgelet"
    programs = ("edgelet",)
    folders = ("/var/lib/edgelet", DATA)
    path = (PROGRAM_FOLDER,)

    def prepare(self, folder: Path) -> None:
        data = folder / DATA[1:]
        (data / "images").mkdir(parents=True, exist_ok=True)
        shutil.copy(SOURCES / "containerd.toml", data / "config.toml")
        images.write_pause(data / "images/pause.tar", PAUSE)

    def mounts(self, folder: Path) -> list[str]:
        files = {f"{folder}{BUNDLE}/{name}": docker_29() / name for name in BUNDLED}
        files[f"{folder}{PROGRAM_FOLDER}/edgelet"] = edgelet()
        made = [f"mkdir -p {folder}{BUNDLE} {folder}{PROGRAM_FOLDER}"]
        return [*made, *(f"touch {target} && mount --bind {source} {target}" for target, source in files.items())]

    def start(self, host: Host) -> None:
        containerd = [f"{BUNDLE}/containerd", "--config", f"{DATA}/config.toml", "--log-level", "warn"]
        host.start_service("containerd", [*niced(host.spec), *containerd])
        host.wait_service("containerd", (host.folder / SOCKET[1:]).is_socket)
        self.start_daemon(host)

    def stop(self, host: Host) -> None:
        self.stop_daemon(host)
        host.stop_service("containerd")

    def start_daemon(self, host: Host) -> None:
        """Only what answers ``edgelet image``; containerd runs already."""
        host.start_service("edgelet", [*niced(host.spec), f"{PROGRAM_FOLDER}/edgelet", "daemon"])
        host.wait_service("edgelet", lambda: bool(host.run("edgelet image ls --output json", check=False)))

    def stop_daemon(self, host: Host) -> None:
        """As ``systemctl stop edgelet`` does: containerd goes on."""
        host.stop_service("edgelet")

    def version(self, host: Host) -> str:
        return host.run("edgelet version").strip()

    def can_create(self, host: Host, image: str) -> bool:
        try:
            self._lab(host, "create", image)
        except CommandFailed:
            return False
        return True

    def run(self, host: Host, image: str) -> str:
        return self._lab(host, "run", image)

    def content(self, host: Host, image: str, path: str) -> str:
        self.use(host, image)
        # CRI has unpacked it just now, a folder a layer; nothing is mounted until it is run.
        found = host.run(f"cd {SNAPSHOTS} && cat $(ls -d */fs/{path} | sort -n | tail -n 1)")
        self.release(host)
        return found

    def use(self, host: Host, image: str) -> None:
        self._lab(host, "create", "--detach", image, "--", "true")

    def containers(self, host: Host) -> list[str]:
        return [row["id"] for row in self.listed(host) for _ in range(row["inUse"])]

    def release(self, host: Host) -> None:
        self._lab(host, "stop")

    def images(self, host: Host) -> list[str]:
        # "image ls" shows one name of each image; this is the whole catalog.
        return sorted(name for name in self.digests(host) if name != PAUSE and not name.startswith("sha256:"))

    def forget(self, host: Host, image: str) -> None:
        host.run(f"edgelet image rm {image}")

    def empty(self, host: Host) -> None:
        self._lab(host, "empty")

    # ---- of this engine only --------------------------------------------------------------------------

    def digests(self, host: Host) -> dict[str, str]:
        """Every stored name, CRI's ``sha256:…`` too, and the digest of its manifest."""
        return dict(line.split() for line in self._lab(host, "names").splitlines())

    def run_on(self, host: Host, image: str) -> None:
        """Start a container of the image that stays, until ``empty``."""
        self._lab(host, "run", "--detach", image, "--", "/bin/sleep", "infinity")

    def schedule_prune(self, host: Host, *, hours: int = 0, threshold: int = 20, used: Sequence[str] = ()) -> list[str]:
        """Set the pruning, have it look now whether something is due, and return the names that it has removed.

        Args:
            hours: between two prunings; 0 for never.
            threshold: percent of the disk; with less available, the same is done.
            used: images of the microservices that are configured for the host, as the Controller spells them.
        """
        settings = {"pruningFrequency": hours, "availableDiskThreshold": threshold, "microservices": list(used)}
        (host.folder / SETTINGS[1:]).write_text(json.dumps(settings))
        found: list[str] = json.loads(self._lab(host, "scheduled-prune"))
        return found

    def listed(self, host: Host) -> list[dict[str, Any]]:
        """The rows of ``edgelet image ls``, without the sandbox image's."""
        rows: list[dict[str, Any]] = json.loads(host.run("edgelet image ls --output json"))["items"]
        return [row for row in rows if f"{row['repository']}:{row['tag']}" != PAUSE]

    def _lab(self, host: Host, *words: str) -> str:
        return host.run(f"edgelet lab --cgroup /{host.link.namespace} {' '.join(words)}")
