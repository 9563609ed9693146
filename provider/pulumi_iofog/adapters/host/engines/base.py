"""An agent's container engine, asked and told through its command line over a connection: what all of them do.

Every question is a command and a parser; what the parsers are tested on was recorded from Docker 20.10
(classic store), Docker 29 (containerd store) and podman 4.3.
"""

from __future__ import annotations

import secrets
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

from pulumi_iofog import text
from pulumi_iofog.adapters.host.engines.answers import About, Disk, Listing, parse_df, parse_id, parse_images
from pulumi_iofog.adapters.host.shell import Result, says
from pulumi_iofog.adapters.host.sudo import Runner
from pulumi_iofog.errors import CorruptLayer, EngineError, MissingLayers, NoSpace, VerificationFailed
from pulumi_iofog.oci.image import Blob, Digest, Image, Pin
from pulumi_iofog.transfer.encodings import Coming
from pulumi_iofog.transfer.engine_traits import EngineKind, traits_of
from pulumi_iofog.transfer.inventory import HeldImage
from pulumi_iofog.transfer.load_folder import is_lower

LOADING_MAY_TAKE = 1800.0
"""Seconds without output for a load; a Raspberry Pi with an SD card is slow."""
NOT_UNPACKED = "a layer cannot be unpacked"
DOWN = ("cannot connect to the docker daemon", "connection refused")
LABEL = "pulumi-iofog=verify"
LEFT_AFTER = "10m"
"""Age from which a verification's container is one that was left behind."""


