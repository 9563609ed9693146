"""The blobs in a containerd's folder: which are there, and whether their bytes are right, at which containerd itself
does not look again.

It hashes a blob when it takes it in. One that has rotted since stays, whatever is loaded, as a file of that name is
there (v2.4, plugins/content/local/writer.go, Commit: os.Stat of the target). So a damaged file is removed just before
a load that carries the right one. That is sound: a file whose bytes are not those of its name is of no use to anybody;
its digest, size and references are in containerd's database (core/metadata/content.go), and are true again after the
load; and a load that is lost on the way leaves a blob that is missing in place of one that is wrong.
"""

from __future__ import annotations

import base64
import io
import shlex
import tarfile
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence

from pulumi_iofog import log, text
from pulumi_iofog.adapters.host.engines import answers
from pulumi_iofog.adapters.host.engines.containerd_store import CONTENT
from pulumi_iofog.adapters.host.hashing import PROVING_MAY_TAKE, SOUND
from pulumi_iofog.adapters.host.shell import Result
from pulumi_iofog.adapters.host.sudo import Runner
from pulumi_iofog.errors import CorruptLayer, EngineError, MissingLayers
from pulumi_iofog.oci.image import Digest, Image, sha256

CHECK_DISK = "Check the agent's disk"
UNREADABLE = (*answers.UNREADABLE, tarfile.TarError, EOFError, OSError, zlib.error)
"""What is raised where an answer is cut or garbled."""
REMOVED = "removed as damaged: sha256:"
UNPACKED_AT_MOST = 64 << 20
"""Bytes of a line that ``pack`` of LISTING has made."""
SMALL_BLOCKS = 1024
"""Of 512 bytes: a manifest or config is smaller."""
LISTING = rf"""pack() {{ if command -v gzip >/dev/null; then gzip -c; else cat; fi | base64 | tr -d '\n'; echo; }}
ls -ln {CONTENT} | pack
(cd {CONTENT} && set -- $(find . -type f -size -{SMALL_BLOCKS} -exec \
grep -l -e '"layers"' -e '"rootfs"' -e '"manifests"' {{}} +) && [ $# = 0 ] || tar -cf - "$@") | pack"""
"""Writes two lines: the blobs and their sizes; and the small ones, as a tar. The working folder is the root."""


def parse_listing(listed: str, small: str) -> tuple[dict[Digest, int], dict[Digest, bytes]]:
    """The two lines of LISTING: each blob's size in bytes, and the content of the small ones, those that are what their
    names say. UNREADABLE if that cannot be read."""
    # ``ls -ln`` (POSIX): the fifth column is the size.
    rows = (line.split() for line in unpacked(listed).decode().splitlines())
    sizes = {Digest(f"sha256:{row[-1]}"): int(row[4]) for row in rows if len(row) >= 9 and row[0].startswith("-")}
    contents: dict[Digest, bytes] = {}
    packed = unpacked(small)
    with tarfile.open(fileobj=io.BytesIO(packed or bytes(2 * tarfile.BLOCKSIZE))) as tar:
        for entry in tar:
            file = tar.extractfile(entry)
            data = file.read() if file else b""
            if sha256(data).hex == entry.name.rpartition("/")[2]:
                contents[sha256(data)] = data
    return sizes, contents


def given(image: Image, carried: Collection[Digest]) -> list[Digest]:
    """The blobs that a load of the image takes in; ``carried``: diff ids of the layers that are not left out."""
    layers = (layer.blob.digest for layer in image.layers if layer.diff_id in carried)
    return list(dict.fromkeys([image.manifest.manifest_digest, image.image_id, *layers]))


def are_damaged(blobs: Sequence[Digest]) -> str:
    """``sha256:… is missing or damaged on its disk``."""
    return f"{text.listing(blobs)} {'is' if len(blobs) == 1 else 'are'} missing or damaged on its disk"


def unpacked(packed: str) -> bytes:
    """What ``pack`` of LISTING has made a line of."""
    data = base64.b64decode(packed)
    if not data.startswith(b"\x1f\x8b"):
        return data
    unpacking = zlib.decompressobj(wbits=31)  # of gzip (zlib.h, inflateInit2)
    plain = unpacking.decompress(data, UNPACKED_AT_MOST)
    if not unpacking.eof:
        raise ValueError("it is cut off, or larger than it may be")
    return plain


