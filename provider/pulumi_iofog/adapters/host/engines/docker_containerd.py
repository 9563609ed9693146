"""Docker with containerd's image store, the default since Docker 29.

It lists and even runs an image whose blobs it lacks, if their layers are unpacked already; what it saves or pushes then
is empty. So it is asked whether all are there, and where the store's folder can be read, each is proven (see blobs.py).
"""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from pulumi_iofog.adapters.host.engines.answers import About, Listing
from pulumi_iofog.adapters.host.engines.blobs import LISTING, UNREADABLE, Blobs, are_damaged, given, parse_listing
from pulumi_iofog.adapters.host.engines.containerd_store import CONTENT, ContainerdStore
from pulumi_iofog.adapters.host.engines.docker import Docker
from pulumi_iofog.adapters.host.shell import Result
from pulumi_iofog.adapters.host.sudo import Runner
from pulumi_iofog.errors import VerificationFailed
from pulumi_iofog.oci.image import OCI_MANIFEST, Descriptor, Digest, Image, Pin, Reference, parse_manifest, sha256
from pulumi_iofog.transfer.inventory import HeldImage

THEN = "=="
"""A line between two answers."""
SYSTEM_CONTAINERD = "/var/lib/containerd"
"""The root of the one that Docker's packages bring, as a service of its own."""


