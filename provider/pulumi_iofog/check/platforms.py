"""What each reference offers, and which of it is pinned: the part of a check that a registry or archive answers.

A reference leads to an index of several platforms, or to one platform's manifest. An index may lead to further ones,
and an image may say of itself, or not at all, what it runs on. Where ``pull_policy``
allows it, a known tag is not looked up: then the pins of an earlier run are the offer. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from typing_extensions import assert_never

from pulumi_iofog.check.index import Index
from pulumi_iofog.check.lookups import Lookups, Manifests
from pulumi_iofog.errors import Failure, InputError, RegistryError
from pulumi_iofog.inputs.spec import Arch, Spec
from pulumi_iofog.oci.image import (
    AMD64,
    ARM64,
    ARM_V7,
    INDEX_TYPES,
    RISCV64,
    Digest,
    IndexEntry,
    Manifest,
    NotAnImage,
    Pin,
    Platform,
    Reference,
    fitness,
    parse_config,
    parse_manifest,
    pick,
    sha256,
    short,
)

PLATFORMS: Mapping[Arch, Platform] = {"x86": AMD64, "arm": ARM64, "riscv64": RISCV64, "armv7": ARM_V7}
"""What an image for each architecture must run on."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One of ``x86=``, ``arm=``, ``riscv64=``, ``armv7=``.

    Attributes:
        arch: its name.
        reference: its value; in an offer, with the name that the image will have on the agents.
        arches: the architectures that it is for.
    """

    arch: Arch
    reference: Reference
    arches: tuple[Arch, ...]


@dataclass(frozen=True, slots=True)
class IndexOffer:
    """The reference leads to an index, with images for several platforms.

    Attributes:
        top_digest: the index's; for a ManifestOffer the manifest's.
        moved_to: the tag's digest by now, where that of the preview is kept instead.
        entries: of this index and of those below it.
        assumed: an image that is offered does not say what it runs on.
    """

    argument: Argument
    top_digest: Digest
    moved_to: Digest | None
    entries: tuple[IndexEntry, ...]
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class ManifestOffer:
    """The reference leads to a manifest: one image, for one platform. Attributes as in IndexOffer."""

    argument: Argument
    top_digest: Digest
    moved_to: Digest | None
    platform: Platform
    manifest: Manifest
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class PinnedOffer:
    """The reference was not looked up: these images, at least one, were resolved by an earlier run."""

    argument: Argument
    pins: Mapping[Arch, Pin]


Offer = IndexOffer | ManifestOffer | PinnedOffer


def arguments(spec: Spec) -> list[Argument]:
    """The arguments whose reference is known. ``arm=`` is for ``armv7`` too where there is no ``armv7=``."""
    own = {*spec.references, *spec.unknown_arches}
    return [
        Argument(arch, reference, ("arm", "armv7") if arch == "arm" and "armv7" not in own else (arch,))
        for arch, reference in spec.references.items()
    ]


def find_offer(argument: Argument, spec: Spec, earlier: Mapping[Arch, Pin], lookups: Lookups) -> Offer:
    """Find out what an argument offers; at least one image.

    Args:
        earlier: the pins in the state.

    Raises:
        InputError: there is nothing of use; at the argument.
        IofogError: of the registry or archive, if it could not be asked.
    """
    pins = {} if spec.pull_policy == "always" else _known_pins(argument, earlier, lookups)
    if pins:
        reference = next(iter(pins.values())).reference
        return PinnedOffer(replace(argument, reference=reference), pins)
    if spec.pull_policy == "never":
        why = f"{argument.reference} was not resolved before: neither the state nor this machine's cache has it"
        raise InputError([Failure(argument.arch, f"pull_policy is never, and {why}")])
    with _readable(argument.reference):
        offer = _look_up(argument, lookups)
    if not candidates(offer):
        raise InputError([Failure(argument.arch, _refusal(offer))])
    return offer


def _known_pins(argument: Argument, earlier: Mapping[Arch, Pin], lookups: Lookups) -> dict[Arch, Pin]:
    """What an earlier run has resolved, as the state or this machine's cache has it."""
    found = {}
    for arch in argument.arches:
        pin = earlier.get(arch)
        if not pin or not argument.reference.may_be(pin.reference):
            pin = lookups.recall(argument.reference, PLATFORMS[arch])
        if pin:
            found[arch] = pin
    return found


