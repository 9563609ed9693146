"""A blob, and where tests of the local cache download it from."""

from __future__ import annotations

from collections.abc import Generator

from pulumi_iofog.adapters.cache.store import Store
from pulumi_iofog.errors import RegistryError
from pulumi_iofog.oci.image import Descriptor, sha256

DATA = bytes(range(256)) * 4000
BLOB = Descriptor(sha256(DATA), len(DATA), "")


class Source:
    """Hands out some bytes, and remembers from where.

    Args:
        break_at: where the first download breaks.
    """

    def __init__(self, data: bytes = DATA, *, break_at: int | None = None) -> None:
        self.data, self.break_at, self.offsets = data, break_at, list[int]()

    def __call__(self, offset: int) -> Generator[bytes, None, None]:
        self.offsets.append(offset)
        end, self.break_at = self.break_at, None
        yield from (self.data[i : i + 10_000] for i in range(offset, end or len(self.data), 10_000))
        if end:
            raise RegistryError("registry.example", "pulling", "the connection was lost")


def files(store: Store) -> list[str]:
    """Every file of a store, from its root."""
    return sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file())