class Engine(ABC):
    """One agent's engine. Made by ``detect.find``; methods raise EngineError and its kin.

    Attributes:
        cli: the command.
        store: what its image store is called, where it has several.
        save: the command that writes an image, whose id follows, as a docker-archive to standard output.
    """

    cli: ClassVar[str]
    store: ClassVar[str] = ""
    save: ClassVar[str]

    def __init__(self, shell: Runner, agent: str, about: About, where: str = "") -> None:
        self._shell, self._agent, self._version, self._where = shell, agent, about.version, where
        self.traits, self.platform, self.root = traits_of(about.kind), about.platform, about.root
        self._lower: set[str] = set()
        """Names of images of lower layers alone, which are to go at the end."""

    @property
    def kind(self) -> EngineKind:
        return self.traits.kind

    @property
    def description(self) -> str:
        """``docker 29.0.1 (containerd store), unix:///run/docker.sock``: which one was chosen, for people."""
        name = f"{self.cli} {self._version}".strip() + (f" ({self.store})" if self.store else "")
        return f"{name}, {self._where or self.root}"

    # ---- questions ----------------------------------------------------------------------------------

    def image_id(self, name: str) -> str | None:
        """The id that a full name points at; None if there is no such image."""
        script = f"{self.cli} image inspect --format '{{{{.Id}}}}' {shlex.quote(name)}"
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
            f"ids=$({self.cli} image ls --all --quiet --no-trunc) || exit; ids=$(printf '%s\\n' $ids | sort -u);"
            f' [ -z "$ids" ] || {self.cli} image inspect --format'
            " '{{.Id}} {{json .RepoTags}} {{json .RootFS.Layers}}' $ids; true"
        )
        result = self._shell.run(script)
        if not result.ok:
            raise self._failed("listing images", result)
        listing = parse_images(result.text, name)
        self._lower.update(listing.lower)
        return listing

    # ---- loading ------------------------------------------------------------------------------------

    def require_space(self, spool: str, to_spool: int, to_load: int) -> None:
        """Raise NoSpace if either the spool's or the engine's disk has too little free; sizes in bytes."""
        result = self._shell.run(f"df -Pk {shlex.quote(spool)} {shlex.quote(self.root)}")
        disks = parse_df(result.text)
        if not result.ok or len(disks) != 2:
            return  # the root is not there to see; a full disk then shows while loading
        needs = [(spool, to_spool, disks[0]), (self.root, to_load, disks[1])]
        if disks[0] == disks[1]:
            needs = [(self.root, to_spool + to_load, disks[1])]
        for folder, need, disk in needs:
            if need > disk.free:
                raise self._too_small(folder, need, disk)

    def _too_small(self, folder: str, need: int, disk: Disk) -> NoSpace:
        return NoSpace(
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
        self._note_lower(image)
        result = self._shell.run(self._load_script(image, folder, carried), timeout=LOADING_MAY_TAKE)
        if self._loaded(result):
            return
        doing = f"loading {image}"
        if says(result, "no space left"):
            raise self._full(doing)
        if says(result, NOT_UNPACKED, "invalid diffid"):
            raise CorruptLayer(self._agent, doing, result.error)
        if not carried.keys() >= set(image.diff_ids) and not says(result, *DOWN):
            raise MissingLayers(self._agent, doing, result.error)
        raise self._failed(doing, result)

    @abstractmethod
    def _load_script(self, image: Image, folder: str, carried: Mapping[Digest, Blob]) -> str:
        """A script that loads the image from the folder."""

    def _loaded(self, result: Result) -> bool:
        """Whether the script's answer says that all of the image is loaded."""
        return result.ok

    def _note_lower(self, image: Image) -> None:
        """Lower layers alone are to go at the end, also where their load has failed."""
        if is_lower(image):
            self._lower.add(image.reference.full_name)

    def load_along(self, image: Image, folder: str, coming: Coming, lines: Iterable[bytes]) -> bool:
        """Load an image whose layers are still arriving in the folder; False: this engine cannot."""
        return False

    def end_abandoned_loads(self, spool: str) -> None:
        """End those who still read along with an earlier transfer that was lost; of an engine that cannot, nobody."""
        return

    def give_back(self, source: HeldImage, folder: str) -> None:
        """Unpack what the engine saves of an image (docker-archive) into a folder on the host: its layers as
        plain tars, byte for byte as they were loaded, and manifest.json.

        Raises:
            CorruptLayer: that cannot be had, for whatever reason; nothing of it is left.
        """
        out = shlex.quote(folder)
        script = (
            f"[ -d {out} ] || {{ mkdir -p {out}.new && {self.save} {source.id} | tar -xf - -C {out}.new"
            f" && [ -f {out}.new/manifest.json ] && mv {out}.new {out}; }};"
            # Through sudo, what is unpacked is root's; it must belong to the user, who removes it.
            f' code=$?; chown -R "$(stat -c %u {out}/../..)" {out}/..; rm -rf {out}.new; exit $code'
        )
        result = self._shell.run(script, timeout=LOADING_MAY_TAKE)
        if not result.ok:
            raise CorruptLayer(self._agent, f"taking layers out of image {source.id}", result.error)

    # ---- proving, removing --------------------------------------------------------------------------

    def verify(self, pin: Pin) -> None:
        """Prove that a container can be made of the image, without pulling it.

        An image id alone proves nothing: Docker's containerd store lists an image with missing layers.
        """
        name = f"pulumi-iofog-verify-{secrets.token_hex(6)}"
        cli = self.cli
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
        got, want = parse_id(result.text), self.traits.image_id(pin)
        if got != want:
            raise VerificationFailed(self._agent, doing, f"got image {got}, want {want}")

    def remove(self, pin: Pin) -> bool:
        """Remove the image; already gone is success. False if a container still uses it."""
        name, id_ = pin.reference.full_name, self.traits.image_id(pin)
        # The name goes only if it still means this image; by its id it goes if nothing names it.
        what = name if self.image_id(name) == id_ else id_
        result = self._shell.run(f"{self.cli} image rm {shlex.quote(what)}", timeout=300.0)
        if result.ok or says(result, "no such image", "not known"):
            return True
        if says(result, "in use", "is using", "being used", "must be forced", "must force"):
            return False
        raise self._failed(f"removing {pin.reference}", result)

    def remove_stale_containers(self) -> None:
        """Remove containers that an interrupted verification has left."""
        self._shell.run(f"{self.cli} container prune --force --filter until={LEFT_AFTER} --filter label={LABEL}")

    def untag_lower_images(self) -> None:
        """Remove the names of lower layers, of this transfer and of others; an image without a name goes too."""
        if self._lower:
            self._shell.run(f"{self.cli} image rm {' '.join(map(shlex.quote, sorted(self._lower)))}")

    # ---- what is wrong ------------------------------------------------------------------------------

    def _full(self, doing: str) -> NoSpace:
        return NoSpace(self._agent, doing, "no space left on device", f"Free space under {self.root}")

    def _failed(self, doing: str, result: Result) -> EngineError:
        if says(result, *DOWN):
            hint = f"Is the {self.cli} service running on the agent? Try: systemctl status {self.cli}"
            return EngineError(self._agent, doing, result.error, hint)
        return EngineError(self._agent, doing, result.error)
