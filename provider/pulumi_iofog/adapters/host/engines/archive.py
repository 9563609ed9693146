"""Shell commands that write a layer into the archive that Docker loads; their working folder is the image's."""

from __future__ import annotations

from pulumi_iofog.oci.image import Descriptor, Digest
from pulumi_iofog.transfer.load_folder import given_size, head_path, padding


def entry(diff_id: Digest, blob: Descriptor, content: str) -> str:
    """Commands for one layer, to be followed by more. ``content``: the command that writes what Docker is given."""
    return f"cat {head_path(diff_id)} && {content} && head -c {padding(given_size(blob))} /dev/zero && "


def unpacking(blob: Descriptor) -> str:
    """The command that makes a layer's plain tar of its blob."""
    return "gzip -dcq" if blob.media_type.endswith("gzip") else "zstd -dcq --long=31"
