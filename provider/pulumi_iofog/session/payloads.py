"""The operator's side of a transfer: blobs from the cache or their source, and layers encoded as they
travel. Each is pulled, encoded or compared once, however many agents and resources want it.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from typing_extensions import assert_never

from pulumi_iofog import log
from pulumi_iofog.adapters.cache import growing
from pulumi_iofog.adapters.cache.records import Records
from pulumi_iofog.adapters.cache.store import Store
from pulumi_iofog.adapters.recode import recode
from pulumi_iofog.adapters.recode.announced import announced_size
from pulumi_iofog.errors import IofogError, StoreError
from pulumi_iofog.oci.image import OCI_LAYER, Descriptor, Digest, Image, Layer, Reference, parse_digest
from pulumi_iofog.transfer.encodings import AsIs, Copied, Delta, Part, Recoded, TokenDelta
from pulumi_iofog.transfer.load_folder import plain_blob

WORTH = 0.7
"""Of the blob's size: a larger delta is not worth its work on the host."""
DELTA_LEVEL, WORKERS = 9, 1
FOREVER = float("inf")


class Source(Protocol):
    """A registry, archive, layout or engine."""

    def manifest(self, reference: Reference, target: str | None = None) -> tuple[bytes, str]: ...
    def blob(self, reference: Reference, blob: Descriptor, offset: int = 0) -> Generator[bytes, None, None]: ...