class Blobs:
    """What is known of the blobs' bytes during one visit; each is hashed once at most.

    Args:
        shell: may read containerd's ``root``.
    """

    def __init__(self, shell: Runner, agent: str, root: str) -> None:
        self._shell, self._agent, self.root = shell, agent, root
        self._content = shlex.quote(f"{root}/{CONTENT}")
        self._proven: set[Digest] = set()
        self.damaged: set[Digest] = set()
        """Those that were found to be missing, unreadable or wrong."""
        self.removed: set[Digest] = set()
        """Those that were wrong, and removed before a load."""

    def prove(self, blobs: Iterable[Digest]) -> list[Digest]:
        """Those of the blobs that are damaged. Raises EngineError if they cannot be hashed."""
        asked = list(dict.fromkeys(blobs))
        unknown = [each for each in asked if each not in self._proven]
        if unknown:
            with log.timed("prove held", blobs=len(unknown)) as line:
                damaged = self._hash(unknown)
                line["damaged"] = damaged
            self.damaged.update(damaged)
            self._proven.update(each for each in unknown if each not in damaged)
        return [each for each in asked if each in self.damaged]

    def _hash(self, blobs: Iterable[Digest]) -> list[Digest]:
        names = " ".join(each.hex for each in blobs)
        script = f'{SOUND}cd {self._content} || exit; for each in {names}; do sound "$each" || echo "$each"; done'
        result = self._shell.run(script, timeout=PROVING_MAY_TAKE)
        if not result.ok:
            raise EngineError(self._agent, "proving the layers that are there", result.error)
        return [Digest(f"sha256:{line}") for line in result.text.split()]

    def copy(self, layers: Mapping[Digest, Digest], folder: str, of: str) -> Mapping[Digest, str]:
        """Copy blobs into a folder of the spool: diff id → blob gives diff id → path. Raises CorruptLayer."""
        out, files = shlex.quote(folder), " ".join(blob.hex for blob in layers.values())
        # What root writes must belong to the user, who removes it.
        give = f'code=$?; chown -R "$(stat -c %u {out}/../..)" {out}/..; exit $code'
        copied = f"mkdir -p {out} && cd {self._content} && cp {files} {out}; {give}"
        result = self._shell.run(copied, timeout=PROVING_MAY_TAKE)
        if not result.ok:
            raise CorruptLayer(self._agent, f"taking layers out of {of}", result.error)
        return {diff_id: f"{folder}/{blob.hex}" for diff_id, blob in layers.items()}

    def remove_damaged(self, blobs: Iterable[Digest]) -> str:
        """A script that removes those of the files that are there and damaged; for just before these are loaded."""
        names = " ".join(each.hex for each in blobs)
        failed = '{ echo "$file is damaged and cannot be removed: $why" >&2; exit 1; }'
        remove = f'why=$(rm -f "$file" 2>&1) || {failed}; echo "{REMOVED}$each" >&2'
        check = f'[ ! -e "$file" ] || sound "$file" || {{ {remove}; }}'
        return f"{SOUND}for each in {names}; do file={self._content}/$each; {check}; done\n"

    def require(self, blobs: Iterable[Digest]) -> None:
        """Raise MissingLayers if some of the blobs are damaged."""
        damaged = self.prove(blobs)
        if damaged:
            raise MissingLayers(self._agent, "proving layers that are there", are_damaged(damaged), CHECK_DISK)

    def note_removed(self, result: Result) -> None:
        """Note what the script of ``remove_damaged`` has removed."""
        lines = result.stderr.decode(errors="replace").splitlines()
        self.removed.update(
            Digest(f"sha256:{line.removeprefix(REMOVED)}") for line in lines if line.startswith(REMOVED)
        )

    def loaded(self, blobs: Iterable[Digest]) -> None:
        """Note that these were loaded: containerd has hashed them, or ``remove_damaged`` has."""
        known = set(blobs)
        self.damaged -= known
        self._proven |= known
