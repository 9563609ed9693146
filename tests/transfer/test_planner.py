"""How each layer travels: from what the host holds and has, its link, and the older layers at hand."""

from __future__ import annotations

import dataclasses

import pytest

from pulumi_iofog.oci.image import AMD64, OCI_LAYER, Descriptor, Digest, Image, Layer
from pulumi_iofog.transfer.encodings import AsIs, Copied, Delta, Encoding, Part, Recoded, TokenDelta
from pulumi_iofog.transfer.engine_traits import EngineKind, traits_of
from pulumi_iofog.transfer.inventory import HeldImage, Inventory, Means
from pulumi_iofog.transfer.plan import Transfer
from pulumi_iofog.transfer.planner import REPACKED, held, transfer
from tests.images import make_image

GB = 10**9
FAST, MIDDLE, SLOW = 110e6, 12.5e6, 2.5e6


def layer(
    letter: str, size: int = 50_000_000, media_type: str = "application/vnd.oci.image.layer.v1.tar+gzip"
) -> Layer:
    """A layer whose digests are made of a letter."""
    number = f"{ord(letter):02x}"
    return Layer(
        Digest("sha256:" + number * 32), Descriptor(Digest(f"sha256:{'b' + number[1]:0<64}"), size, media_type)
    )


BASE, DEPENDENCIES, APP = layer("a"), layer("b", 28_000_000), layer("c", 2_000_000)
NEW_BASE, NEW_APP = layer("d", 51_000_000), layer("e", 2_100_000)
KNOWN = {each.diff_id: each.blob for each in (BASE, DEPENDENCIES, APP)}


def image(*layers: Layer) -> Image:
    return dataclasses.replace(make_image({"f": b""}).image, layers=layers)


def inventory(
    *layers: Layer, engine: EngineKind = "docker", gzip: bool = True, zstd: bool = True, memory: int = 4 * GB
) -> Inventory:
    images = (HeldImage("sha256:old", tuple(each.diff_id for each in layers)),) if layers else ()
    return Inventory(traits_of(engine), AMD64, tagged=False, images=images, gzip=gzip, zstd=zstd, memory=memory)


def ways(sending: Transfer) -> list[object]:
    return [part.encoding for part in sending.parts]


ZSTD_LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
PROGRAMS = frozenset({"amd64"})
CONTAINERD = inventory(BASE, engine="docker-containerd")
FULL = Means(FAST, KNOWN, 4 * GB, PROGRAMS)
V1, V2, V3 = image(BASE, DEPENDENCIES, APP), image(BASE, DEPENDENCIES, NEW_APP), image(NEW_BASE, DEPENDENCIES, APP)


@pytest.mark.parametrize(
    ("engine", "wanted", "absent"),
    [
        pytest.param("docker", V2, {BASE, DEPENDENCIES}, id="the chain is the same below"),
        pytest.param("docker", V3, set(), id="the classic store knows layers by chain only"),
        pytest.param("podman", V3, {DEPENDENCIES, APP}, id="podman finds each by itself"),
        pytest.param("docker-containerd", V3, {DEPENDENCIES, APP}, id="so does containerd's store"),
    ],
)
def test_what_is_held_is_left_out(engine: EngineKind, wanted: Image, absent: set[Layer]) -> None:
    assert held(wanted, inventory(BASE, DEPENDENCIES, APP, engine=engine)) == {each.diff_id for each in absent}
    whole = transfer(wanted, inventory(BASE, DEPENDENCIES, APP, engine=engine), Means(), thin=False)
    assert (len(whole.parts), whole.absent) == (3, frozenset())
    slow = Means(SLOW)
    assert transfer(wanted, inventory(engine=engine), slow).stops
    assert not transfer(wanted, inventory(engine=engine), slow, thin=False).stops, "all at once, then"


def holding(engine: EngineKind, *blobs: Descriptor) -> Inventory:
    """What holds the base layer as these blobs, each in an image of its own."""
    images = tuple(HeldImage(f"sha256:{number}", (BASE.diff_id,), (blob,)) for number, blob in enumerate(blobs))
    return dataclasses.replace(inventory(engine=engine), images=images)


OTHERWISE = layer("f", 60_000_000, OCI_LAYER).blob
"""The base layer in another encoding."""


