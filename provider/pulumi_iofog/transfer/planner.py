"""What one agent is sent, and how each layer travels: decided from what its engine holds, what the host
has, how fast its link is, and which older layers the operator can get. Pure.

    transfer
    ├── held       layers that need not travel at all
    ├── an encoding for each of the others
    │   ├── Copied     the host takes it out of its own engine
    │   ├── Delta      as the difference to an older layer that the host holds
    │   ├── TokenDelta the same, where the engine keeps the registry's own blobs
    │   ├── Recoded    as zstd, made while it flows
    │   └── AsIs       the registry's own blob
    ├── stops      after which parts the engine begins to load, while the next is on its way
    └── along      or whether it reads even what is still arriving
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from typing_extensions import assert_never

from pulumi_iofog.oci.image import Descriptor, Digest, Image, Layer
from pulumi_iofog.transfer.delta_memory import Memory, delta_memory, token_delta_memory
from pulumi_iofog.transfer.encodings import PLAIN_FACTOR, AsIs, Copied, Delta, Encoding, Part, Recoded, TokenDelta
from pulumi_iofog.transfer.engine_traits import EngineTraits
from pulumi_iofog.transfer.inventory import HeldImage, Inventory, Means
from pulumi_iofog.transfer.plan import STOP_SIZE, Transfer

SMALL = 1_000_000
"""Bytes of a blob below which only the registry's own blob is thought of: anything else costs more."""
SMALL_FOR_DELTA = 4_000_000
"""Bytes of a blob below which no delta is tried: the host would take its old image apart for it."""
SMALL_TO_UNPACK = 4_000_000
"""Bytes of a gzip blob below which Docker unpacks it itself: it does so in little time."""
SLOW, FAST = 4e6, 20e6
"""Bytes/s: up to SLOW a link is worth every effort to send less, beyond FAST none."""
LEVELS = ((SLOW, 12, 27), (FAST, 6, 23))
"""Up to which rate of the link zstd at which level and window (its log2, in bytes) saves more time than it
takes. On faster links the registry's blobs are sent as they are."""
ROOMY = 600_000_000
"""Bytes of free memory on the host from which a window of 128 MiB is no burden to it."""
REPACKED = Recoded(6, 0, "gzip")
"""How a layer travels that neither the engine nor the host can unpack. Not as its plain tar, which is three times as
large."""
LOAD_HIDES = 0.75
"""Seconds that the rest must take to send, for an early load to be worth its own costs."""

Needs = Callable[[int, int], "Memory | None"]
"""What a delta takes, by the sizes of both blobs in bytes."""


def transfer(
    image: Image, inventory: Inventory, means: Means, *, thin: bool = True, blobs_only: bool = False
) -> Transfer:
    """The parts to send.

    Args:
        thin: leave out what the engine seems to hold, and load from the bottom up; False once a load has shown
            that the engine has not what it seems to have: then it is given everything at once.
        blobs_only: only blobs as they are; True once another encoding has failed.
    """
    absent = held(image, inventory) if thin else frozenset()
    unhurried = replace(means, rate=None)
    parts = tuple(
        Part(
            layer,
            _as_is(layer, inventory, unhurried) if blobs_only else _encoding(layer, index, inventory, means),
            twin=any(layer.diff_id == other.diff_id for other in image.layers[:index]),
        )
        for index, layer in _distinct(image, inventory.engine)
        if layer.diff_id not in absent
    )
    # A fast link does not keep an engine waiting; on a slow one it would put aside for minutes what saves a second.
    # At 100 Mbit/s a first transfer of 79 MB took 0.82 of the time on a host without zstd, 0.96 on one with it
    # (medians of ten alternating pairs each).
    along = inventory.engine.reads_along and means.rate is not None and SLOW < means.rate <= FAST
    stops = _stops(parts, means.rate) if thin and inventory.engine.loads_early else frozenset[int]()
    held_as = _held_as(image, inventory, absent)
    return Transfer(parts, inventory.engine, absent, stops, along, held_as, means.sizes)


def _distinct(image: Image, engine: EngineTraits) -> Iterator[tuple[int, Layer]]:
    """The layers, each once, with their heights; one from two blobs twice where the engine keeps both."""
    seen = set[Layer | Digest]()
    for index, layer in enumerate(image.layers):
        key = layer if engine.keeps_blobs else layer.diff_id
        if key not in seen:
            seen.add(key)
            yield index, layer


def held(image: Image, inventory: Inventory) -> frozenset[Digest]:
    """The image's layers that the engine need not be given: by chain, a true prefix; otherwise each by itself.

    Where the engine goes by blobs, and it is not known which it holds, equal diff ids are a good guess, which is proven
    or disproven afterwards.
    """
    match inventory.engine.finds_layers_by:
        case "chain":
            longest = max((_common(image.diff_ids, each.diff_ids) for each in inventory.images), default=0)
            return frozenset(image.diff_ids[:longest])
        case "diff_id" | "blob":
            exact, images = inventory.engine.keeps_blobs, inventory.images
            return frozenset(each.diff_id for each in image.layers if any(_has(one, each, exact) for one in images))
        case other:
            assert_never(other)


def _held_as(image: Image, inventory: Inventory, absent: Collection[Digest]) -> dict[Digest, Descriptor]:
    """What the engine holds those layers as."""
    if inventory.engine.keeps_blobs:
        return {layer.diff_id: layer.blob for layer in image.layers if layer.diff_id in absent}
    blobs = (pair for each in inventory.images for pair in zip(each.diff_ids, each.blobs or (), strict=False))
    return {diff_id: blob for diff_id, blob in blobs if diff_id in absent}


