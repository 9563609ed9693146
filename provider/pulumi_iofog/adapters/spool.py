"""An agent's spool: where an image's blobs lie between the wire and the engine.

One private folder an image, ``~/.cache/pulumi-iofog/spool/image-<manifest hex>``, which is an OCI image layout
once it is complete. A blob that was sent in part stays as ``<hex>.part`` and is gone on with. Needs a
POSIX shell, coreutils or busybox, and nothing else.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from pulumi_iofog.errors import AgentError, NoSpace, Unreachable
from pulumi_iofog.image import Blob, Digest, Image
from pulumi_iofog.layout import blob_path

CHUNK = 1 << 20
"""Bytes read and sent at once."""
KEEP_DAYS = 7
"""Days after which what was left of an interrupted transfer is removed."""


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


class Spool:
    """The spool of one agent, over its connection. Methods raise AgentError, and NoSpace on a full disk."""

    def __init__(self, shell: Shell, agent: str) -> None:
        self._shell, self._agent = shell, agent
        self.root = self._prepare()

    def folder(self, image: Image) -> str:
        """The image's folder, an absolute path on the host. Its name is one that podman takes as a
        repository's, which 64 hex digits alone are not."""
        return f"{self.root}/image-{image.manifest.manifest_digest[7:]}"

    def sizes(self, image: Image) -> Mapping[Digest, int]:
        """Bytes that are there already, whole or in part, by blob digest."""
        script = f"cd {shlex.quote(self.folder(image))}/blobs/sha256 2>/dev/null && wc -c * 2>/dev/null; true"
        found: dict[Digest, int] = {}
        for line in self._run("looking into the spool", script).splitlines():
            count, _, name = line.strip().partition(" ")
            if len(name.removesuffix(".part")) == 64:
                found[Digest(f"sha256:{name.removesuffix('.part')}")] = int(count)
        return found

    def receive(self, image: Image, blob: Blob, path: Path, on_bytes: Callable[[int], None]) -> None:
        """Bring a blob onto the host, from where the last try stopped; its sha256 is proven there."""
        for last in (False, True):
            have = self._have(image, blob)
            if have == blob.size and self._finish(image, blob):
                return
            with path.open("rb") as file:
                file.seek(have)
                result = self._shell.send(self._append(image, blob), _chunks(file.read), on_bytes)
            if result.ok:
                return
            if result.exit_code != CORRUPT or last:
                raise self._failed(f"sending {blob.digest}", result)

    def write(self, image: Image, files: Mapping[str, bytes]) -> None:
        """Put small files into the image's folder."""
        folder = shlex.quote(self.folder(image))
        for name, data in files.items():
            script = f"umask 077; mkdir -p {folder}/blobs/sha256 && cat > {folder}/{name}"
            result = self._shell.send(script, [data], lambda count: None)
            if not result.ok:
                raise self._failed(f"writing {name}", result)

    def clean(self, image: Image) -> None:
        """Remove the image's folder, and what others have left there for a week."""
        root = shlex.quote(self.root)
        script = (
            f"rm -rf {shlex.quote(self.folder(image))};"
            f" find {root} -mindepth 1 -maxdepth 1 -mtime +{KEEP_DAYS} -exec rm -rf {{}} +"
        )
        self._run("cleaning the spool", script)

    def _prepare(self) -> str:
        script = (
            'umask 077; cd "${XDG_CACHE_HOME:-$HOME/.cache}" 2>/dev/null'
            ' || { mkdir -p "${XDG_CACHE_HOME:-$HOME/.cache}" && cd "${XDG_CACHE_HOME:-$HOME/.cache}"; }'
            " && mkdir -p pulumi-iofog/spool && cd pulumi-iofog/spool && pwd"
        )
        return self._run("making a spool", script).strip()

    def _have(self, image: Image, blob: Blob) -> int:
        part = shlex.quote(f"{self.folder(image)}/{blob_path(blob.digest)}")
        script = f"wc -c < {part} 2>/dev/null || wc -c < {part}.part 2>/dev/null || echo 0"
        have = int(self._run("looking into the spool", script).split()[0])
        return have if have <= blob.size else 0

    def _finish(self, image: Image, blob: Blob) -> bool:
        """Prove a blob that is there in full already; a wrong one is removed."""
        return self._shell.run(self._prove(image, blob), timeout=600.0).ok

    def _append(self, image: Image, blob: Blob) -> str:
        return f"{self._enter(image)} && cat >> {blob.digest[7:]}.part && {{ {self._prove(image, blob)}; }}"

    def _prove(self, image: Image, blob: Blob) -> str:
        hex_ = blob.digest[7:]
        return (
            f"{self._enter(image)}; [ -f {hex_} ] && exit 0;"
            f" case $(sha256sum {hex_}.part) in {hex_}*) mv {hex_}.part {hex_};;"
            f" *) rm -f {hex_}.part; exit {CORRUPT};; esac"
        )

    def _enter(self, image: Image) -> str:
        folder = shlex.quote(f"{self.folder(image)}/blobs/sha256")
        return f"umask 077; mkdir -p {folder} && cd {folder}"

    def _run(self, doing: str, script: str) -> str:
        result = self._shell.run(script)
        if not result.ok:
            raise self._failed(doing, result)
        return result.text

    def _failed(self, doing: str, result: Result) -> AgentError:
        if "no space left" in result.error.lower():
            return NoSpace(self._agent, doing, "no space left on device", f"Free space under {self.root}")
        if result.exit_code == CORRUPT:
            return AgentError(self._agent, doing, "what arrived has another sha256, twice", "Check the disk")
        if result.exit_code < 0:
            return Unreachable(self._agent, doing, result.error, "Run pulumi up again: it goes on where it stopped")
        return AgentError(self._agent, doing, result.error)


CORRUPT = 65
"""The exit code by which a script says that a digest was wrong (sysexits.h, EX_DATAERR)."""


def _chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    return iter(lambda: read(CHUNK), b"")
