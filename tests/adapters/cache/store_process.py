"""A process that uses a store, for tests of what several do at once: ``python -m … VERB ROOT …``."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from pathlib import Path
from types import ModuleType

if __name__ == "__main__":
    # The package's own __init__ imports Pulumi, a second that none of these processes needs.
    bare = ModuleType("pulumi_iofog")
    bare.__path__ = [str(Path(__file__).parents[3] / "provider" / "pulumi_iofog")]
    sys.modules["pulumi_iofog"] = bare

from pulumi_iofog.adapters.cache.store import Store
from pulumi_iofog.oci.image import Descriptor, sha256

PIECE = 50_000
PIECES = 8
DATA = b"".join(bytes([number]) * PIECE for number in range(PIECES))
BLOB = Descriptor(sha256(DATA), len(DATA), "")


def fetch(root: Path, notes: Path) -> None:
    """Fetch the blob, note each byte that was downloaded, and check it."""

    def download(offset: int) -> Generator[bytes, None, None]:
        for begin in range(offset, len(DATA), PIECE):
            with notes.open("a") as file:
                file.write(f"{begin}\n")
            time.sleep(0.005)  # so that others come upon a download that is under way
            yield DATA[begin : begin + PIECE]

    store = Store(root)
    assert store.fetch(BLOB, download).read_bytes() == DATA


def fetch_and_stall(root: Path) -> None:
    """Download two pieces, say so, and wait to be killed."""

    def download(offset: int) -> Generator[bytes, None, None]:
        yield DATA[:PIECE]
        yield DATA[PIECE : 2 * PIECE]
        yield DATA[2 * PIECE : 2 * PIECE + 1]
        say("stalled")
        sys.stdin.read()

    Store(root).fetch(BLOB, download)


def fetch_and_wait(root: Path) -> None:
    """Fetch the blob, say so, and when told to go on, print whether it is there."""
    store = Store(root)
    path = store.fetch(BLOB, lambda offset: (part for part in [DATA[offset:]]))
    say("fetched")
    sys.stdin.readline()
    say(str(path.read_bytes() == DATA))


def trim_for_ever(root: Path) -> None:
    """Trim to nothing, again and again."""
    store = Store(root)
    say("trimming")
    while True:
        store.trim(0)


def temporary() -> None:
    """Keep a blob in a temporary store, say where, and wait to be killed."""
    with Store.temporary() as store:
        store.put(DATA)
        say(str(store.root))
        sys.stdin.read()


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    if verb == "fetch":
        fetch(Path(rest[0]), Path(rest[1]))
    elif verb == "temporary":
        temporary()
    else:
        {"fetch_and_stall": fetch_and_stall, "fetch_and_wait": fetch_and_wait, "trim_for_ever": trim_for_ever}[verb](
            Path(rest[0])
        )
