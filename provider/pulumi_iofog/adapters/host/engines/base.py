"""An agent's container engine, asked and told through its command line over a connection: what all of them do.

Every question is a command and a parser; what the parsers are tested on was recorded from Docker 20.10
(classic store), Docker 29 (containerd store), podman 4.3, and the lab's edgelet.
"""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar

from pulumi_iofog import text
from pulumi_iofog.adapters.host.engines.answers import UNREADABLE, About, Disk, Listing, parse_df, unreadable
from pulumi_iofog.adapters.host.shell import Result, Shell, says
from pulumi_iofog.adapters.host.sudo import Runner
from pulumi_iofog.errors import CorruptLayer, EngineError, MissingLayers, NoSpace, VerificationFailed
from pulumi_iofog.oci.image import Descriptor, Digest, Image, Pin, Reference
from pulumi_iofog.transfer.encodings import Coming
from pulumi_iofog.transfer.engine_traits import EngineKind, traits_of
from pulumi_iofog.transfer.inventory import HeldImage
from pulumi_iofog.transfer.load_folder import is_lower

LOADING_MAY_TAKE = 4 * 3600.0
"""Seconds for a load, while the engine answers other questions; a Raspberry Pi with an SD card is slow."""
LISTING_AT_MOST = 16 << 20
"""Bytes of a listing with the small files of a store, packed; some 10,000 images."""
NOT_UNPACKED = "a layer cannot be unpacked"
DOWN = ("cannot connect to the docker daemon", "connection refused", "daemon_unavailable")