def test_an_engine_that_keeps_blobs_holds_those_that_it_has() -> None:
    """Not the same layer as another blob, as it comes from ``docker load`` of an archive."""
    assert held(V1, holding("docker-containerd", OTHERWISE)) == frozenset()
    assert held(V1, holding("docker-containerd", OTHERWISE, BASE.blob)) == {BASE.diff_id}
    sending = transfer(V1, holding("docker-containerd", BASE.blob, OTHERWISE), Means())
    assert sending.held == {BASE.diff_id: BASE.blob}, "what is to be proven is the blob itself"
    assert held(V1, holding("edgelet", OTHERWISE)) == {BASE.diff_id}
    assert transfer(V1, holding("edgelet", OTHERWISE), Means()).held == {BASE.diff_id: OTHERWISE}


@pytest.mark.parametrize(
    ("now", "before", "less"),
    [
        pytest.param((), (BASE.blob,), True, id="nothing"),
        pytest.param((OTHERWISE,), (BASE.blob,), True, id="as another blob"),
        pytest.param((BASE.blob,), (BASE.blob,), False, id="the same"),
        pytest.param((BASE.blob,), (), False, id="more"),
    ],
)
def test_a_second_try_leaves_out_less(now: tuple[Descriptor, ...], before: tuple[Descriptor, ...], less: bool) -> None:
    first, second = (transfer(V1, holding("edgelet", *blobs), Means()) for blobs in (before, now))
    assert second.leaves_out_less_than(first) is less


@pytest.mark.parametrize(
    ("rate", "zstd", "memory", "way"),
    [
        pytest.param(FAST, True, 4 * GB, AsIs(), id="a fast link: encoding costs more than it saves"),
        pytest.param(MIDDLE, True, 4 * GB, Recoded(6, 23), id="100 Mbit/s"),
        pytest.param(SLOW, True, 4 * GB, Recoded(12, 27), id="20 Mbit/s"),
        pytest.param(SLOW, True, 300_000_000, Recoded(12, 23), id="a small host: a small window"),
        pytest.param(SLOW, False, 4 * GB, AsIs(unpack=True), id="a host without zstd"),
        pytest.param(SLOW, False, 300_000_000, AsIs(), id="a small host without zstd"),
        pytest.param(None, True, 4 * GB, AsIs(), id="a link that was not measured"),
    ],
)
def test_the_links_rate_and_the_host_decide_the_encoding(
    rate: float | None, zstd: bool, memory: int, way: object
) -> None:
    sending = transfer(V1, inventory(zstd=zstd, memory=memory), Means(rate))
    small = AsIs() if way == AsIs(unpack=True) else way  # what takes Docker little time it unpacks itself
    assert ways(sending) == [way, way, small]


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_a_recoded_layer_stays_packed_in_the_spool(engine: EngineKind) -> None:
    (part,) = transfer(image(BASE), inventory(engine=engine), Means(MIDDLE)).parts
    assert (part.encoding, part.plain) == (Recoded(6, 23), False)


@pytest.mark.parametrize(("engine", "unpack"), [("docker", True), ("podman", False), ("docker-containerd", False)])
@pytest.mark.parametrize("plain", [True, False])
def test_a_zstd_blob_is_unpacked_for_an_engine_that_does_not_take_it(
    engine: EngineKind, unpack: bool, plain: bool
) -> None:
    blob = layer("z", media_type="application/vnd.oci.image.layer.v1.tar+zstd")
    assert ways(transfer(image(blob), inventory(engine=engine), Means(FAST), blobs_only=plain)) == [AsIs(unpack)]


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize(
    ("version", "way"), [("20.10.24+dfsg1", REPACKED), ("", REPACKED), ("23.0.1", AsIs()), ("dev", REPACKED)]
)
def test_what_neither_docker_nor_its_host_can_unpack_is_unpacked_here(version: str, way: Encoding, plain: bool) -> None:
    blob = layer("z", media_type="application/vnd.oci.image.layer.v1.tar+zstd")
    docker = dataclasses.replace(inventory(zstd=False), engine=traits_of("docker", version))
    sending = transfer(image(blob), docker, Means(FAST), blobs_only=plain)
    assert ways(sending) == [way]
    assert sending.most == (blob.blob.size if way == AsIs() else 75_000_000)


def test_a_blob_that_is_not_what_its_type_says_is_unpacked_here_too() -> None:
    means = Means(MIDDLE, mislabelled=frozenset([BASE.blob.digest]))
    for blobs_only in (True, False):
        first, second = transfer(image(layer("s", 10), BASE), inventory(), means, blobs_only=blobs_only).parts
        assert (first.encoding, isinstance(second.encoding, Recoded)) == (AsIs(), True)
    assert transfer(image(BASE), inventory(), dataclasses.replace(means, rate=FAST)).parts[0].encoding == REPACKED
    podman = transfer(image(BASE), inventory(engine="podman"), dataclasses.replace(means, rate=FAST))
    assert ways(podman) == [AsIs()], "which looks itself"