def _has(held_image: HeldImage, layer: Layer, exact: bool) -> bool:
    """Whether the layer is one of an image's: in any encoding, or ``exact``, as the very blob where blobs are known."""
    if exact and held_image.blobs is not None:
        return layer.blob.digest in {blob.digest for blob in held_image.blobs}
    return layer.diff_id in held_image.diff_ids


def _common(one: Sequence[Digest], other: Sequence[Digest]) -> int:
    """How many layers both begin with."""
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in same)


# ---- encodings ------------------------------------------------------------------------------------------


def _encoding(layer: Layer, index: int, inventory: Inventory, means: Means) -> Encoding:
    if inventory.engine.keeps_blobs:
        # Only a plain layer comes out of zstd as the very blob that it was.
        plain = layer.blob.digest == layer.diff_id and layer.blob.size >= SMALL and inventory.zstd
        recoded = _recoded(inventory, means.rate) if plain else None
        return recoded or _token_delta(layer, index, inventory, means) or AsIs()
    as_is = _as_is(layer, inventory, means)
    if layer.blob.size < SMALL:
        return as_is
    for each in inventory.images:
        if inventory.engine.gives_back == "tar" and layer.diff_id in each.diff_ids:
            return Copied(each.id)
    decodes = inventory.zstd or "zstd" in inventory.engine.loads
    otherwise = (_recoded(inventory, means.rate) if decodes else None) or as_is
    return _delta(layer, index, otherwise, inventory, means) or otherwise


def _as_is(layer: Layer, inventory: Inventory, means: Means) -> AsIs | Recoded:
    """Unpacked where the engine could not do it, or where the host has the time and the memory for it; by the host, or
    where that cannot, here."""
    compression, rate = layer.blob.compression, means.rate
    if not inventory.engine.unpacks_on_the_way:
        return AsIs()
    if layer.blob.digest in means.mislabelled:
        return REPACKED
    if compression not in inventory.engine.loads:
        return AsIs(unpack=True) if inventory.zstd else REPACKED
    worth = inventory.gzip and compression == "gzip" and layer.blob.size >= SMALL_TO_UNPACK
    # A plain tar that does not stay in memory costs more to write than the engine saves.
    roomy = inventory.memory >= max(ROOMY, 4 * PLAIN_FACTOR * layer.blob.size)
    # A fast link would be kept waiting for gzip.
    time = rate is not None and rate <= FAST
    return AsIs(time and worth and roomy)


def _delta(layer: Layer, index: int, otherwise: Recoded | AsIs, inventory: Inventory, means: Means) -> Delta | None:
    """Against the held layer that is most likely its predecessor: at the same height, of the nearest size."""
    if layer.blob.size < SMALL_FOR_DELTA or not inventory.zstd:
        return None
    found = _predecessor(layer, index, inventory, means, _delta_needs)
    return Delta(*found, otherwise) if found else None


def _token_delta(layer: Layer, index: int, inventory: Inventory, means: Means) -> TokenDelta | None:
    """The same between gzip blobs, where both sides can run the program that it takes."""
    runs = inventory.zstd and inventory.platform.architecture in means.programs
    if layer.blob.size < SMALL_FOR_DELTA or layer.blob.compression != "gzip" or not runs:
        return None
    gzips = {diff_id: blob for diff_id, blob in means.layers.items() if blob.compression == "gzip"}
    found = _predecessor(layer, index, inventory, replace(means, layers=gzips), token_delta_memory)
    return TokenDelta(found[0], gzips[found[0]].digest, found[1], AsIs()) if found else None


def _predecessor(
    layer: Layer, index: int, inventory: Inventory, means: Means, needs: Needs
) -> tuple[Digest, str] | None:
    """The held layer, and an image that has it, from which a delta is most likely small."""
    candidates = [
        (position != index, abs(old.size - layer.blob.size), diff_id, each.id)
        for each in inventory.images
        for position, diff_id in enumerate(each.diff_ids)
        if (old := means.layers.get(diff_id))
        and _has(each, Layer(diff_id, old), inventory.engine.keeps_blobs)
        and _fits(old, layer.blob, inventory, means, needs)
    ]
    return min(candidates)[2:] if candidates else None


def _fits(old: Descriptor, new: Descriptor, inventory: Inventory, means: Means, needs: Needs) -> bool:
    """Whether a delta between them is plausible, and both sides have the memory for it."""
    if not new.size / 4 <= old.size <= new.size * 4:
        return False
    needed = needs(old.size, new.size)
    return needed is not None and 2 * needed.applying <= inventory.memory and needed.making <= means.memory


def _delta_needs(old_blob: int, new_blob: int) -> Memory | None:
    return delta_memory(PLAIN_FACTOR * old_blob, PLAIN_FACTOR * new_blob)


def _recoded(inventory: Inventory, rate: float | None) -> Recoded | None:
    for up_to, level, window_log in LEVELS:
        if rate is not None and rate <= up_to:
            window_log = window_log if inventory.memory >= ROOMY else min(window_log, 23)
            return Recoded(level, window_log)
    return None


# ---- stops ----------------------------------------------------------------------------------------------


def _stops(parts: Sequence[Part], rate: float | None) -> frozenset[int]:
    if rate is None:
        return frozenset()
    stops, taken = set(), 0.0
    for index, part in enumerate(parts):
        taken += part.layer.blob.size
        rest = sum(later.likely for later in parts[index + 1 :])
        if taken >= STOP_SIZE and rest / rate >= LOAD_HIDES:
            stops.add(index)
            taken = 0.0
    return frozenset(stops)
