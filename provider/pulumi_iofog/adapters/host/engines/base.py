"""An agent's container engine, asked and told through its command line over a connection.

Every question is a command and a parser; what the parsers are tested on was recorded from Docker 20.10
(classic store), Docker 29 (containerd store) and podman 4.3.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from pulumi_iofog import text
from pulumi_iofog.adapters.host.engines.answers import About, Listing, parse_df, parse_id, parse_images
from pulumi_iofog.adapters.host.engines.archive import entry, unpacking
from pulumi_iofog.adapters.host.engines.read_along import END_FOLLOWING, following
from pulumi_iofog.adapters.host.shell import Result, says
from pulumi_iofog.adapters.host.sudo import Runner
from pulumi_iofog.errors import CorruptLayer, EngineError, MissingLayers, NoSpace, VerificationFailed
from pulumi_iofog.oci.image import Blob, Digest, Image, Pin
from pulumi_iofog.transfer.encodings import Coming, HeldImage
from pulumi_iofog.transfer.load_folder import blob_path, to_unpack

LOADING_MAY_TAKE = 1800.0
"""Seconds without output for a load; a Raspberry Pi with an SD card is slow."""
NOT_UNPACKED = "a layer cannot be unpacked"
DOWN = ("cannot connect to the docker daemon", "connection refused")
LABEL = "pulumi-iofog=verify"
LEFT_AFTER = "10m"
"""Age from which a verification's container is one that was left behind."""