def _look_up(argument: Argument, lookups: Lookups) -> IndexOffer | ManifestOffer:
    """Ask the registry or archive. A digest that a preview has shown is kept, even if the tag has moved since."""
    manifests, reference = lookups.manifests, lookups.manifests.named(argument.reference)
    argument = replace(argument, reference=reference)
    shown = lookups.previewed(reference)
    raw, media_type = manifests.fetch_manifest(reference)
    top_digest, moved_to = sha256(raw), None
    if shown and shown != top_digest:
        top_digest, moved_to = shown, top_digest
        raw, media_type = manifests.fetch_manifest(reference, shown)
    if media_type in INDEX_TYPES:
        wanted = [PLATFORMS[arch] for arch in argument.arches]
        index = Index(manifests, reference, wanted)
        entries = tuple(index.entries(raw))
        return IndexOffer(argument, top_digest, moved_to, entries, index.assumed)
    manifest = parse_manifest(raw, media_type)
    platform, _ = parse_config(manifests.small_blob(reference, manifest.config))
    # As engines do: kaniko and buildpacks have written configs that do not say it.
    platform, assumed = (platform, False) if platform.architecture else (PLATFORMS[argument.arch], True)
    return ManifestOffer(argument, top_digest, moved_to, platform, manifest, assumed)


def candidates(offer: Offer) -> list[Arch]:
    """The architectures that it has an image for."""
    return [arch for arch in offer.argument.arches if platform_for(offer, arch)]


def platform_for(offer: Offer, arch: Arch) -> Platform | None:
    """What the image for an architecture was made for; None if there is none. It may be another than asked for: an
    older ARM, or a newer x86, of which only the host knows whether it is one."""
    wanted = PLATFORMS[arch]
    match offer:
        case IndexOffer():
            entry = pick(offer.entries, wanted)
            found = entry.platform if entry else None
        case ManifestOffer():
            found = offer.platform if fitness(offer.platform, wanted) is not None else None
        case PinnedOffer():
            return offer.pins[arch].platform if arch in offer.pins else None
        case _:
            assert_never(offer)
    # What says less, or the same in other words, is the very one.
    return wanted if found and fitness(found, wanted) == 0 else found


def pin(offer: Offer, arch: Arch, manifests: Manifests) -> Pin:
    """The image for one of the candidates, by its digests. May raise the errors of registry or archive."""
    reference, platform = offer.argument.reference, platform_for(offer, arch)
    assert platform, "a candidate"
    match offer:
        case IndexOffer():
            entry = pick(offer.entries, PLATFORMS[arch])
            assert entry, "a candidate"
            with _readable(reference):
                manifest = parse_manifest(*manifests.fetch_manifest(reference, entry.blob.digest))
        case ManifestOffer():
            manifest = offer.manifest
        case PinnedOffer():
            return offer.pins[arch]
        case _:
            assert_never(offer)
    return Pin(reference, manifest.manifest_digest, manifest.config.digest, platform, manifest.size)


def notes_of(offer: Offer) -> Iterator[str]:
    """Lines for the user: where the tag has moved since the preview, or the image does not say what it runs on."""
    match offer:
        case IndexOffer() | ManifestOffer():
            reference = offer.argument.reference
            if offer.moved_to is not None:
                before, after = short(offer.top_digest), short(offer.moved_to)
                moved = f"{reference} has moved since the preview, from {before} to {after}"
                yield f"{moved}; this update keeps to what the preview showed. Run pulumi up again for the newer one"
            if offer.assumed:
                arch = offer.argument.arch
                yield f"{reference} does not say what it runs on: taken for {PLATFORMS[arch]}, being given as {arch}="
        case PinnedOffer():
            return
        case _:
            assert_never(offer)


def second_best(arch: Arch, pin: Pin) -> Iterator[str]:
    """A line for the user where there is no image for the very platform."""
    wanted = PLATFORMS[arch]
    if wanted.rank(pin.platform):
        yield f"{pin.reference} has no image for {wanted}: its agents get the one for {pin.platform}"
    elif not wanted.runs(pin.platform):
        yield f"{pin.reference} is for {pin.platform}: only agents with a newer CPU take it"


def _refusal(offer: IndexOffer | ManifestOffer) -> str:
    """Why none of its images can be used."""
    reference = offer.argument.reference
    wanted = " or ".join(str(PLATFORMS[arch]) for arch in offer.argument.arches)
    match offer:
        case IndexOffer():
            there = ", ".join(sorted({str(entry.platform) for entry in offer.entries if entry.platform}))
            if not there:
                return f"{reference} is an index without any image"
            return f"{reference} is not for {wanted}; its index has {there}"
        case ManifestOffer():
            return f"{reference} is for {offer.platform} only, not for {wanted}"
        case _:
            assert_never(offer)


@contextmanager
def _readable(reference: Reference) -> Iterator[None]:
    """Manifests and configs that cannot be read, or are no image's, become a RegistryError."""
    try:
        yield
    except NotAnImage as problem:
        raise RegistryError(str(reference), "looking it up", str(problem), problem.hint) from None
    except ValueError as problem:
        why = f"its manifest or config cannot be read: {problem}"
        raise RegistryError(str(reference), "looking it up", why) from None
