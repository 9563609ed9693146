"""An index followed to all that it offers: indexes below it, and images that do not name their platform. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pulumi_iofog.check.lookups import Manifests
from pulumi_iofog.oci.image import (
    INDEX_TYPES,
    IndexEntry,
    Platform,
    Reference,
    fitness,
    parse_config,
    parse_index,
    parse_manifest,
)

DEPTH = 2
"""How many indexes may follow below the first, as those of authentik and gitlab-runner do."""
MOST_UNNAMED = 16
"""Entries, at most, that are read because they name no platform."""


@dataclass(slots=True)
class Index:
    """One index.

    Attributes:
        wanted: what the images are for; the first is what one that says nothing is taken for, as engines do.
        assumed: whether there was such a one.
    """

    manifests: Manifests
    reference: Reference
    wanted: Sequence[Platform]
    assumed: bool = False
    _unnamed: int = 0

    def entries(self, raw: bytes, deeper: int = DEPTH) -> Iterator[IndexEntry]:
        """The manifests, each with its platform. An index for a platform that nobody wants is not followed.

        Raises ValueError for what cannot be read, and the errors of the registry or archive.
        """
        for entry in parse_index(raw):
            nested = entry.blob.media_type in INDEX_TYPES
            if entry.platform and not (nested and self._is_wanted(entry.platform)):
                yield entry
                continue
            self._unnamed += not nested
            if self._unnamed > MOST_UNNAMED:
                raise ValueError(f"more than {MOST_UNNAMED} entries of its index name no platform")
            below, media_type = self.manifests.fetch_manifest(self.reference, entry.blob.digest)
            if media_type not in INDEX_TYPES:
                yield from self._of_config(below, media_type, entry)
            elif deeper:
                yield from (
                    replace(each, platform=each.platform if each.platform else entry.platform)
                    for each in self.entries(below, deeper - 1)
                )
            else:
                raise ValueError(f"its indexes are nested more than {DEPTH} deep")

    def _is_wanted(self, platform: Platform) -> bool:
        return any(fitness(platform, each) is not None for each in self.wanted)

    def _of_config(self, raw: bytes, media_type: str, entry: IndexEntry) -> Iterator[IndexEntry]:
        """The entry with its config's platform; nothing if it is no image, as signatures and the like are not."""
        try:
            manifest = parse_manifest(raw, media_type)
            platform, _ = parse_config(self.manifests.small_blob(self.reference, manifest.config))
        except ValueError:
            return
        if not platform.architecture:
            self.assumed, platform = True, self.wanted[0]
        yield replace(entry, platform=platform)