class Engine(ABC):
    """One agent's engine. Made by ``detect.find``; methods raise EngineError and its kin.

    Attributes:
        cli: the command, which is also what its service is called.
        store: what its image store is called, where it has several.
        temporary: the folder for its temporary files, as a word for a shell.
        daemon: what answers its command; ``ping``, a question to it that costs little. Without a daemon there is none.
    """

    cli: ClassVar[str]
    store: ClassVar[str] = ""
    temporary: ClassVar[str] = ""
    daemon: ClassVar[str] = ""
    ping: ClassVar[str] = ""

    def __init__(self, shell: Runner, agent: str, about: About, where: str = "") -> None:
        self._shell, self._agent, self._version, self._where = shell, agent, about.version, where
        self.traits, self.platform, self.root = traits_of(about.kind, about.version), about.platform, about.root
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

    @property
    def command(self) -> str:
        """What people type to work with it."""
        return self.cli

    # ---- questions ----------------------------------------------------------------------------------

    def answers(self, shell: Shell, within: float) -> bool:
        """True, whatever its daemon answers over that shell. Raises Unreachable if it does not within so many
        seconds."""
        return not self.ping or self._shell.over(shell).run(self.ping, timeout=within) is not None

    @abstractmethod
    def image_id(self, reference: Reference) -> str | None:
        """The id of the image that all names of the reference point at; None if there is no such image."""

    @abstractmethod
    def images(self, reference: Reference) -> Listing:
        """Every image that the engine holds, and which the reference names."""

    # ---- loading ------------------------------------------------------------------------------------

    def require_space(self, spool: str, to_spool: int, to_load: int, to_temporary: int = 0, *, known: bool) -> None:
        """Raise NoSpace if the spool's disk, the engine's, or that of its temporary files has too little free; sizes in
        bytes.

        Args:
            known: they are of the layers unpacked; else no more is known than their compressed sizes.
        """
        temporary = f" {self.temporary}" if to_temporary else ""
        folders = f"set -- {shlex.quote(spool)}{temporary} {shlex.quote(self.root)}"
        result = self._shell.run(f'{folders}; df -Pk "$@" && printf "%s\\n" "$@"')
        disks, named = parse_df(result.text), result.text.splitlines()
        sizes = (to_spool, to_temporary, to_load) if to_temporary else (to_spool, to_load)
        if not result.ok or len(disks) != len(sizes):
            return  # the root is not there to see; a full disk then shows while loading
        needs: dict[Disk, tuple[str, int]] = {}
        # Where two lie on one disk, the later one is named.
        for folder, size, disk in zip(named[-len(disks) :], sizes, disks, strict=True):
            needs[disk] = (folder, size + needs.get(disk, ("", 0))[1])
        for disk, (folder, need) in needs.items():
            if need > disk.free:
                raise self._too_small(folder, need, disk, known)

    def _too_small(self, folder: str, need: int, disk: Disk, known: bool) -> NoSpace:
        at_least, of = ("", "unpacked") if known else ("at least ", "by the registry's sizes, which are compressed")
        return NoSpace(
            self._agent,
            "making room for the image",
            f"{at_least}{text.size(need)} are needed under {folder} ({of}), {text.size(disk.free)} are free",
            f"Free {at_least}{text.size(need - disk.free)} there",
        )

    def load(self, image: Image, folder: str, carried: Mapping[Digest, Descriptor]) -> None:
        """Load the image from a layout folder on the host.

        Args:
            image: as it is made for the host.
            carried: diff id → what lies in the folder for that layer; the others are left out.

        Raises:
            MissingLayers: a layer that is left out is not there after all; or one that is not, of which the engine
                has its own, but not the files.
            CorruptLayer: what is carried does not come out as the layer.
        """
        self._note_lower(image)
        result = self._shell.run(self._load_script(image, folder, carried), timeout=LOADING_MAY_TAKE)
        complaint = self._complaint(result, image)
        if not complaint:
            return
        doing = f"loading {image}"
        self._undo_load(image)
        if says(result, "no space left"):
            raise self._full(doing, result)
        whole = carried.keys() >= set(image.diff_ids)
        if self._is_damaged(result, whole=whole):
            raise CorruptLayer(self._agent, doing, complaint)
        lost = says(result, f"{self.root}/") and says(result, "no such file or directory")
        if (lost or not whole) and not says(result, *DOWN):
            raise MissingLayers(self._agent, doing, complaint)
        raise self._failed(doing, result, complaint)

    @property
    def replaced(self) -> Collection[Digest]:
        """Blobs that were damaged in the engine's store, and that loads have replaced."""
        return ()

    @abstractmethod
    def _load_script(self, image: Image, folder: str, carried: Mapping[Digest, Descriptor]) -> str:
        """A script that loads the image from the folder."""

    def _complaint(self, result: Result, image: Image) -> str:
        """What the script's answer says that is wrong; nothing if all of the image is loaded."""
        return "" if result.ok else result.error

    def _undo_load(self, image: Image) -> None:
        """Leave nothing of a load that has failed; there is nothing where an engine takes all of an image or none."""
        return

    def _is_damaged(self, result: Result, *, whole: bool) -> bool:
        """Whether a load has failed for what was carried. ``whole``: nothing was left out."""
        return says(result, NOT_UNPACKED, "invalid diffid")

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

    @abstractmethod
    def give_back(self, source: HeldImage, wanted: Collection[Digest], folder: str) -> Mapping[Digest, str]:
        """Put layers of a held image, as plain tars, into a folder on the host: diff id → path.

        Args:
            wanted: diff ids of those that are needed, at least.

        Raises:
            CorruptLayer: they cannot be had, for whatever reason.
        """

    # ---- proving, removing --------------------------------------------------------------------------

    def prove_held(self, blobs: Collection[Descriptor]) -> None:
        """Prove, by their bytes, layers that a load will leave out; where the engine keeps no blobs, nothing.

        Raises:
            MissingLayers: some are damaged; from now on the engine does not hold them.
        """
        return

    @abstractmethod
    def verify(self, pin: Pin) -> tuple[str, ...]:
        """Prove that a container can be made of the image, without pulling it. Raises VerificationFailed.

        Returns:
            The image's names in the order in which the engine lists them; empty if it does not say.
        """

    def proven(self, pins: Sequence[Pin]) -> frozenset[Pin]:
        """Those of the images that ``verify`` would pass, as far as that can be told of all of them at once."""
        return frozenset()

    @abstractmethod
    def renew(self, image: Image) -> None:
        """Remove an image that is damaged although all of it was loaded, so that the next load unpacks it anew.

        Raises:
            VerificationFailed: others would go with it, or a container uses it; its hint has the commands.
        """

    def _not_renewed(self, image: Image, why: str, names: Iterable[str]) -> VerificationFailed:
        """``names``: of all that has the damaged layer."""
        return VerificationFailed(
            self._agent,
            f"loading {image}",
            f"a layer that the engine holds is damaged, and it is not removed by itself: {why}",
            f"Check the agent's disk. Remove there what has the layer, and the containers of these:"
            f" {self._removing([shlex.quote(name) for name in names])}. Then run pulumi up again",
        )

    def _removing(self, names: Sequence[str]) -> str:
        """The command by which people remove these."""
        return f"{self.command} image rm {' '.join(names)}"

    @abstractmethod
    def remove(self, pin: Pin) -> bool:
        """Remove the image; already gone is success. False if a container still uses it."""

    def remove_stale_containers(self) -> None:
        """Remove containers that an interrupted verification has left; nothing where that makes none."""
        return

    def untag_lower_images(self) -> None:
        """Remove the names of lower layers, of this transfer and of others; an image without a name goes too."""
        if self._lower:
            self._shell.run(f"{self.cli} image rm {' '.join(map(shlex.quote, sorted(self._lower)))}")

    # ---- what is wrong ------------------------------------------------------------------------------

    @contextmanager
    def _reading(self, doing: str, result: Result) -> Iterator[None]:
        """Raise EngineError, with some of the answer, if the body cannot read it."""
        try:
            yield
        except UNREADABLE:
            raise unreadable(self._agent, doing, result.text) from None

    def _full(self, doing: str, result: Result) -> NoSpace:
        return NoSpace(self._agent, doing, "no space left on device", f"Free space under {self.root}")

    def _failed(self, doing: str, result: Result, why: str = "") -> EngineError:
        """``why``: what the engine says, if that is not the last of its complaints."""
        hint = ""
        # Edgelet says by itself what to try.
        if says(result, *DOWN) and "systemctl" not in result.error:
            why, hint = "", f"Is the {self.cli} service running on the agent? Try: systemctl status {self.cli}"
        return EngineError(self._agent, doing, why or result.error, hint)
