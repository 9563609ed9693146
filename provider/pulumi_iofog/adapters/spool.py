"""An agent's spool: where an image's layers lie between the wire and the engine.

    ~/.cache/pulumi-iofog/spool/image-<manifest hex>/     private (0700), removed after success
    ├── parts/NAME          what has arrived of one part; gone on with after a cut
    ├── saved/<hex>/        an image that the engine has given back, with manifest.json
    ├── blobs/sha256/<hex>  proven: the registry's blob, or a layer's plain tar
    └── oci-layout …        beside them, once it is complete: an OCI image layout

Needs a POSIX shell and coreutils or busybox; for parts that are encoded anew or deltas, zstd.
"""

from __future__ import annotations

import io
import json
import shlex
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pulumi_iofog.errors import AgentError, CorruptLayer, NoSpace, Unreachable
from pulumi_iofog.image import Digest, Image
from pulumi_iofog.layout import plain_blob
from pulumi_iofog.transfer import AsIs, Copied, Delta, HeldImage, Part, Recoded

KEEP_DAYS = 7
"""Days after which what was left of an interrupted transfer is removed."""
PROVING_MAY_TAKE = 900.0
"""Seconds for hashing and decoding one layer; a Raspberry Pi with an SD card is slow."""
CORRUPT = 65
"""The exit code by which a script says that a digest was wrong (sysexits.h, EX_DATAERR)."""