def test_a_layer_from_two_blobs_travels_twice_only_where_both_are_kept() -> None:
    other = Layer(APP.diff_id, dataclasses.replace(APP.blob, digest=Digest("sha256:" + "9" * 64)))
    twice = image(BASE, APP, APP, DEPENDENCIES, other)
    for engine, parts in (("docker", 3), ("podman", 3), ("edgelet", 3), ("docker-containerd", 4)):
        sending = transfer(twice, inventory(engine=engine), Means())  # type: ignore[arg-type]
        assert len({part.key for part in sending.parts}) == len({part.name for part in sending.parts}) == parts


def test_a_changed_layer_goes_as_a_delta_and_those_above_it_not_at_all() -> None:
    sending = transfer(V3, inventory(BASE, DEPENDENCIES, APP), Means(FAST, KNOWN, 4 * GB))
    source = "sha256:old"
    assert ways(sending) == [Delta(BASE.diff_id, source, AsIs()), Copied(source), Copied(source)]
    assert sending.most == NEW_BASE.blob.size


def test_on_podman_what_is_above_is_found_by_itself() -> None:
    sending = transfer(V3, inventory(BASE, DEPENDENCIES, APP, engine="podman"), Means(MIDDLE, KNOWN, 4 * GB))
    assert ways(sending) == [Delta(BASE.diff_id, "sha256:old", Recoded(6, 23))]


@pytest.mark.parametrize(
    ("holds", "means"),
    [
        pytest.param(inventory(BASE, zstd=False), Means(FAST, KNOWN, 4 * GB), id="no zstd on the host"),
        pytest.param(inventory(BASE, memory=500_000_000), Means(FAST, KNOWN, 4 * GB), id="too little memory there"),
        pytest.param(inventory(BASE), Means(FAST, KNOWN, 300_000_000), id="too little memory here"),
        pytest.param(inventory(BASE), Means(FAST, {}, 4 * GB), id="the old layer's blob is not known"),
        pytest.param(inventory(APP), Means(FAST, KNOWN, 4 * GB), id="too different in size"),
        pytest.param(CONTAINERD, Means(FAST, KNOWN, 4 * GB), id="containerd keeps blobs, and no program is given"),
        pytest.param(CONTAINERD, Means(FAST, KNOWN, 4 * GB, frozenset({"arm64"})), id="no program for the host"),
        pytest.param(CONTAINERD, Means(FAST, KNOWN, 300_000_000, PROGRAMS), id="too little memory for tokens"),
        pytest.param(
            CONTAINERD,
            Means(FAST, {BASE.diff_id: dataclasses.replace(BASE.blob, media_type=ZSTD_LAYER)}, 4 * GB, PROGRAMS),
            id="tokens of a zstd blob",
        ),
    ],
)
def test_no_delta_where_it_cannot_work(holds: Inventory, means: Means) -> None:
    assert ways(transfer(image(NEW_BASE), holds, means)) == [AsIs()]


def test_containerds_store_is_given_the_registrys_own_blob_out_of_a_delta_of_tokens() -> None:
    sending = transfer(V3, inventory(BASE, DEPENDENCIES, APP, engine="docker-containerd"), FULL)
    assert ways(sending) == [TokenDelta(BASE.diff_id, BASE.blob.digest, "sha256:old", AsIs())]
    (part,) = sending.parts
    assert (part.expected, part.given, part.most) == (NEW_BASE.blob.digest, NEW_BASE.blob.size, NEW_BASE.blob.size)
    assert ways(transfer(V3, inventory(BASE, engine="docker-containerd"), FULL, blobs_only=True)) == 3 * [AsIs()]


def test_a_plain_layer_may_be_recoded_for_containerd_too() -> None:
    """From an archive of docker save: the host decodes it into the very blob that the manifest names."""
    diff_id = NEW_BASE.diff_id
    plain = image(Layer(diff_id, Descriptor(diff_id, NEW_BASE.blob.size, OCI_LAYER)))
    holds = inventory(engine="docker-containerd")
    assert ways(transfer(plain, holds, Means(MIDDLE))) == [Recoded(6, 23)]
    assert ways(transfer(plain, holds, Means(None))) == [AsIs()]
    assert ways(transfer(plain, inventory(engine="docker-containerd", zstd=False), Means(MIDDLE))) == [AsIs()]