class Payloads:
    """See the module; methods raise StoreError and the source's errors.

    Args:
        store: where blobs and what is made of them lie.
        records: of the permanent store, for what is known of older layers.
        source: where a reference's image comes from.
    """

    def __init__(self, store: Store, records: Records, source: Callable[[Reference], Source]) -> None:
        self._store, self._records, self._source = store, records, source

    def path(self, reference: Reference, blob: Descriptor) -> Path:
        """A blob as a file, pulled once."""
        return self._store.fetch(blob, lambda offset: self._source(reference).blob(reference, blob, offset))

    # ---- older layers -------------------------------------------------------------------------------

    def learn(self, image: Image) -> None:
        """Keep in mind which blob carries which layer, and where it can be had."""
        for layer in image.layers:
            blob = layer.blob
            record = {"reference": str(image.reference), "digest": blob.digest, "size": blob.size}
            self._records.put(_key(layer.diff_id), {**record, "media_type": blob.media_type})

    def older(self, diff_ids: Iterable[Digest]) -> Mapping[Digest, Descriptor]:
        """Those of the layers whose blobs are known."""
        found = ((diff_id, self._recall(diff_id)) for diff_id in set(diff_ids))
        return {diff_id: known[1].blob for diff_id, known in found if known}

    def _recall(self, diff_id: Digest) -> tuple[Reference, Layer] | None:
        record: Mapping[str, Any] | None = self._records.get(_key(diff_id), FOREVER)
        if record is None:
            return None
        try:
            blob = Descriptor(parse_digest(record["digest"]), int(record["size"]), str(record["media_type"]))
            return Reference.parse(record["reference"]), Layer(diff_id, blob)
        except (KeyError, ValueError, TypeError):
            return None

    # ---- how large they are -------------------------------------------------------------------------

    def plain_sizes(self, image: Image) -> Mapping[Digest, int]:
        """Bytes of the layers' plain tars, by diff id, of those where that is known without any work: the blob is one,
        or one has been made of it, or the blob is at hand and says so itself."""
        found = ((layer.diff_id, self._known_size(layer)) for layer in image.layers)
        return {diff_id: size for diff_id, size in found if size is not None}

    def _known_size(self, layer: Layer) -> int | None:
        if layer.blob.compression == "none":
            return layer.blob.size
        record = self._records.get(_size_key(layer.diff_id), FOREVER)
        if record is not None:
            return int(record["size"])
        path = self._store.get(layer.blob.digest)
        return announced_size(path, layer.blob.compression) if path else None

    def _keep_size(self, diff_id: Digest, size: int) -> None:
        self._records.put(_size_key(diff_id), {"size": size})

    # ---- what travels -------------------------------------------------------------------------------

    def ready(self, reference: Reference, part: Part) -> Part:
        """The part as it will really travel: a delta is made now, and given up where it is too large or
        cannot be made."""
        match part.encoding:
            case Delta() | TokenDelta() as way:
                return part if self._is_worth_it(reference, part, way) else replace(part, encoding=way.otherwise)
            case AsIs() | Recoded() | Copied():
                return part
            case other:
                assert_never(other)

    def _is_worth_it(self, reference: Reference, part: Part, way: Delta | TokenDelta) -> bool:
        size, layer = part.layer.blob.size, part.layer.diff_id
        try:
            delta = self._delta(reference, part, way).stat().st_size
        except IofogError as problem:
            log.step("delta", f"given up: {problem}", layer=layer)
            return False
        worth = delta <= WORTH * size
        log.step("delta", "worth it" if worth else "given up: too large", layer=layer, bytes=delta, of=size)
        return worth

    def stream(self, reference: Reference, part: Part, offset: int) -> Iterator[bytes]:
        """The part's bytes from an offset on, as they come: not verified, which is for the host to do."""
        layer = part.layer
        match part.encoding:
            case AsIs():
                make = partial(self.path, reference, layer.blob)
                return growing.chunks(self._store.blob_path(layer.blob.digest), make, offset)
            case Recoded() as way:
                path = self._store.derived_path(part.name)
                return growing.chunks(path, partial(self._recode, reference, part, way), offset)
            case Delta() | TokenDelta() as way:
                return growing.chunks(self._delta(reference, part, way), lambda: None, offset)
            case Copied():
                return iter(())
            case other:
                assert_never(other)

    def expected(self, reference: Reference, part: Part) -> Descriptor:
        """What a part must lie in the host's spool as; where it is made here, once it has been made. The size of a
        tar that the host makes is 0, as it is not known here."""
        layer = part.layer
        match part.encoding:
            case AsIs(unpack=True):
                return replace(layer.blob, plain_size=self._plain_size(reference, layer))
            case AsIs() | TokenDelta():
                return layer.blob
            case Recoded() as way:
                return self._recoded(reference, part, way)
            case Delta() | Copied():
                return plain_blob(layer)
            case other:
                assert_never(other)

    def _recoded(self, reference: Reference, part: Part, way: Recoded) -> Descriptor:
        file = self._recode(reference, part, way)
        record = self._store.records.get(_record_of(part), FOREVER)
        if record is None:
            # It is so old that what it is has been forgotten.
            with tempfile.TemporaryDirectory(dir=file.parent) as folder:
                blob = self.path(reference, part.layer.blob)
                record = self._encode(part, way, blob, Path(folder, file.name))
        # gzip is for engines that unpack it themselves, on hosts that may not even have it.
        plain_size = record["plain_size"] if way.packing == "zstd" else None
        return Descriptor(parse_digest(record["digest"]), record["size"], f"{OCI_LAYER}+{way.packing}", plain_size)

    @contextmanager
    def ahead(self, reference: Reference, parts: Sequence[Part]) -> Iterator[None]:
        """While the body runs, pull and encode what is still to be streamed, one part after the other, so that
        the link need not wait for the next one."""
        wanted = threading.Event()
        wanted.set()
        make_all = log.carried(self._make_all)
        threading.Thread(target=make_all, args=(reference, parts, wanted), name="ahead", daemon=True).start()
        try:
            yield
        finally:
            wanted.clear()

    def _make_all(self, reference: Reference, parts: Sequence[Part], wanted: threading.Event) -> None:
        # What cannot be made, and why, is found out by whoever streams it.
        with suppress(IofogError):
            for part in parts:
                if not wanted.is_set():
                    return
                self._make(reference, part)

    def _make(self, reference: Reference, part: Part) -> None:
        match part.encoding:
            case AsIs(unpack=True):
                self._plain_size(reference, part.layer)
            case AsIs():
                self.path(reference, part.layer.blob)
            case Recoded() as way:
                self._recode(reference, part, way)
            case Delta() | TokenDelta() | Copied():
                pass  # made by ``ready``, or by the host
            case other:
                assert_never(other)

    def _plain_size(self, reference: Reference, layer: Layer) -> int:
        """Bytes of a layer's plain tar, which no registry tells."""
        key, blob = _size_key(layer.diff_id), self.path(reference, layer.blob)
        with self._store.turn(key):
            record = self._records.get(key, FOREVER)
            if record is None:
                record = {"size": recode.plain_size(layer, blob)}
                self._keep_size(layer.diff_id, record["size"])
        return int(record["size"])

    def _recode(self, reference: Reference, part: Part, way: Recoded) -> Path:
        blob = self.path(reference, part.layer.blob)
        return self._store.derive(part.name, lambda out: self._encode(part, way, blob, out))

    def _encode(self, part: Part, way: Recoded, blob: Path, out: Path) -> dict[str, Any]:
        if way.packing == "zstd":
            made = recode.as_zstd(part.layer, blob, out, level=way.level, window_log=way.window_log, workers=WORKERS)
        else:
            made = recode.as_gzip(part.layer, blob, out, level=way.level)
        record = {"digest": made.digest, "size": made.size, "plain_size": made.plain_size}
        self._store.records.put(_record_of(part), record)
        self._keep_size(part.layer.diff_id, made.plain_size)
        return record

    def _delta(self, reference: Reference, part: Part, way: Delta | TokenDelta) -> Path:
        return self._store.derive(part.name, lambda out: self._make_delta(reference, part.layer, way, out))

    def _make_delta(self, reference: Reference, layer: Layer, way: Delta | TokenDelta, out: Path) -> None:
        known = self._recall(way.base)
        if known is None:
            raise StoreError(f"layer {way.base}", "making a delta", "it is not known any more")
        old_layer, old_blob, new_blob = known[1], self.path(known[0], known[1].blob), self.path(reference, layer.blob)
        with tempfile.TemporaryDirectory(dir=out.parent) as folder:
            old, new = Path(folder, "old"), Path(folder, "new")
            match way:
                case Delta():
                    _both(partial(recode.plain, old_layer, old_blob, old), partial(recode.plain, layer, new_blob, new))
                    self._keep_size(layer.diff_id, new.stat().st_size)
                    recode.delta(old, new, out, new_diff_id=layer.diff_id, level=DELTA_LEVEL)
                case TokenDelta():
                    take = recode.tokens
                    _both(partial(take, old_layer.blob, old_blob, old), partial(take, layer.blob, new_blob, new))
                    recode.token_delta(old, new, out, level=DELTA_LEVEL)
                case other:
                    assert_never(other)


def _both(one: Callable[[], object], other: Callable[[], object]) -> None:
    """Do both at once, as most machines have two cores; an error is raised when both are done."""
    with ThreadPoolExecutor(2, thread_name_prefix="recode") as workers:
        given = [workers.submit(log.carried(each)) for each in (one, other)]
    for each in given:
        each.result()


def _key(diff_id: Digest) -> str:
    return f"layer {diff_id}"


def _size_key(diff_id: Digest) -> str:
    return f"plain size {diff_id}"


def _record_of(part: Part) -> str:
    return f"encoded {part.name}"
