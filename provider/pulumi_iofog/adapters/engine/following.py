"""A shell script that makes an archive of an image while its layers are still arriving in the folder."""

from __future__ import annotations

from collections.abc import Sequence

from pulumi_iofog.image import Layer
from pulumi_iofog.layout import COMPLETE, FOLLOW, head_path, padding


def following(coming: Sequence[Layer], files: Sequence[str]) -> str:
    """Commands that write a tar of what comes, and then of ``files``; their working folder is the image's.

    A layer's blob grows below parts/, and is whole and proven once it lies below blobs/. The archive breaks off,
    with exit code 1, once FOLLOW is removed; it also ends with the connection.
    """
    layers = "".join(
        f"cat {head_path(layer.diff_id)} && blob {layer.blob.digest[7:]}"
        f" && head -c {padding(layer.blob.size)} /dev/zero && "
        for layer in coming
    )
    return f"{_FUNCTIONS}{layers}until [ -f {COMPLETE} ]; do pause; done && tar -cf - {' '.join(files)}"


_FUNCTIONS = """times=0
pause() {
    [ -f FOLLOW ] || exit 1
    times=$((times + 1))
    # Once a second or so: whoever writes ends when nobody reads any more.
    [ $((times % 20)) != 0 ] || echo >&2
    sleep 0.05 2>/dev/null || sleep 1
}
blob() {
    until [ -f parts/$1 ] || [ -f blobs/sha256/$1 ]; do pause; done
    # Opened once: it stays the same file when it is moved, which may happen just now.
    { command exec 3<parts/$1; } 2>/dev/null || command exec 3<blobs/sha256/$1 || exit 1
    while :; do
        [ -f blobs/sha256/$1 ]; whole=$?
        cat <&3 || exit 1
        [ $whole != 0 ] || break
        pause
    done
}
""".replace("FOLLOW", FOLLOW)