def test_small_layers_are_not_worth_any_trouble() -> None:
    small = layer("f", 900_000)
    assert ways(transfer(image(small), inventory(BASE), Means(SLOW, KNOWN, 4 * GB))) == [AsIs()]
    assert ways(transfer(image(NEW_APP), inventory(APP), Means(FAST, KNOWN, 4 * GB))) == [AsIs()]


def test_of_several_old_layers_the_one_at_the_same_height_is_taken() -> None:
    holds = inventory(DEPENDENCIES, BASE)
    (part,) = transfer(image(NEW_BASE), holds, Means(FAST, KNOWN, 4 * GB)).parts
    assert part.encoding == Delta(DEPENDENCIES.diff_id, "sha256:old", AsIs())


def test_plain_is_the_registrys_blobs_whatever_else_could_be() -> None:
    sending = transfer(V3, inventory(BASE, DEPENDENCIES, APP), Means(SLOW, KNOWN, 4 * GB), blobs_only=True)
    assert ways(sending) == [AsIs()] * 3


def test_early_loads_only_where_the_rest_takes_long_enough_to_hide_them() -> None:
    assert transfer(V1, inventory(zstd=False), Means(MIDDLE)).stops == {0}
    assert transfer(V1, inventory(zstd=False), Means(SLOW)).stops == {0, 1}
    assert transfer(V1, inventory(zstd=False), Means(FAST)).stops == frozenset()
    assert transfer(V1, inventory(zstd=False), Means(None)).stops == frozenset()


@pytest.mark.parametrize(
    ("holds", "rate", "follow"),
    [
        pytest.param(inventory(), MIDDLE, True, id="100 Mbit/s"),
        pytest.param(inventory(), SLOW, False, id="20 Mbit/s: there it saves little"),
        pytest.param(inventory(engine="docker-containerd"), MIDDLE, False, id="containerd's store"),
        pytest.param(inventory(), FAST, False, id="a fast link keeps nobody waiting"),
        pytest.param(inventory(), None, False, id="little to send, or not measured"),
        pytest.param(inventory(engine="podman"), MIDDLE, False, id="podman reads a whole folder"),
    ],
)
def test_layers_are_read_while_they_arrive(holds: Inventory, rate: float | None, follow: bool) -> None:
    sending = transfer(V1, holds, Means(rate))
    assert sending.reads_along(sending.groups(sending.parts)[0]) == follow


def test_what_is_loaded_at_once() -> None:
    sending = transfer(V1, inventory(), Means(MIDDLE))
    base, dependencies, app = sending.parts
    assert sending.groups(sending.parts) == [(base,), (dependencies, app)]
    assert [sending.reads_along(group) for group in sending.groups(sending.parts)] == [True, True]
    nothing = Transfer((), traits_of("docker"))
    assert nothing.groups(()) == [()], "the image itself is loaded even where all its layers are there"


def test_little_is_not_read_while_it_arrives_nor_what_the_host_makes() -> None:
    sending = transfer(V2, inventory(BASE, DEPENDENCIES), Means(MIDDLE))
    assert not sending.reads_along(sending.parts)
    sending = transfer(V3, inventory(BASE, DEPENDENCIES, APP), Means(MIDDLE, KNOWN, 4 * GB))
    assert not any(sending.reads_along(group) for group in sending.groups(sending.parts))


def three_times(*layers: Layer) -> dict[Digest, int]:
    """Sizes of plain tars, as they mostly are."""
    return {each.diff_id: 3 * each.blob.size for each in layers}


def test_the_space_that_it_takes_at_most() -> None:
    base, dependencies, app = (layer.blob.size for layer in V1.layers)
    everything, sizes = base + dependencies + app, three_times(*V1.layers)
    sending = transfer(V1, inventory(), Means(MIDDLE, sizes=sizes))
    assert sending.sizes_known
    assert sending.space == (everything, 3 * everything + 3 * everything), "Docker puts aside what it loads"
    assert transfer(V1, inventory(), Means(FAST, sizes=sizes)).space == (everything, 4 * everything), "as it is"
    podman = transfer(V1, inventory(engine="podman"), Means(FAST, sizes=sizes))
    assert podman.space == (everything, 3 * everything)
    assert podman.temporary == everything, "in another place"
    assert transfer(V1, inventory(), Means(FAST)).temporary == 0
    layers = [layer(each) for each in "klmn"]
    four = transfer(image(*layers), inventory(), Means(SLOW, sizes=three_times(*layers)))
    assert four.space == (200_000_000, 600_000_000 + 300_000_000), "of two loads at most"
    there, sizes = inventory(BASE, DEPENDENCIES, APP, engine="podman"), three_times(BASE, *V3.layers)
    delta = transfer(V3, there, Means(MIDDLE, KNOWN, 4 * GB, sizes=sizes))
    new, old = NEW_BASE.blob.size, BASE.blob.size
    assert delta.space == (new + 3 * new + 3 * old, 3 * new), "the patch, the old layer and the new one"


