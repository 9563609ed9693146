"""What is found out about one image in an archive, layout or engine, as a record that can be kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pulumi_iofog.oci.image import Digest, parse_digest, sha256


@dataclass(frozen=True, slots=True)
class Found:
    """One image.

    Attributes:
        name: what it is called there; empty if it has no name.
        raw: its manifest or index.
        media_type: of ``raw``.
        config: a single image's config, so that nothing has to be opened for it; empty for an index.
        places: digest → name of its file, if that is not ``blobs/sha256/<hex>``.
    """

    name: str
    raw: bytes
    media_type: str
    config: bytes = b""
    places: Mapping[Digest, str] = field(default_factory=dict)

    def small(self, digest: str) -> bytes | None:
        """The manifest or config of that digest."""
        return next((data for data in (self.raw, self.config) if data and sha256(data) == digest), None)

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        texts = {"name": self.name, "media_type": self.media_type, "places": dict(self.places)}
        return {**texts, "raw": self.raw.decode(), "config": self.config.decode()}

    @classmethod
    def of(cls, record: Mapping[str, Any] | None) -> Found | None:
        """From a record; None if it is not one."""
        try:
            assert record is not None
            places = {parse_digest(digest): str(name) for digest, name in record["places"].items()}
            raw, config = str(record["raw"]).encode(), str(record["config"]).encode()
            return cls(str(record["name"]), raw, str(record["media_type"]), config, places)
        except (AssertionError, KeyError, TypeError, ValueError, AttributeError):
            return None
