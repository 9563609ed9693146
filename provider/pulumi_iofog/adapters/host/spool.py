"""An agent's spool: where an image's layers lie between the wire and the engine.

    ~/.cache/pulumi-iofog/spool/<host>/image-<manifest hex>/     private (0700), removed after success; see place.py
    ├── parts/NAME          what has arrived of one part; gone on with after a cut
    ├── parts/NAME.sha256    what it was proven to be; it lies below blobs/ then
    ├── saved/<hex>/        layers of an image that the engine has given back
    ├── blobs/sha256/<hex>  proven: the registry's blob, a layer as zstd, or its plain tar
    └── oci-layout …        beside them, once it is complete: an OCI image layout
    ~/.cache/pulumi-iofog/spool/<host>/gzip-tokens-<sha256>     a program (adapters/gzip_tokens), where a delta needs it

Needs a POSIX shell and coreutils or busybox; for deltas, zstd.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from typing_extensions import assert_never

from pulumi_iofog import text
from pulumi_iofog.adapters.gzip_tokens.program import Program
from pulumi_iofog.adapters.host.hashing import PROVING_MAY_TAKE
from pulumi_iofog.adapters.host.place import PRIVATE, REFUSED, finding, nowhere, parse_found
from pulumi_iofog.adapters.host.shell import Result, Shell, says
from pulumi_iofog.errors import AgentError, CorruptLayer, NoSpace, Unreachable
from pulumi_iofog.oci.image import Digest, Image, parse_digest
from pulumi_iofog.transfer.encodings import AsIs, Copied, Delta, Part, Recoded, TokenDelta
from pulumi_iofog.transfer.inventory import HeldImage
from pulumi_iofog.transfer.load_folder import archive

KEEP_DAYS = 7
"""Days after which what was left of an interrupted transfer is removed."""
CORRUPT = 65
"""The exit code by which a script says that a digest was wrong (sysexits.h, EX_DATAERR)."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """What lies in an image's folder, by the parts' names: bytes of each, and what those that are proven are."""

    sizes: Mapping[str, int]
    proven: Mapping[str, Digest]

    def whole(self, part: Part) -> bool:
        """Whether nothing more of a part need travel: it is proven, or as long as its blob is."""
        if part.name in self.proven:
            return part.expected in (None, self.proven[part.name])
        return isinstance(part.encoding, AsIs) and self.sizes.get(part.name) == part.layer.blob.size


class Spool:
    """The spool of one agent, over its connection. Methods raise AgentError, and NoSpace on a full disk.

    Args:
        host_key: the host's, by which its spool is told from others in a home that several hosts share.
        wanted: the folder on the host that is to have it; without, the first that takes it.
    """

    def __init__(self, shell: Shell, agent: str, host_key: bytes = b"", wanted: str | None = None) -> None:
        self._shell, self._agent = shell, agent
        result = shell.run(finding(host_key, wanted))
        if result.exit_code == REFUSED:
            raise nowhere(agent, wanted, result)
        if not result.ok:
            raise self._failed("making a spool", result)
        try:
            self.root, self.has = parse_found(result.text)
        except (ValueError, IndexError):
            raise self._unreadable("making a spool", result) from None
        self._program = "nothing"

    def folder(self, image: Image) -> str:
        """The image's folder, an absolute path on the host. Its name is one that podman takes as a
        repository's, which 64 hex digits alone are not."""
        return f"{self.root}/image-{image.manifest.manifest_digest.hex}"

    def make(self, image: Image) -> None:
        """Make the image's folder, as the user's: what root puts into it later the user can then remove."""
        self._run("making a spool", self._enter(image))

    def arrived(self, image: Image) -> Arrived:
        """What is there of the image's parts. Raises AgentError where that cannot be found out: nobody may take that
        for a spool in which nothing is."""
        result = self._shell.run(f"{self._enter(image)} && {_LOOK}")
        if not result.ok:
            raise self._failed("looking into the spool", result)
        try:
            return parse_arrived(result.text)
        except (ValueError, IndexError):
            raise self._unreadable("looking into the spool", result) from None

    def receive(
        self, image: Image, part: Part, chunks: Iterable[bytes], on_bytes: Callable[[int], None], offset: int = 0
    ) -> None:
        """Bring a part's bytes from an offset on onto the host; not proven yet.

        They are written at that offset, whatever has been put behind it: who else writes to the part then writes the
        same bytes to the same places.
        """
        file = f"parts/{part.name}"
        # Not by appending. dd moves the offset of a file that both have open, and cuts at its offset the file that it
        # opens itself (POSIX, dd, seek=).
        script = (
            f": >> {file} && [ $(wc -c < {file}) -ge {offset} ] || exit {CORRUPT};"
            f" dd of={file} bs=1 seek={offset} count=0 2>/dev/null && exec 3<> {file}"
            f" && dd bs=1 skip={offset} count=0 <&3 2>/dev/null && cat >&3"
        )
        result = self._shell.send(f"{self._enter(image)} && {{ {script}; }}", chunks, on_bytes)
        if not result.ok:
            raise self._failed(f"sending {part.layer.blob.digest}", result)

    def install(self, program: Program) -> None:
        """Bring gzip-tokens onto the host, unless it is there, and see that it runs. Raises CorruptLayer if it does
        not: then nothing can be made of tokens there."""
        name, doing = f"gzip-tokens-{program.digest.hex}", "trying gzip-tokens"
        enter = f"umask 077; cd {shlex.quote(self.root)}"
        # What has been proven before is proven again: it is to be run.
        same = f"case $({self.has.hash} < {name}) in {program.digest.hex}*) true;; *) false;; esac"
        if not self._shell.run(f"{enter} && [ -f {name} ] && touch {name} && {same}").ok:
            bring = f"{enter} && cat > {name}.part && chmod 700 {name}.part && mv {name}.part {name} && {same}"
            result = self._shell.send(bring, [program.content])
            if not result.ok:
                raise self._failed("bringing gzip-tokens", result)
        result = self._shell.run(f"{enter} && ./{name} parse < /dev/null | ./{name} encode")
        if not result.ok:
            raise CorruptLayer(self._agent, doing, result.error, "Set iofog:hostProgram to never")
        self._program = name

    def prove(self, image: Image, part: Part, expected: Digest, saved: Mapping[Digest, str]) -> int:
        """Make the layer of what has arrived and prove it by its digest; its size in bytes.

        Args:
            expected: what it must be: the digest of what travelled, or of the plain tar.
            saved: where layers lie that the engine has given back, by diff id.

        Raises:
            CorruptLayer: it is not what it should be; what has arrived of it is removed.
        """
        script = f"{self._enter(image)} && {{ {self._prove(part, expected, saved)}; }} && wc -c < {_blob(expected)}"
        result = self._shell.run(script, timeout=PROVING_MAY_TAKE)
        if not result.ok:
            raise self._failed(f"proving layer {part.layer.diff_id}", result)
        try:
            return int(result.text.split()[-1])
        except (ValueError, IndexError):
            raise self._unreadable(f"proving layer {part.layer.diff_id}", result) from None

    def discard(self, image: Image, proven: Iterable[Digest]) -> None:
        """Remove what has been proven, once it is needed no more."""
        self._run("clearing the spool", f"{self._enter(image)} && rm -f {' '.join(map(_blob, proven))}")

    def write(self, image: Image, files: Mapping[str, bytes]) -> None:
        """Put small files into the image's folder."""
        # As an archive, in one round trip.
        result = self._shell.send(f"{self._enter(image)} && tar -xf -", [archive(files)])
        if not result.ok:
            raise self._failed("writing an image layout", result)

    def clear(self, image: Image) -> None:
        """Remove the image's folder, and what others have left there for a week, also in a home that is shared."""
        root = shlex.quote(self.root)
        script = (
            f"rm -rf {shlex.quote(self.folder(image))};"
            f" find {root}/.. -mindepth 1 -maxdepth 2 \\( -name 'image-*' -o -name 'gzip-tokens-*' \\)"
            f" -mtime +{KEEP_DAYS} -exec rm -rf {{}} +;"
            f" code=$?; rmdir {root} 2>/dev/null; exit $code"
        )
        self._run("clearing the spool", script)

    def _enter(self, image: Image) -> str:
        folder, root = shlex.quote(self.folder(image)), shlex.quote(self.root)
        return (
            f"{PRIVATE}{{ private {root} && private {folder}; }} || exit {REFUSED}\n"
            f"mkdir -p {folder}/parts {folder}/blobs/sha256 && cd {folder}"
        )

    def _run(self, doing: str, script: str) -> str:
        result = self._shell.run(script)
        if not result.ok:
            raise self._failed(doing, result)
        return result.text

    def _prove(self, part: Part, expected: Digest, saved: Mapping[Digest, str]) -> str:
        """A script that makes blobs/sha256/HEX of what has arrived, or ends with CORRUPT."""
        file, proven, hash_ = f"parts/{part.name}", _blob(expected), self.has.hash
        match part.encoding:
            case AsIs() | Recoded():
                made, hashed = file, f"{hash_} < {file}"
            case Copied():
                made = shlex.quote(saved.get(part.layer.diff_id, "nothing"))
                hashed = f"{hash_} < {made}"
            case Delta(base):
                made, old = f"{file}.tar", shlex.quote(saved.get(base, "nothing"))
                hashed = f"zstd -dcq --long=31 --patch-from={old} < {file} | tee {made} | {hash_}"
            case TokenDelta(base):
                made, old, tokens = f"{file}.gz", shlex.quote(saved.get(base, "nothing")), f"{file}.base"
                program = shlex.quote(f"{self.root}/{self._program}")
                hashed = (
                    f"{program} parse < {old} > {tokens} && zstd -dcq --long=31 --patch-from={tokens} < {file}"
                    f" | {program} encode | tee {made} | {hash_}; rm -f {tokens}"
                )
            case other:
                assert_never(other)
        keep = f"mv {made} {proven} && echo {expected.hex} > {file}.sha256 && rm -f {file}"
        lost = f"rm -f {made} {file} {file}.*; exit {CORRUPT}"
        return f"[ -f {proven} ] || case $({hashed}) in {expected.hex}*) {keep};; *) {lost};; esac"

    def _failed(self, doing: str, result: Result) -> AgentError:
        if says(result, "no space left"):
            return NoSpace(self._agent, doing, "no space left on device", f"Free space under {self.root}")
        if result.exit_code == CORRUPT:
            return CorruptLayer(self._agent, doing, "what arrived has another sha256", "Check the disk")
        if result.exit_code == REFUSED:
            hint = "Look who has put it there, and remove it, or name another folder with spool="
            return AgentError(self._agent, doing, result.error, hint)
        if result.exit_code < 0:
            return Unreachable(self._agent, doing, result.error, "Run pulumi up again: it goes on where it stopped")
        return AgentError(self._agent, doing, result.error)

    def _unreadable(self, doing: str, result: Result) -> AgentError:
        return AgentError(self._agent, doing, f"the host's answer cannot be read: {text.excerpt(result.text, 160)}")