def test_of_layers_whose_size_is_not_known_as_much_is_asked_for_as_the_registry_says() -> None:
    everything = sum(layer.blob.size for layer in V1.layers)
    sending = transfer(V1, inventory(), Means(FAST, sizes=three_times(BASE)))
    assert not sending.sizes_known
    assert sending.space == (everything, everything + 2 * BASE.blob.size + everything)
    incompressible = transfer(image(layer("i", 101_000_000)), inventory(), Means(FAST))
    assert sum(incompressible.space) == 303_000_000


def test_a_small_gzip_blob_is_unpacked_by_docker() -> None:
    assert ways(transfer(image(layer("g", 3_000_000)), inventory(zstd=False), Means(SLOW))) == [AsIs()]


def test_an_engine_that_reads_zstd_needs_none_on_the_host() -> None:
    reading: tuple[EngineKind, ...] = ("podman", "edgelet")
    for engine in reading:
        assert ways(transfer(image(BASE), inventory(zstd=False, engine=engine), Means(SLOW))) == [Recoded(12, 27)]
    assert ways(transfer(image(BASE), inventory(zstd=False, gzip=False), Means(SLOW))) == [AsIs()]


def test_what_edgelet_holds_is_named_as_it_holds_it_and_never_sent_again() -> None:
    other = Descriptor(Digest("sha256:" + 64 * "9"), 40_000_000, "application/vnd.oci.image.layer.v1.tar+zstd")
    images = (HeldImage("sha256:old", (BASE.diff_id, APP.diff_id), (other, APP.blob)),)
    there = dataclasses.replace(inventory(engine="edgelet"), images=images)
    sending = transfer(V1, there, Means(MIDDLE))
    assert sending.absent == {BASE.diff_id, APP.diff_id}
    assert sending.held == {BASE.diff_id: other, APP.diff_id: APP.blob}
    assert ways(sending) == [Recoded(6, 23)]
    # Copying a layer out of its store, only to load it again, would be no better.
    assert ways(transfer(V1, there, Means(MIDDLE), thin=False)) == [Recoded(6, 23), Recoded(6, 23), Recoded(6, 23)]


def test_edgelet_is_given_deltas_against_what_its_store_holds() -> None:
    images = (HeldImage("sha256:old", tuple(each.diff_id for each in V1.layers), tuple(e.blob for e in V1.layers)),)
    there = dataclasses.replace(inventory(engine="edgelet"), images=images)
    (part,) = transfer(V3, there, Means(MIDDLE, KNOWN, 4 * GB)).parts
    assert part.encoding == Delta(BASE.diff_id, "sha256:old", Recoded(6, 23))
    assert part.made_from == BASE.diff_id


def test_edgelet_needs_room_for_the_archive_its_blobs_and_what_it_unpacks_later() -> None:
    image_ = image(BASE, APP)
    sizes = three_times(BASE, APP)
    asked = transfer(image_, inventory(engine="edgelet"), Means(sizes=sizes))
    blobs = BASE.blob.size + APP.blob.size
    assert asked.space == (2 * blobs, 4 * blobs)
    assert asked.stops == frozenset()
    # podman reads the folder itself, and keeps no blobs.
    assert transfer(image_, inventory(engine="podman"), Means(sizes=sizes)).space == (blobs, 3 * blobs)


def test_parts_of_equal_names_are_equal_bytes() -> None:
    ways = [AsIs(), Recoded(6, 23), Recoded(12, 27), Delta(APP.diff_id, "x", AsIs()), Delta(BASE.diff_id, "x", AsIs())]
    names = {Part(NEW_BASE, way).name for way in ways}
    assert len(names) == len(ways)
    one, other = (
        Part(NEW_BASE, Delta(APP.diff_id, "x", AsIs())),
        Part(NEW_BASE, Delta(APP.diff_id, "y", Recoded(6, 23))),
    )
    assert one.name == other.name


def test_a_layer_that_is_there_twice_is_sent_once() -> None:
    assert len(transfer(image(BASE, BASE), inventory(engine="podman"), Means()).parts) == 1