class Engine:
    """One agent's engine. Made by ``find.find``; methods raise EngineError and its kin."""

    def __init__(self, shell: Runner, agent: str, about: About) -> None:
        self._shell, self._agent = shell, agent
        self.kind, self.platform, self.root = about.kind, about.platform, about.root
        self._cli = "podman" if about.kind == "podman" else "docker"

    # ---- questions ----------------------------------------------------------------------------------

    def image_id(self, name: str) -> str | None:
        """The id that a full name points at; None if there is no such image."""
        script = f"{self._cli} image inspect --format '{{{{.Id}}}}' {shlex.quote(name)}"
        result = self._shell.run(script)
        if result.ok:
            return parse_id(result.text)
        if says(result, "no such image", "not known", "no such object"):
            return None
        raise self._failed(f"looking for {name}", result)

    def images(self, name: str) -> Listing:
        """Every image that the engine holds, and which has that full name."""
        # Not as a pipe, which would hide that the first step has failed.
        script = (
            f"ids=$({self._cli} image ls --all --quiet --no-trunc) || exit; ids=$(printf '%s\\n' $ids | sort -u);"
            f' [ -z "$ids" ] || {self._cli} image inspect --format'
            " '{{.Id}} {{json .RepoTags}} {{json .RootFS.Layers}}' $ids; true"
        )
        result = self._shell.run(script)
        if not result.ok:
            raise self._failed("listing images", result)
        return parse_images(result.text, name)

    # ---- orders -------------------------------------------------------------------------------------

    def make_room(self, spool: str, to_spool: int, to_load: int) -> None:
        """Raise NoSpace if either the spool's or the engine's disk has too little free; sizes in bytes. Those who
        still follow an earlier transfer, which was lost, take no more."""
        needs = [(spool, to_spool), (self.root, to_load)]
        ended = f"( cd {shlex.quote(spool)} && {END_FOLLOWING} )"
        result = self._shell.run(f"{ended}; df -Pk {shlex.quote(spool)} {shlex.quote(self.root)}")
        disks = parse_df(result.text)
        if not result.ok or len(disks) != 2:
            return  # the root is not there to see; a full disk then shows while loading
        if disks[0] == disks[1]:
            needs = [(self.root, needs[0][1] + needs[1][1])]
            disks = disks[1:]
        for (folder, need), disk in zip(needs, disks, strict=True):
            if need > disk.free:
                raise NoSpace(
                    self._agent,
                    "making room for the image",
                    f"{text.size(need)} are needed under {folder}, {text.size(disk.free)} are free",
                    f"Free {text.size(need - disk.free)} there",
                )

    def load(self, image: Image, folder: str, carried: Mapping[Digest, Blob]) -> None:
        """Load the image from a layout folder on the host.

        Args:
            carried: diff id → what lies in the folder for that layer; the others are left out.

        Raises:
            MissingLayers: a layer that is left out is not there after all.
            CorruptLayer: what is carried does not come out as the layer.
        """
        script = self._pull(image, folder) if self.kind == "podman" else self._load(image, folder, carried)
        self._loaded(self._shell.run(script, timeout=LOADING_MAY_TAKE), image, carried)

    def follow(self, folder: str, coming: Coming, lines: Iterable[bytes]) -> bool:
        """Load an image from a layout folder whose layers are still arriving; not podman, which reads a whole one.

        Args:
            coming: the parts that arrive, with what they turn out to be; layers that are not in it are left out.
            lines: tell how far it is (see Following); after the last comes an archive of everything but the layers.

        Returns:
            Whether it is loaded; where it is not, ``load`` says why.
        """
        result = self._shell.tell(_docker_load(folder, following(coming)), lines, timeout=LOADING_MAY_TAKE)
        # Docker takes an archive that has broken off between two files for an empty one.
        return result.ok and _all_unpacked(result) and says(result, "loaded image")

    def _loaded(self, result: Result, image: Image, carried: Mapping[Digest, Blob]) -> None:
        if result.ok and _all_unpacked(result):
            return
        if says(result, "no space left"):
            raise self._full(f"loading {image}")
        if says(result, NOT_UNPACKED, "invalid diffid"):
            raise CorruptLayer(self._agent, f"loading {image}", result.error)
        if not carried.keys() >= set(image.diff_ids) and not says(result, *DOWN):
            raise MissingLayers(self._agent, f"loading {image}", result.error)
        raise self._failed(f"loading {image}", result)

    def give_back(self, source: HeldImage, folder: str) -> None:
        """Unpack what the engine saves of an image (docker-archive) into a folder on the host: its layers as
        plain tars, byte for byte as they were loaded, and manifest.json.

        Raises:
            CorruptLayer: that cannot be had, for whatever reason; nothing of it is left.
        """
        out = shlex.quote(folder)
        save = "podman save --quiet --format docker-archive" if self.kind == "podman" else "docker save"
        script = (
            f"[ -d {out} ] || {{ mkdir -p {out}.new && {save} {source.id} | tar -xf - -C {out}.new"
            f" && [ -f {out}.new/manifest.json ] && mv {out}.new {out}; }};"
            # Through sudo, what is unpacked is root's; it must be whose the image's folder is, who removes it.
            f' code=$?; chown -R "$(stat -c %u {out}/../..)" {out}/..; rm -rf {out}.new; exit $code'
        )
        result = self._shell.run(script, timeout=LOADING_MAY_TAKE)
        if not result.ok:
            raise CorruptLayer(self._agent, f"taking layers out of image {source.id}", result.error)

    def verify(self, pin: Pin) -> None:
        """Prove that a container can be made of the image, without pulling it.

        An image id alone proves nothing: Docker's containerd store lists an image with missing layers.
        """
        name = f"pulumi-iofog-verify-{secrets.token_hex(6)}"
        cli = self._cli
        script = (
            f"{cli} create --pull never --name {name} --label {LABEL} --network none"
            f" {shlex.quote(pin.reference.full_name)} true >/dev/null || exit 1;"
            f" {cli} inspect --format '{{{{.Image}}}}' {name}; {cli} rm --force --volumes {name} >/dev/null"
        )
        result = self._shell.run(script, timeout=300.0)
        doing = f"verifying {pin.reference} ({pin.platform})"
        if not result.text.strip():
            if says(result, "no space left"):
                raise self._full(doing)
            raise VerificationFailed(self._agent, doing, f"no container can be created: {result.error}")
        got, want = parse_id(result.text), self.expected_id(pin)
        if got != want:
            raise VerificationFailed(self._agent, doing, f"got image {got}, want {want}")

    def expected_id(self, pin: Pin) -> str:
        """The id that this engine gives the image."""
        return pin.manifest_digest if self.kind == "docker-containerd" else pin.image_id

    def remove(self, pin: Pin) -> bool:
        """Remove the image; already gone is success. False if a container still uses it."""
        # The name goes only if it still means this image; by its id it goes if nothing names it.
        mine = self.image_id(pin.reference.full_name) == self.expected_id(pin)
        what = pin.reference.full_name if mine else self.expected_id(pin)
        result = self._shell.run(f"{self._cli} image rm {shlex.quote(what)}", timeout=300.0)
        if result.ok or says(result, "no such image", "not known"):
            return True
        if says(result, "in use", "is using", "being used", "must be forced", "must force"):
            return False
        raise self._failed(f"removing {pin.reference}", result)

    def sweep(self) -> None:
        """Remove containers that an interrupted verification has left."""
        self._shell.run(f"{self._cli} container prune --force --filter until={LEFT_AFTER} --filter label={LABEL}")

    def forget(self, names: Iterable[str]) -> None:
        """Remove names of images; whatever has none left goes with its last one."""
        self._shell.run(f"{self._cli} image rm {' '.join(map(shlex.quote, names))}")

    def _load(self, image: Image, folder: str, carried: Mapping[Digest, Blob]) -> str:
        packed = to_unpack(carried, self.kind)
        layers = [blob_path(blob.digest) for layer, blob in carried.items() if layer not in packed]
        small = [blob_path(image.manifest.manifest_digest), blob_path(image.image_id)]
        files = ["oci-layout", "index.json", "manifest.json", *small, *layers]
        # Before the archive that tar makes, as nothing is read after its end.
        unpacked = "".join(entry(layer, blob, _unpack(blob)) for layer, blob in packed.items())
        return _docker_load(folder, f"{unpacked}tar -cf - {' '.join(files)}")

    def _pull(self, image: Image, folder: str) -> str:
        # podman names what it pulls by the folder as it is given, so that must be a valid name: the last
        # part of the path. That name goes, the image's own stays.
        id_, name = image.image_id[7:], PurePosixPath(folder).name
        return (
            f"cd {shlex.quote(folder)}/.. && podman pull --quiet oci:{name}"
            f" && podman tag {id_} {shlex.quote(image.reference.full_name)}"
            f" && {{ podman untag {id_} localhost/{name}:latest 2>/dev/null || true; }}"
        )

    def _full(self, doing: str) -> NoSpace:
        return NoSpace(self._agent, doing, "no space left on device", f"Free space under {self.root}")

    def _failed(self, doing: str, result: Result) -> EngineError:
        if says(result, *DOWN):
            hint = f"Is the {self._cli} service running on the agent? Try: systemctl status {self._cli}"
            return EngineError(self._agent, doing, result.error, hint)
        return EngineError(self._agent, doing, result.error)


def _docker_load(folder: str, archive: str) -> str:
    return f"cd {shlex.quote(folder)} && {{ {archive}; }} | docker load"


def _all_unpacked(result: Result) -> bool:
    """Docker's containerd store answers 0 and leaves a broken image when a layer is missing."""
    return not says(result, "error unpacking")


def _unpack(blob: Blob) -> str:
    """Write a packed blob's content, or say NOT_UNPACKED; not where a signal has ended it, as Docker reads no more."""
    said = f"[ $? -gt 128 ] || echo '{NOT_UNPACKED}' >&2; false"
    return f"{{ {unpacking(blob)} < {blob_path(blob.digest)} || {{ {said}; }}; }}"
