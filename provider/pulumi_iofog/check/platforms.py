"""What each reference offers, and what of it is pinned: the part of a check that registry or archive answer.

A reference is an index of several platforms, or one platform's manifest. Known tags need no registry
where ``pull_policy`` says so: then the pins of an earlier run are the offer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from pulumi_iofog.errors import RegistryError
from pulumi_iofog.inputs.spec import Arch
from pulumi_iofog.oci.image import (
    AMD64,
    ARM64,
    ARM_V7,
    INDEX_TYPES,
    RISCV64,
    Blob,
    Digest,
    IndexEntry,
    Manifest,
    Pin,
    Platform,
    Reference,
    parse_config,
    parse_index,
    parse_manifest,
    pick,
    sha256,
    short,
)

PLATFORMS: Mapping[Arch, Platform] = {"x86": AMD64, "arm": ARM64, "riscv64": RISCV64, "armv7": ARM_V7}
"""What an image for each architecture must run on."""


class Manifests(Protocol):
    """Where images come from, as far as a check needs it."""

    def named(self, reference: Reference) -> Reference: ...
    def fetch_manifest(self, reference: Reference, target: str | None = None) -> tuple[bytes, str]: ...
    def small_blob(self, reference: Reference, blob: Blob) -> bytes: ...


@dataclass(slots=True)
class Offer:
    """What one reference offers: platforms of an index, or one platform's manifest.

    Attributes:
        arches: what the reference is for; ``arm=`` is for ``armv7`` too where there is no ``armv7=``.
    """

    arch: Arch
    reference: Reference
    arches: tuple[Arch, ...]
    top: Digest | None = None
    entries: tuple[IndexEntry, ...] = ()
    single: tuple[Platform, Manifest] | None = None
    pins: dict[Arch, Pin] = field(default_factory=dict)

    def candidates(self) -> list[Arch]:
        """The architectures that it has an image for."""
        return [arch for arch in self.arches if self._has(PLATFORMS[arch])]

    def _has(self, platform: Platform) -> bool:
        if self.pins:
            return any(platform.runs(pin.platform) for pin in self.pins.values())
        if self.single:
            return platform.runs(self.single[0])
        return pick(self.entries, platform) is not None

    def pin(self, arch: Arch, manifests: Manifests) -> Pin:
        """The image for one of the candidates, by its digests."""
        if arch in self.pins:
            return self.pins[arch]
        platform = PLATFORMS[arch]
        entry = pick(self.entries, platform)
        if self.single:
            manifest = self.single[1]
        else:
            assert entry, "a candidate"
            with _readable(self.reference):
                manifest = parse_manifest(*manifests.fetch_manifest(self.reference, entry.blob.digest))
        return Pin(self.reference, manifest.manifest_digest, manifest.config.digest, platform, manifest.size)

    @property
    def refusal(self) -> str:
        """Why none of its images is the one that is wanted."""
        wanted = " or ".join(str(PLATFORMS[arch]) for arch in self.arches)
        if self.single:
            return f"{self.reference} is for {self.single[0]} only, not for {wanted}"
        there = ", ".join(sorted({str(entry.platform) for entry in self.entries}))
        if not there:
            return f"{self.reference} offers no image that runs anywhere"
        return f"{self.reference} is not for {wanted}; its index has {there}"


def blank_offers(references: Mapping[Arch, Reference], more: Sequence[Arch] = ()) -> list[Offer]:
    """An offer for each reference, before anybody was asked.

    Args:
        more: architectures whose reference is not known yet; they have an image of their own too.
    """
    own = {*references, *more}
    return [
        Offer(arch, reference, ("arm", "armv7") if arch == "arm" and "armv7" not in own else (arch,))
        for arch, reference in references.items()
    ]


def known_pins(
    offer: Offer, earlier: Mapping[Arch, Pin], recall: Callable[[Reference, Platform], Pin | None]
) -> dict[Arch, Pin]:
    """What an earlier run has resolved, by the state or by this machine's memory."""
    found = {}
    for arch in offer.arches:
        pin = earlier.get(arch)
        if not pin or not offer.reference.may_be(pin.reference):
            pin = recall(offer.reference, PLATFORMS[arch])
        if pin:
            found[arch] = pin
    return found


def look_up(offer: Offer, manifests: Manifests, previewed: Callable[[Reference], Digest | None]) -> str | None:
    """Look the reference up. What a preview has shown is kept; a line says so where the tag has moved."""
    with _readable(offer.reference):
        return _look_up(offer, manifests, previewed)


def _look_up(offer: Offer, manifests: Manifests, previewed: Callable[[Reference], Digest | None]) -> str | None:
    offer.reference = manifests.named(offer.reference)
    shown = previewed(offer.reference)
    raw, media_type = manifests.fetch_manifest(offer.reference)
    offer.top, moved = sha256(raw), None
    if shown and shown != offer.top:
        moved = (
            f"{offer.reference} has moved since the preview, from {short(shown)} to {short(offer.top)};"
            " what the preview showed is used. Run pulumi up again for the newer one"
        )
        raw, media_type = manifests.fetch_manifest(offer.reference, shown)
        offer.top = shown
    if media_type in INDEX_TYPES:
        offer.entries = parse_index(raw)
        return moved
    manifest = parse_manifest(raw, media_type)
    config = manifests.small_blob(offer.reference, manifest.config)
    offer.single = (parse_config(config)[0], manifest)
    return moved


@contextmanager
def _readable(reference: Reference) -> Iterator[None]:
    """For the reading of manifests and configs."""
    try:
        yield
    except ValueError as problem:
        why = f"its manifest or config cannot be read: {problem}"
        raise RegistryError(str(reference), "looking it up", why) from None
