"""Images by what they are pinned to: manifests and configs, from the cache where it has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pulumi_iofog.adapters.cache.store import Store
from pulumi_iofog.errors import ImageNotFound, IofogError
from pulumi_iofog.oci.image import (
    Descriptor,
    Image,
    Manifest,
    Pin,
    Reference,
    assemble,
    media_type_of,
    parse_digest,
    parse_manifest,
)
from pulumi_iofog.session.payloads import Payloads, Source


class Named(Protocol):
    """Tells the name of an image in an archive or a layout."""

    def named(self, reference: Reference) -> Reference: ...


class Images:
    """See lookups.Manifests too, whose Protocol this fulfils.

    Args:
        store: where manifests lie; ``payloads`` is over it.
        source: where a reference's image comes from.
        local: knows the names of images that come from no registry.
    """

    def __init__(self, store: Store, payloads: Payloads, source: Callable[[Reference], Source], local: Named) -> None:
        self._store, self._payloads, self._source, self._local = store, payloads, source, local

    def named(self, reference: Reference) -> Reference:
        """The reference with the name that the image will have on the agents."""
        return reference if reference.named else self._local.named(reference)

    def fetch_manifest(self, reference: Reference, target: str | None = None) -> tuple[bytes, str]:
        """A manifest or index and its media type; by digest from the cache where that has it."""
        cached = self._store.read(parse_digest(target)) if target and ":" in target else None
        if cached is not None:
            return cached, media_type_of(cached)
        raw, media_type = self._source(reference).manifest(reference, target)
        self._store.put(raw)
        return raw, media_type

    def small_blob(self, reference: Reference, blob: Descriptor) -> bytes:
        """A blob as bytes: a config, never a layer."""
        return self._payloads.path(reference, blob).read_bytes()

    def manifest(self, pin: Pin | None) -> Manifest | None:
        """A pinned manifest, for an estimate; None without a pin, or where nobody has it any more."""
        if pin is None:
            return None
        try:
            return parse_manifest(*self.fetch_manifest(pin.reference, pin.manifest_digest))
        except (IofogError, ValueError):
            return None

    def image(self, pin: Pin) -> Image:
        """A pinned image with its config."""
        try:
            manifest = parse_manifest(*self.fetch_manifest(pin.reference, pin.manifest_digest))
            config = self.small_blob(pin.reference, manifest.config)
            image = assemble(pin.reference, pin.platform, manifest, config)
            self._payloads.learn(image)
            return image
        except ValueError as problem:
            raise ImageNotFound(str(pin.reference), "reading its manifest and config", str(problem)) from None
        except ImageNotFound as problem:
            raise ImageNotFound(
                problem.who,
                problem.doing,
                f"{problem.why} (it was {pin.manifest_digest} when it was resolved)",
                "The tag may have moved, and the old image may have been deleted: run pulumi up again",
            ) from None
