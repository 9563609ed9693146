"""Debian's Docker with its classic store, and Docker 29 with containerd's."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from lab import accounts
from lab.cache import docker_29
from lab.engines.base import DockerLike, niced

if TYPE_CHECKING:
    from lab.host import Host

DOCKER_29 = "/run/docker-29"
"""Where a host finds it, wherever the operator keeps it."""

SHIMS = ("", "-runc-v1", "-runc-v2")


class Docker(DockerLike):
    """Debian's, 20.10, and the containerd that it comes with."""

    programs = ("docker", "dockerd", "containerd", "ctr", *(f"containerd-shim{kind}" for kind in SHIMS))
    daemon = "/usr/sbin/dockerd"

    def start(self, host: Host, *more: str) -> None:
        """Start it.

        Args:
            more: flags of dockerd.
        """
        flags = [*more, "--iptables=false", "--ip6tables=false", "--bridge=none", "--log-level=warn"]
        flags += [f"--cgroup-parent=/{host.link.namespace}", "--exec-opt=native.cgroupdriver=cgroupfs"]
        # What a killed daemon has left; a new one would take it for its own.
        host.run("rm -f /run/docker.pid /run/docker/containerd/*.pid")
        host.start_service("engine", [*niced(host.spec), self.daemon, *flags], self.environment())
        host.wait_service("engine", lambda: self._answers(host))

    def stop(self, host: Host) -> None:
        host.stop_service("engine")

    def environment(self) -> dict[str, str]:
        return {}

    def _answers(self, host: Host) -> bool:
        return bool(host.run("docker version --format '{{.Server.Version}}'", check=False).strip())


class Docker29(Docker):
    """Built by ``make setup``, as Debian has none."""

    programs = ("docker",)
    daemon = f"{DOCKER_29}/dockerd"

    def mounts(self, folder: Path) -> list[str]:
        below = f"{folder}{DOCKER_29}"
        return [f"mkdir -p {below} && mount --bind {docker_29()} {below}"]

    def holds(self, host: Host, image: str) -> bool:
        # It makes containers of what is unpacked, also if it has nothing of it that could be saved or pushed.
        return self.can_create(host, image) and not self.lacks(host, image)

    def lacks(self, host: Host, image: str) -> set[str]:
        """Digests of those of the image's blobs that it does not save, or not as they should be."""
        host.run(f"rm -rf /run/saved && mkdir /run/saved && docker save {image} | tar -xf - -C /run/saved")
        saved = host.folder / "run/saved"
        wanted = [json.loads((saved / "index.json").read_text())["manifests"][0]["digest"]]
        manifest = saved / "blobs" / wanted[0].replace(":", "/")
        if manifest.exists():
            read = json.loads(manifest.read_text())
            wanted += [blob["digest"] for blob in (read["config"], *read["layers"])]
        files = {digest: saved / "blobs" / digest.replace(":", "/") for digest in wanted}
        right = {f"sha256:{sha256(file.read_bytes()).hexdigest()}" for file in files.values() if file.exists()}
        return set(wanted) - right

    def environment(self) -> dict[str, str]:
        # Debian's client speaks an older API than Docker 29 takes by default.
        return {"DOCKER_MIN_API_VERSION": "1.24", "PATH": f"{DOCKER_29}:{accounts.PATH}"}
