"""What a run must not have left behind, on a host and at the operator; each a line for people."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from lab.host import Host
from lab.plugin import Operator

OURS = "-name 'image-*' -o -name 'pulumi-iofog*.holder' -o -name pulumi-iofog.lock -o -name 'pulumi-iofog.*'"
"""Files of ours on a host: an image's spool, and the traces of a turn. The small program for deltas stays there."""


def on_host(host: Host, images: Collection[str]) -> list[str]:
    """Files, containers, images and processes of ours on a host that is to have just these images."""
    files = host.run(f"find /home /root /tmp /var/tmp \\( {OURS} \\) 2>/dev/null || true").split()
    processes = host.run(f"pgrep --list-full --uid {host.user} || true").splitlines()
    found = [f"file {each}" for each in files]
    found += [f"process {each}" for each in processes if "sshd:" not in each]
    found += [f"container {each}" for each in host.engine.containers(host)]
    found += [f"image {each}" for each in set(host.engine.images(host)) ^ set(images)]
    if host.cli in ("docker", "podman"):
        unnamed = host.run(f"{host.cli} image ls --quiet --filter dangling=true").split()
        found += [f"unnamed image {each}" for each in unnamed]
    return [f"{host.name}: {each}" for each in found]


def at_operator(operator: Operator, family: Collection[int] = ()) -> list[str]:
    """Temporary files, parts of downloads, wrong blobs, and processes of theirs.

    Args:
        family: the processes of plugins that are over.
    """
    cache = operator.folder / "cache/pulumi-iofog"
    found = [f"file {each}" for each in (operator.folder / "tmp").rglob("*") if each.is_file()]
    found += [f"file {each}" for each in cache.rglob("*.part")]
    found += [f"wrong blob {each}" for each in _wrong(cache / "blobs/sha256")]
    found += [f"process {pid}: {name}" for pid in family if (name := _lives(pid))]
    return [f"operator: {each}" for each in found]


def _wrong(blobs: Path) -> Iterator[Path]:
    for each in blobs.glob("*"):
        if re.fullmatch("[0-9a-f]{64}", each.name) and hashlib.sha256(each.read_bytes()).hexdigest() != each.name:
            yield each


def _lives(pid: int) -> str:
    with suppress(OSError):
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""