class DockerContainerd(Docker):
    """See base.Engine."""

    store = "containerd store"

    def __init__(self, shell: Runner, agent: str, about: About, where: str = "") -> None:
        super().__init__(shell, agent, about, where)
        own = shlex.quote(f"{self.root}/containerd/daemon")
        self._stores = f"for store in {own} {SYSTEM_CONTAINERD}; do"
        self._blobs: Blobs | None = None
        """Where the store's folder can be read: by root, and by the user of a rootless Docker."""
        self._unsound: set[Digest] = set()
        """Manifests of images that lack blobs, and of which it is known which."""

        self._named: dict[str, str] = {}
        """The id that each name meant when it was last asked for."""

    @property
    def description(self) -> str:
        """Says so where the store cannot be read, and so its bytes not be proven."""
        half = "" if self._blobs else "; the bytes in it are not proven, which takes sudo=True"
        return super().description.replace(f"({self.store})", f"({self.store}{half})")

    # ---- questions ----------------------------------------------------------------------------------

    def images(self, reference: Reference) -> Listing:
        listing = super().images(reference)
        if listing.named:
            self._named[reference.full_name] = listing.named
        return listing

    def _listing_script(self) -> str:
        # Docker's ids are digests of manifests and indexes: its store has at least one of them. Without any, each is.
        listing = f'{{ cd "$store" && pwd && {LISTING}; break 2; }}'
        return (
            f'{super()._listing_script()}; echo {THEN}; {self._stores} for each in ${{ids:-""}}; do'
            f' [ ! -r "$store/{CONTENT}/${{each#sha256:}}" ] || {listing}; done; done'
        )

    def _parse_listing(self, answer: str, reference: Reference) -> Listing:
        images, _, store = f"\n{answer}".partition(f"\n{THEN}\n")
        listing = super()._parse_listing(images, reference)
        try:
            root, listed, small = store.splitlines()
            sizes, contents = parse_listing(listed, small)
        except UNREADABLE:
            return listing
        there = ContainerdStore({each.id: Digest(each.id) for each in listing.images}, sizes, contents)
        held = there.without(self._blobs_in(root).damaged).images()
        return replace(listing, named=None if listing.named in self._unsound else listing.named, images=held)

    def _blobs_in(self, root: str) -> Blobs:
        if self._blobs is None or self._blobs.root != root:
            self._blobs = Blobs(self._shell, self._agent, root)
        return self._blobs

    # ---- loading ------------------------------------------------------------------------------------

    def load(self, image: Image, folder: str, carried: Mapping[Digest, Descriptor]) -> None:
        super().load(image, folder, carried)
        self._unsound.clear()
        if self._blobs:
            self._blobs.loaded(given(image, carried))

    def _load_script(self, image: Image, folder: str, carried: Mapping[Digest, Descriptor]) -> str:
        script = super()._load_script(image, folder, carried)
        return (self._blobs.remove_damaged(given(image, carried)) if self._blobs else "") + script

    @property
    def replaced(self) -> Collection[Digest]:
        return self._blobs.removed if self._blobs else ()

    def _complaint(self, result: Result, image: Image) -> str:
        if self._blobs:
            self._blobs.note_removed(result)
        # Where a layer is missing or cannot be unpacked it answers 0, says so on its output, and lists a broken image.
        said = (line.strip() for line in result.text.splitlines())
        broken = next((line for line in said if "error unpacking" in line.lower()), "")
        return broken or super()._complaint(result, image)

    def _undo_load(self, image: Image) -> None:
        """Remove the broken image, and give its name back to the one that had it."""
        name, id_ = shlex.quote(image.reference.full_name), self.traits.image_id(image.pin)
        before = self._named.get(image.reference.full_name, id_)
        back = f" && docker image tag {before} {name}" if before != id_ else ""
        means = f"[ \"$(docker image inspect --format '{{{{.Id}}}}' {name})\" = {id_} ]"
        self._shell.run(f"{means} && docker image rm {name}{back}", timeout=300.0)

    def give_back(self, source: HeldImage, wanted: Collection[Digest], folder: str) -> Mapping[Digest, str]:
        blobs = dict(zip(source.diff_ids, source.blobs or (), strict=False))
        if not self._blobs or not blobs.keys() >= set(wanted):
            return super().give_back(source, wanted, folder)
        return self._blobs.copy({layer: blobs[layer].digest for layer in wanted}, folder, f"image {source.id}")

    # ---- proving ------------------------------------------------------------------------------------

    def prove_held(self, blobs: Collection[Descriptor]) -> None:
        if self._blobs:
            self._blobs.require(blob.digest for blob in blobs)

    def proven(self, pins: Sequence[Pin]) -> frozenset[Pin]:
        # A container says nothing of the blobs, which the store has besides: each image is verified by itself.
        return frozenset()

    def verify(self, pin: Pin) -> tuple[str, ...]:
        names = super().verify(pin)
        file = f"{CONTENT}/{pin.manifest_digest.hex}"
        script = (
            f'{self._stores} [ ! -r "$store/{file}" ] || {{ base64 < "$store/{file}" | tr -d \'\\n\';'
            f' printf " %s" "$store"; break; }}; done; echo; {_ask(f"/images/{pin.manifest_digest}/json?manifests=1")}'
        )
        answer = self._shell.run(script)
        found, _, said = answer.text.partition("\n")
        doing = f"verifying {pin.reference} ({pin.platform})"
        with self._reading(doing, answer):
            why = self._damage(pin, found) or ("" if is_available(said, pin.manifest_digest) else "some are missing")
        if why:
            raise VerificationFailed(self._agent, doing, f"not all of its blobs are in Docker's store: {why}")
        return names

    def _damage(self, pin: Pin, found: str) -> str:
        """What is wrong with the image's blobs, where they can be read; ``found``: its manifest, and the store."""
        packed, _, root = found.partition(" ")
        if not root:
            return ""
        raw = base64.b64decode(packed)
        right = sha256(raw) == pin.manifest_digest
        # One that is wrong is not read: it is brought anew, with all that it should name.
        manifest = parse_manifest(raw, OCI_MANIFEST) if right else None
        others = [blob.digest for blob in (manifest.config, *manifest.layers)] if manifest else []
        damaged = self._blobs_in(root).prove(others or [pin.manifest_digest])
        if damaged and manifest:
            self._unsound.add(pin.manifest_digest)
        return are_damaged(damaged) if damaged else ""


def is_available(answer: str, manifest: Digest) -> bool:
    """What the daemon says of an image's blobs, in HTTP; True if it does not say, as versions before 28 do not."""
    try:
        rows = json.loads(answer.replace("\r", "").partition("\n\n")[2])["Manifests"]
        return all(row["Available"] for row in rows if row["Descriptor"]["digest"] == manifest)
    except UNREADABLE:
        return True


def _ask(path: str) -> str:
    """A script that writes the daemon's answer. Its client passes bytes on, as no command shows them; until the answer
    is there, the input must stay open."""
    asked = f"printf '%s\\r\\n\\r\\n' {shlex.quote(f'GET {path} HTTP/1.0')} >&3; wait $!; exec 3>&-"
    dial = 'docker system dial-stdio < "$pipe/in" 2>/dev/null & exec 3> "$pipe/in"'
    return f'(pipe=$(mktemp -d) && mkfifo "$pipe/in" && {{ {dial}; {asked}; }}; rm -r "$pipe")'
