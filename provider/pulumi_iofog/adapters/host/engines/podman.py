"""Podman, which pulls from a folder."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath

from pulumi_iofog.adapters.host.engines.answers import MACHINE
from pulumi_iofog.adapters.host.engines.docker_like import DockerLike
from pulumi_iofog.adapters.host.shell import Result
from pulumi_iofog.errors import NoSpace
from pulumi_iofog.oci.image import Descriptor, Digest, Image

# Not podman info, which takes six times as long, unless nothing else tells the root.
ABOUT = (
    MACHINE
    + r"""
arch=$(podman version --format '{{.Client.OsArch}} {{.Client.Version}}') && echo "${arch#*/}" &&
root=$(podman image ls --quiet --log-level debug 2>&1 | sed -n 's/.*Using graph root \([^"]*\).*/\1/p' | tail -n 1)
[ -n "$root" ] || root=$(podman info --format '{{.Store.GraphRoot}}') && printf '"%s" []\n' "$root" """
)
"""Finds out whether podman answers, and what it is; parse_about reads it."""


# containers.conf(5), image_copy_tmp_dir; TMPDIR goes before it.
TEMPORARY = r'''"${TMPDIR:-$(set -- $(sed -n 's/^ *image_copy_tmp_dir *= *"\(.*\)".*/\1/p' \
/usr/share/containers/containers.conf /etc/containers/containers.conf "$HOME/.config/containers/containers.conf" \
2>/dev/null | tail -n 1); case $1 in /*) echo "$1";; *) echo /var/tmp;; esac)}"'''
"""Where podman writes what it pulls, before it takes it in."""


def of_user(socket: str) -> str:
    """For a Runner: nothing but a message, unless the login is the user whose podman listens there."""
    uid = PurePosixPath(socket).parts[3]
    other = f"it is the podman of user $(id -un {uid} 2>/dev/null || echo {uid}): log in as that user"
    return f'[ "$(id -u)" = {uid} ] || {{ echo "{other}" >&2; exit 1; }}\n'


class Podman(DockerLike):
    """See base.Engine."""

    cli = "podman"
    temporary = TEMPORARY
    save = "podman save --quiet --format docker-archive"
    # It makes a container without looking at them; it then starts none.
    folders = " {{.GraphDriver.Data.LowerDir}}"

    def _load_script(self, image: Image, folder: str, carried: Mapping[Digest, Descriptor]) -> str:
        # podman names what it pulls by the folder as it is given, so that must be a valid name: the last
        # part of the path. That name goes, the image's own stays.
        id_, name = image.image_id.hex, PurePosixPath(folder).name
        return (
            f"cd {shlex.quote(folder)}/.. && podman pull --quiet oci:{name}"
            f" && podman tag {id_} {shlex.quote(image.reference.full_name)}"
            f" && {{ podman untag {id_} localhost/{name}:latest 2>/dev/null || true; }}"
        )

    def _full(self, doing: str, result: Result) -> NoSpace:
        found = re.search(r"(/(?:\w+/)*tmp)/\S*: no space left", result.text + result.stderr.decode(errors="replace"))
        if found is None:
            return super()._full(doing, result)
        return NoSpace(self._agent, doing, f"no space left on device under {found[1]}", f"Free space under {found[1]}")
