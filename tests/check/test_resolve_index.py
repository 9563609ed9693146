"""Indexes as they are found: nested, without platforms, with images that say nothing of themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pulumi_iofog.oci.image import AMD64, ARM64, ARM_V7, OCI_CONFIG, OCI_INDEX, Digest, Platform, sha256
from tests.check.test_resolve import AMD, ARM, ARM7, World, failures, index, run
from tests.images import MadeImage, make_image

SIGNATURE = json.dumps(
    {
        "config": {"mediaType": OCI_CONFIG, "digest": sha256(b"{}"), "size": 2},
        "layers": [
            {
                "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
                "digest": sha256(b""),
                "size": 0,
            }
        ],
    }
).encode()
CHART = SIGNATURE.replace(OCI_CONFIG.encode(), b"application/vnd.cncf.helm.config.v1+json")


def entry(raw: bytes, platform: Platform | None = None, media_type: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {"digest": sha256(raw), "size": len(raw)}
    if media_type:
        found["mediaType"] = media_type
    if platform:
        found["platform"] = {"os": platform.os, "architecture": platform.architecture, "variant": platform.variant}
    return found


def listing(*entries: dict[str, Any] | None) -> bytes:
    return json.dumps({"mediaType": OCI_INDEX, "manifests": list(entries)}).encode()


def nested(made: MadeImage, depth: int, *, named: bool = True) -> tuple[bytes, dict[str, bytes]]:
    """An index that leads to an image after so many others; and those."""
    raw, below = listing(entry(made.image.manifest.raw, made.image.platform)), {}
    for level in range(depth):
        below[f"level {level}"] = raw
        raw = listing(entry(raw, made.image.platform if named else None, OCI_INDEX))
    return raw, below


class Images(World):
    """A World with more images."""

    def __init__(self, *more: MadeImage, **tags: bytes) -> None:
        super().__init__({name.replace("_", ":"): raw for name, raw in tags.items()})
        self.more = more

    def fetch_manifest(self, reference: Any, target: str | None = None) -> tuple[bytes, str]:
        for made in self.more:
            if target == made.image.manifest.manifest_digest:
                return made.image.manifest.raw, made.image.manifest.media_type
        return super().fetch_manifest(reference, target)

    def small_blob(self, reference: Any, blob: Any) -> bytes:
        return next((made.blobs[blob.digest] for made in self.more if blob.digest in made.blobs), b"") or (
            super().small_blob(reference, blob)
        )


def pinned(world: World, arch: str = "x86", **inputs: Any) -> Digest:
    found = run(world, **(inputs or {arch: "a:1"}))
    return found.pins[arch].manifest_digest  # type: ignore[index]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("depth", [1, 2])
def test_indexes_below_the_first_are_followed(depth: int, named: bool) -> None:
    raw, below = nested(AMD, depth, named=named)
    assert pinned(World({"a:1": raw, **below})) == AMD.image.manifest.manifest_digest


def test_not_for_ever() -> None:
    raw, below = nested(AMD, 3)
    assert "its indexes are nested more than 2 deep" in failures(World({"a:1": raw, **below}), x86="a:1")[0]
    itself = World({"a:1": listing(entry(b"x", None, OCI_INDEX))})
    itself.fetch_manifest = lambda reference, target=None: (itself.tags["a:1"], OCI_INDEX)  # type: ignore[method-assign]
    assert "nested more than 2 deep" in failures(itself, x86="a:1")[0]


def test_an_index_for_another_platform_is_not_asked_for() -> None:
    amd, below = nested(AMD, 0)[0], {}
    below["amd"] = amd
    raw = listing(entry(b"of arm", ARM64, OCI_INDEX), entry(amd, AMD64, OCI_INDEX))
    world = World({"a:1": raw, **below})
    assert pinned(world) == AMD.image.manifest.manifest_digest
    # The index, the one below it, and the manifest.
    assert world.asked.count("registry") == 3


def test_a_config_says_what_its_entry_does_not() -> None:
    raw = listing(entry(SIGNATURE), *(entry(made.image.manifest.raw) for made in (ARM, AMD)))
    world = World({"a:1": raw, "signature": SIGNATURE})
    assert pinned(world) == AMD.image.manifest.manifest_digest
    assert pinned(world, "arm") == ARM.image.manifest.manifest_digest
    assert run(world, x86="a:1").warnings == ()


def test_only_so_many_are_read() -> None:
    raw = listing(*(entry(AMD.image.manifest.raw) for _ in range(17)))
    assert "more than 16 entries of its index name no platform" in failures(World({"a:1": raw}), x86="a:1")[0]


def test_what_says_nothing_of_itself_is_what_it_is_given_as() -> None:
    silent = make_image({"app": b"silent"}, platform=Platform("", ""))
    taken = "a:1 does not say what it runs on: taken for linux/amd64, being given as x86="
    for raw in (silent.image.manifest.raw, listing(entry(silent.image.manifest.raw))):
        found = run(Images(silent, a_1=raw), x86="a:1")
        assert (found.pins["x86"].platform, found.warnings) == (AMD64, (taken,))
    # An index may say it in its place.
    found = run(Images(silent, a_1=listing(entry(silent.image.manifest.raw, ARM64))), arm="a:1")
    assert (found.pins["arm"].platform, found.warnings) == (ARM64, ())


@pytest.mark.parametrize(
    "manifests", [None, [], [{"digest": sha256(b""), "size": 0, "platform": {"os": "unknown"}}] * 2]
)
def test_an_index_without_any_image_is_told_so(manifests: Any) -> None:
    raw = json.dumps({"mediaType": OCI_INDEX, "manifests": manifests}).encode()
    assert failures(World({"a:1": raw}), x86="a:1")[0] == "x86: a:1 is an index without any image"


@pytest.mark.parametrize(("raw", "what"), [(CHART, "a Helm chart"), (SIGNATURE, "a cosign signature")])
def test_what_is_no_image_is_told_so(raw: bytes, what: str) -> None:
    said = failures(World({"a:1": raw}), x86="a:1")[0]
    assert said.startswith(f"x86: a:1: looking it up: it is {what}, not a container image. ")


# ---- what comes next to the wanted platform --------------------------------------------------------


def of(variant: str, architecture: str = "amd64") -> MadeImage:
    return make_image({"app": variant.encode()}, platform=Platform("linux", architecture, variant))


def test_the_baseline_is_taken_of_several_x86s() -> None:
    v2, v3, base = of("v2"), of("v3"), of("")
    assert pinned(Images(v2, v3, base, a_1=index(v3, v2, base))) == base.image.manifest.manifest_digest
    found = run(Images(v2, v3, a_1=index(v3, v2)), x86="a:1")
    assert found.pins["x86"].manifest_digest == v2.image.manifest.manifest_digest
    assert found.pins["x86"].platform == v2.image.platform
    assert found.warnings == ("a:1 is for linux/amd64/v2: only agents with a newer CPU take it",)


def test_an_older_arm_will_do_where_there_is_nothing_better() -> None:
    v6 = of("v6", "arm")
    found = run(Images(v6, a_1=index(v6, ARM)), armv7="a:1")
    assert found.pins["armv7"].platform == v6.image.platform
    assert found.warnings == ("a:1 has no image for linux/arm/v7: its agents get the one for linux/arm/v6",)
    assert pinned(Images(v6, a_1=index(v6, ARM7)), "armv7") == ARM7.image.manifest.manifest_digest


def test_each_agent_gets_what_runs_best_there() -> None:
    agents = [{"name": name, "host": "h"} for name in ("old", "seven", "eight")]
    v6 = of("v6", "arm")
    world = Images(v6, a_1=index(v6, ARM))
    world.platforms = {"old": Platform("linux", "arm", "v6"), "seven": ARM_V7, "eight": ARM64}
    found = run(world, arm="a:1", agents=agents)
    assert found.digests == {"old": v6.image.image_id, "seven": v6.image.image_id, "eight": ARM.image.image_id}


def test_32_bits_for_64_where_there_is_nothing_else() -> None:
    world = World({"a:1": index(AMD, ARM7)}, platforms={"e": ARM64})
    found = run(world, x86="a:1", arm="a:1")
    assert found.digests == {"e": ARM7.image.image_id}
