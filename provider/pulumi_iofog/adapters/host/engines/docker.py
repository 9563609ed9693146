"""Docker with its classic image store, and what the containerd store has in common with it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from pulumi_iofog.adapters.host.engines.answers import MACHINE
from pulumi_iofog.adapters.host.engines.archive import entry, unpacking
from pulumi_iofog.adapters.host.engines.arriving import END_ABANDONED, arriving
from pulumi_iofog.adapters.host.engines.base import LOADING_MAY_TAKE, NOT_UNPACKED
from pulumi_iofog.adapters.host.engines.docker_like import DockerLike
from pulumi_iofog.adapters.host.shell import says
from pulumi_iofog.oci.image import Descriptor, Digest, Image
from pulumi_iofog.transfer.encodings import Coming
from pulumi_iofog.transfer.load_folder import blob_path, to_unpack

# Both questions at once; where the daemon does not answer, the first says so better.
ABOUT = (
    MACHINE
    + r"""
docker version --format '{{.Server.Arch}} {{.Server.Version}}' &
info=$(docker info --format '{{json .DockerRootDir}} {{json .DriverStatus}}' 2>/dev/null); code=$?
wait $! && printf '%s\n' "$info" && exit $code """
)
"""Finds out whether docker answers, and what it is; parse_about reads it."""
SYSTEM_SOCKET = "/var/run/docker.sock"
OWN = """for folder in "$XDG_RUNTIME_DIR" "/run/user/$(id -u)" "$HOME/.docker/run"; do
[ -S "$folder/docker.sock" ] && DOCKER_HOST="unix://$folder/docker.sock" && break; done
[ -n "$DOCKER_HOST" ] || { echo "no docker.sock in /run/user/$(id -u)" >&2; exit 1; }
export DOCKER_HOST
"""
"""For a Runner: where dockerd-rootless.sh puts its socket; a session that PAM has not made has no XDG_RUNTIME_DIR."""


def at(socket: str) -> str:
    """For a Runner: docker at that socket, whatever context or DOCKER_HOST the login has."""
    return f"export DOCKER_HOST={shlex.quote(f'unix://{socket}')}\n"


class Docker(DockerLike):
    """See base.Engine."""

    cli, daemon = "docker", "dockerd"
    ping = "docker version --format '{{.Server.Version}}'"
    store = "classic store"
    save = "docker save"

    @property
    def command(self) -> str:
        elsewhere = self._where.startswith("unix://") and self._where != f"unix://{SYSTEM_SOCKET}"
        return f"{self.cli} -H {self._where}" if elsewhere else self.cli

    def _load_script(self, image: Image, folder: str, carried: Mapping[Digest, Descriptor]) -> str:
        packed = to_unpack(carried, self.traits)
        layers = [blob_path(blob.digest) for layer, blob in carried.items() if layer not in packed]
        small = [blob_path(image.manifest.manifest_digest), blob_path(image.image_id)]
        files = ["oci-layout", "index.json", "manifest.json", *small, *layers]
        # Before the archive that tar makes, as nothing is read after its end.
        unpacked = "".join(entry(layer, blob, _unpack(blob)) for layer, blob in packed.items())
        return _docker_load(folder, f"{unpacked}tar -cf - {' '.join(files)}")

    def load_along(self, image: Image, folder: str, coming: Coming, lines: Iterable[bytes]) -> bool:
        """Load an image from a layout folder whose layers are still arriving.

        Args:
            coming: the parts that arrive, with what they must be; layers that are not in it are left out.
            lines: tell how far it is (see ReadAlong); after the last comes an archive of everything but the layers.

        Returns:
            Whether it is loaded; where it is not, ``load`` says why.
        """
        self._note_lower(image)
        result = self._shell.tell(_docker_load(folder, arriving(coming)), lines, timeout=LOADING_MAY_TAKE)
        # Docker takes an archive that has broken off between two files for an empty one.
        return not self._complaint(result, image) and says(result, "loaded image")

    def end_abandoned_loads(self, spool: str) -> None:
        self._shell.run(f"cd {shlex.quote(spool)} && {END_ABANDONED}")


def _docker_load(folder: str, archive: str) -> str:
    return f"cd {shlex.quote(folder)} && {{ {archive}; }} | docker load"


def _unpack(blob: Descriptor) -> str:
    """Write a packed blob's content, or say NOT_UNPACKED; not where a signal has ended it, as Docker reads no more."""
    said = f"[ $? -gt 128 ] || echo '{NOT_UNPACKED}' >&2; false"
    return f"{{ {unpacking(blob)} < {blob_path(blob.digest)} || {{ {said}; }}; }}"
