"""A shell script that makes an archive of an image while its layers are still arriving in the folder."""

from __future__ import annotations

from pulumi_iofog.adapters.host.engines.archive import entry, unpacking
from pulumi_iofog.oci.image import Descriptor
from pulumi_iofog.transfer.encodings import Coming, Part
from pulumi_iofog.transfer.load_folder import blob_path
from pulumi_iofog.transfer.signals import COMPLETE, WHOLE


def arriving(coming: Coming) -> str:
    """Commands that write an archive of what comes; their working folder is the image's.

    They are told by lines on standard input how far it is (see ReadAlong), and after COMPLETE follows what is to
    stand behind the layers. With the end of standard input they break off.
    """
    layers = "".join(entry(part.layer.diff_id, blob, _arriving_one(part, blob)) for part, blob in coming)
    return f'{_FUNCTIONS}{layers}until [ "$said" = {_word(COMPLETE)} ]; do hear; done && cat'


END_ABANDONED = """
for each in image-*/following.*; do
    [ "$(readlink /proc/${each##*.}/cwd)" = "$(pwd -P)/${each%/*}" ] && kill -s TERM -- "-$(cat $each)"
    rm -f $each
done 2>/dev/null
"""
"""Commands that end, with all that they have started, those who still wait at a link that was lost: sshd may not
notice that for hours, and what Docker has read stays on its disk meanwhile. Their working folder is the spool."""


def _arriving_one(part: Part, blob: Descriptor) -> str:
    arriving = f"arriving parts/{part.name} {blob_path(blob.digest)}"
    return arriving if blob.plain_size is None else f"{arriving} | {unpacking(blob)}"


def _word(line: bytes) -> str:
    return line.decode().strip()


_FUNCTIONS = f"""
read -r me name state parent group rest < /proc/self/stat
echo $group > following.$me
said=nothing
hear() {{ read -r said || exit 1; }}
arriving() {{
    # Opened once: it stays the same file when it is moved.
    until {{ command exec 3<$1 || command exec 3<$2; }} 2>/dev/null; do hear; done
    while cat <&3 && [ "$said" != {_word(WHOLE)} ]; do hear; done
    said=nothing
}}
"""