_LOOK = """blobs=$(ls blobs/sha256) && cd parts && parts=$(ls) || exit
for each in $blobs; do echo "blob $each"; done
for each in $parts; do
    case $each in
        *.sha256) proven=$(cat "$each") || exit; echo "proven ${each%.sha256} $proven";;
        *) size=$(wc -c < "$each") || exit; echo "part $each" $size;;
    esac
done
echo end"""
"""Says what is in an image's folder; parse_arrived reads it."""


def saved_folder(source: HeldImage) -> str:
    """Where in an image's folder the engine gives a held image back."""
    return f"saved/{source.id.rpartition(':')[2][:24]}"


def _blob(digest: Digest) -> str:
    return f"blobs/sha256/{digest.hex}"


def parse_arrived(answer: str) -> Arrived:
    """The answer of _LOOK. ValueError if it is none."""
    rows = [line.split(" ") for line in answer.splitlines()]
    if rows[-1:] != [["end"]]:
        raise ValueError("it is not whole")
    blobs: set[str] = set()
    sizes: dict[str, int] = {}
    proven: dict[str, Digest] = {}
    for row in rows[:-1]:
        match row:
            case ["blob", hex_]:
                blobs.add(hex_)
            case ["part", name, size] if size.isdecimal():
                sizes[name] = int(size)
            # What was written when the disk was full is not whole.
            case ["proven", name, hex_]:
                if hex_ in blobs:
                    proven[name] = parse_digest(f"sha256:{hex_}")
            case _:
                raise ValueError(f"what does {row} mean?")
    return Arrived(sizes, proven)
