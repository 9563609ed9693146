"""What one agent is sent, and how each layer travels: decided from what its engine holds, what the host
has, how fast its link is, and which older layers the operator can get. Pure.

    transfer
    ├── held       layers that need not travel at all
    ├── a way for each of the others
    │   ├── Copied     the host takes it out of its own engine
    │   ├── Delta      as the difference to an older layer that the host holds
    │   ├── Recoded    as zstd, made while it flows
    │   └── AsIs       the registry's own blob
    ├── stops      after which parts the engine begins to load, while the next is on its way
    └── follow     or whether it reads even what is still arriving
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pulumi_iofog.oci.image import Blob, Digest, Image, Layer
from pulumi_iofog.transfer.delta_memory import delta_memory
from pulumi_iofog.transfer.encodings import (
    PLAIN_FACTOR,
    STOP_SIZE,
    AsIs,
    Copied,
    Delta,
    Inventory,
    Means,
    Part,
    Recoded,
    Transfer,
    Way,
)

SMALL = 1_000_000
"""Bytes of a blob below which only the registry's own form is thought of: anything else costs more."""
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
LOAD_HIDES = 0.75
"""Seconds that the rest must take to send, for an early load to be worth its own costs."""


def transfer(image: Image, inventory: Inventory, means: Means, *, thin: bool = True, plain: bool = False) -> Transfer:
    """The parts to send.

    Args:
        thin: leave out what the engine seems to hold, and load from the bottom up; False once a load has shown
            that the engine has not what it seems to have: then it is given everything at once.
        plain: only blobs as they are; True once another way has failed.
    """
    absent = held(image, inventory) if thin else frozenset()
    layers = {layer.diff_id: (index, layer) for index, layer in enumerate(image.layers) if layer.diff_id not in absent}
    parts = tuple(
        Part(layer, _as_is(layer, inventory, None) if plain else _way(layer, index, inventory, means))
        for index, layer in layers.values()
    )
    # Podman reads a folder, which must be whole, and containerd's store loses a layer whose first load was broken off.
    # A fast link does not keep an engine waiting; on a slow one it would put aside for minutes what saves a second.
    follow = inventory.engine == "docker" and means.rate is not None and SLOW < means.rate <= FAST
    return Transfer(parts, absent, _stops(parts, means.rate) if thin else frozenset(), follow, inventory.engine)


def held(image: Image, inventory: Inventory) -> frozenset[Digest]:
    """The image's layers that the engine needs not to be given: on the classic store by chain, a true
    prefix; elsewhere each by itself, which is a good guess that the load proves or disproves."""
    if inventory.engine == "docker":
        longest = max((_common(image.diff_ids, each.diff_ids) for each in inventory.images), default=0)
        return frozenset(image.diff_ids[:longest])
    return frozenset(image.diff_ids) & {diff_id for each in inventory.images for diff_id in each.diff_ids}


def _common(one: Sequence[Digest], other: Sequence[Digest]) -> int:
    """How many layers both begin with."""
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in same)


# ---- ways -----------------------------------------------------------------------------------------------


def _way(layer: Layer, index: int, inventory: Inventory, means: Means) -> Way:
    # Docker's containerd store keeps the registry's blobs, and its image id is the manifest's: a layer in
    # another form would make another image. Only a plain one comes out of zstd as the blob that it was.
    if inventory.engine == "docker-containerd":
        plain = layer.blob.digest == layer.diff_id and layer.blob.size >= SMALL and inventory.zstd
        return (_recoded(inventory, means.rate) if plain else None) or AsIs()
    as_is = _as_is(layer, inventory, means.rate)
    if layer.blob.size < SMALL:
        return as_is
    for each in inventory.images:
        if layer.diff_id in each.diff_ids:
            return Copied(each.id)
    if not inventory.zstd:
        return as_is
    otherwise = _recoded(inventory, means.rate) or as_is
    return _delta(layer, index, otherwise, inventory, means) or otherwise


def _as_is(layer: Layer, inventory: Inventory, rate: float | None) -> AsIs:
    """Unpacked where Docker could not do it, or where the host has the time and the memory for it."""
    if inventory.engine != "docker":
        return AsIs()
    if layer.blob.media_type.endswith("zstd"):
        # Docker takes zstd itself since version 23.
        return AsIs(inventory.zstd)
    worth = inventory.gzip and layer.blob.media_type.endswith("gzip") and layer.blob.size >= SMALL_TO_UNPACK
    # A plain tar that does not stay in memory costs more to write than the engine saves.
    roomy = inventory.memory >= max(ROOMY, 4 * PLAIN_FACTOR * layer.blob.size)
    # A fast link would be kept waiting for gzip.
    time = rate is not None and rate <= FAST
    return AsIs(time and worth and roomy)


def _delta(layer: Layer, index: int, otherwise: Recoded | AsIs, inventory: Inventory, means: Means) -> Delta | None:
    """Against the held layer that is most likely its predecessor: at the same height, of the nearest size."""
    if layer.blob.size < SMALL_FOR_DELTA:
        return None
    candidates = [
        (position != index, abs(means.layers[diff_id].size - layer.blob.size), diff_id, each.id)
        for each in inventory.images
        for position, diff_id in enumerate(each.diff_ids)
        if diff_id in means.layers and _fits(means.layers[diff_id], layer.blob, inventory, means)
    ]
    if not candidates:
        return None
    _, _, base, source = min(candidates)
    return Delta(base, source, otherwise)


def _fits(old: Blob, new: Blob, inventory: Inventory, means: Means) -> bool:
    """Whether a delta between them is plausible, and both sides have the memory for it."""
    if not new.size / 4 <= old.size <= new.size * 4:
        return False
    needed = delta_memory(PLAIN_FACTOR * old.size, PLAIN_FACTOR * new.size)
    return needed is not None and 2 * needed.applying <= inventory.memory and needed.making <= means.memory


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