class Result(Protocol):
    @property
    def ok(self) -> bool: ...
    @property
    def exit_code(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def error(self) -> str: ...


class Shell(Protocol):
    """A connection that runs scripts on the host."""

    def run(self, script: str, *, stdin: bytes = b"", timeout: float = 60.0) -> Result: ...
    def send(
        self, script: str, chunks: Iterable[bytes], on_bytes: Callable[[int], None], *, timeout: float = 600.0
    ) -> Result: ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What the host has to work with: the zstd command, and available memory in bytes."""

    zstd: bool
    memory: int


class Spool:
    """The spool of one agent, over its connection. Methods raise AgentError, and NoSpace on a full disk."""

    def __init__(self, shell: Shell, agent: str) -> None:
        self._shell, self._agent = shell, agent
        self.root, self.tools = self._prepare()

    def folder(self, image: Image) -> str:
        """The image's folder, an absolute path on the host. Its name is one that podman takes as a
        repository's, which 64 hex digits alone are not."""
        return f"{self.root}/image-{image.manifest.manifest_digest[7:]}"

    def make(self, image: Image) -> None:
        """Make the image's folder, as the user's: what root puts into it later the user can then remove."""
        self._run("making a spool", self._enter(image))

    def arrived(self, image: Image) -> Mapping[str, int]:
        """Bytes that are there of each part, by its name."""
        script = f"{self._enter(image)} && cd parts && wc -c * 2>/dev/null; true"
        lines = (line.split() for line in self._run("looking into the spool", script).splitlines())
        return {words[1]: int(words[0]) for words in lines if len(words) == 2 and words[1] != "total"}

    def receive(
        self, image: Image, part: Part, stream: Callable[[int], Iterable[bytes]], on_bytes: Callable[[int], None]
    ) -> None:
        """Bring a part's bytes onto the host, from where the last try stopped; not proven yet."""
        have = self._have(image, part)
        if have is None:
            return
        script = f"{self._enter(image)} && cat >> parts/{part.name}"
        result = self._shell.send(script, stream(have), on_bytes)
        if not result.ok:
            raise self._failed(f"sending {part.layer.blob.digest}", result)

    def settle(self, image: Image, part: Part, saved: Mapping[Digest, str]) -> int:
        """Make the layer of what has arrived and prove it by its digest; its size in bytes.

        Args:
            saved: where in the folder layers lie that the engine has given back, by diff id.

        Raises:
            CorruptLayer: it is not what it should be; what has arrived of it is removed.
        """
        blob = _settled(part)
        script = f"{self._enter(image)} && {{ {_prove(part, blob, saved)}; }} && wc -c < blobs/sha256/{blob[7:]}"
        result = self._shell.run(script, timeout=PROVING_MAY_TAKE)
        if not result.ok:
            raise self._failed(f"proving layer {part.layer.diff_id}", result)
        return int(result.text.split()[-1])

    def write(self, image: Image, files: Mapping[str, bytes]) -> None:
        """Put small files into the image's folder."""
        # As an archive, in one round trip.
        result = self._shell.send(f"{self._enter(image)} && tar -xf -", [_archive(files)], lambda count: None)
        if not result.ok:
            raise self._failed("writing an image layout", result)

    def saved(self, image: Image, source: HeldImage) -> dict[Digest, str]:
        """Where in the folder the layers of a given-back image lie, by diff id (docker-archive's manifest.json)."""
        folder = saved_folder(source)
        text = self._run(
            "reading what the engine gave back", f"cat {shlex.quote(self.folder(image))}/{folder}/manifest.json"
        )
        try:
            layers: Sequence[str] = json.loads(text)[0]["Layers"]
        except (ValueError, LookupError, TypeError):
            raise CorruptLayer(
                self._agent, "reading what the engine gave back", "its manifest cannot be read"
            ) from None
        return {diff_id: f"{folder}/{path}" for diff_id, path in zip(source.diff_ids, layers, strict=False)}

    def clean(self, image: Image) -> None:
        """Remove the image's folder, and what others have left there for a week."""
        root = shlex.quote(self.root)
        script = (
            f"rm -rf {shlex.quote(self.folder(image))};"
            f" find {root} -mindepth 1 -maxdepth 1 -mtime +{KEEP_DAYS} -exec rm -rf {{}} +"
        )
        self._run("cleaning the spool", script)

    def _prepare(self) -> tuple[str, Tools]:
        script = (
            'umask 077; cache="${XDG_CACHE_HOME:-$HOME/.cache}"; mkdir -p "$cache/pulumi-iofog/spool"'
            ' && cd "$cache/pulumi-iofog/spool" && chmod 700 . && pwd'
            " && { command -v zstd >/dev/null && echo yes || echo no; }"
            " && { grep MemAvailable /proc/meminfo || echo MemAvailable: 0; }"
        )
        root, zstd, memory = self._run("making a spool", script).strip().splitlines()
        return root, Tools(zstd == "yes", int(memory.split()[1]) * 1024)

    def _have(self, image: Image, part: Part) -> int | None:
        """Bytes that are there already; None where the layer is settled or all of its blob is."""
        blob = _settled(part)[7:]
        script = (
            f"{self._enter(image)}; if [ -f blobs/sha256/{blob} ]; then echo settled;"
            f" else wc -c < parts/{part.name} 2>/dev/null || echo 0; fi"
        )
        said = self._run("looking into the spool", script).split()[-1]
        if said == "settled":
            return None
        if isinstance(part.way, AsIs):
            if int(said) == part.layer.blob.size:
                return None
            if int(said) > part.layer.blob.size:
                self._run("cleaning the spool", f"{self._enter(image)}; rm -f parts/{part.name}")
                return 0
        return int(said)

    def _enter(self, image: Image) -> str:
        folder = shlex.quote(self.folder(image))
        return f"umask 077; mkdir -p {folder}/parts {folder}/blobs/sha256 && cd {folder}"

    def _run(self, doing: str, script: str) -> str:
        result = self._shell.run(script)
        if not result.ok:
            raise self._failed(doing, result)
        return result.text

    def _failed(self, doing: str, result: Result) -> AgentError:
        if "no space left" in result.error.lower():
            return NoSpace(self._agent, doing, "no space left on device", f"Free space under {self.root}")
        if result.exit_code == CORRUPT:
            return CorruptLayer(self._agent, doing, "what arrived has another sha256", "Check the disk")
        if result.exit_code < 0:
            return Unreachable(self._agent, doing, result.error, "Run pulumi up again: it goes on where it stopped")
        return AgentError(self._agent, doing, result.error)


def _archive(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o600
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def saved_folder(source: HeldImage) -> str:
    """Where in an image's folder the engine gives a held image back."""
    return f"saved/{source.id.rpartition(':')[2][:24]}"


def _settled(part: Part) -> Digest:
    """What the layer is called once it is proven: as the registry's blob, or as the plain tar."""
    return part.layer.blob.digest if isinstance(part.way, AsIs) else plain_blob(part.layer).digest


def _prove(part: Part, blob: Digest, saved: Mapping[Digest, str]) -> str:
    """A script that makes blobs/sha256/HEX of what has arrived, or ends with CORRUPT."""
    arrived, proven = f"parts/{part.name}", f"blobs/sha256/{blob[7:]}"
    made = arrived
    match part.way:
        case AsIs():
            hash_it = f"sha256sum < {made}"
        case Copied():
            made = shlex.quote(saved.get(part.layer.diff_id, "nothing"))
            hash_it = f"sha256sum < {made}"
        case Recoded() | Delta():
            made = f"{arrived}.tar"
            base = saved.get(part.way.base, "nothing") if isinstance(part.way, Delta) else ""
            against = f" --patch-from={shlex.quote(base)}" if base else ""
            hash_it = f"zstd -dcq --long=31{against} {arrived} | tee {made} | sha256sum"
    keep = f"mv {made} {proven} && rm -f {arrived}"
    lost = f"rm -f {made} {arrived}; exit {CORRUPT}"
    return f"[ -f {proven} ] || case $({hash_it}) in {blob[7:]}*) {keep};; *) {lost};; esac"
