"""What is asked and told in the words of Docker's command line, which podman has too."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from pulumi_iofog import text
from pulumi_iofog.adapters.host.engines.answers import (
    EXCERPT,
    UNREADABLE,
    Listing,
    parse_held,
    parse_id,
    parse_images,
    parse_names,
)
from pulumi_iofog.adapters.host.engines.base import LISTING_AT_MOST, LOADING_MAY_TAKE, Engine
from pulumi_iofog.adapters.host.shell import says
from pulumi_iofog.errors import CorruptLayer, VerificationFailed
from pulumi_iofog.oci.image import Digest, Image, Pin, Reference
from pulumi_iofog.oci.reference import full_name
from pulumi_iofog.transfer.inventory import HeldImage

LABEL = "pulumi-iofog=verify"
LEFT_AFTER = "10m"
"""Age from which a verification's container is one that was left behind."""
# A folder counts as gone only where it would be seen: sudo may allow the engine's command alone.
LOOK = """look() { while read -r said folders; do echo "$said$(
set -f; IFS=:; set -- $folders; while [ $# -gt 0 ]; do up=${1%/*}
case $1 in (/*) [ -d "$1" ] || [ ! -x "${up%/*}" ] || { echo " $(($# - 1)) $1"; break; };; esac; shift; done)"; done; }
"""
"""A filter for lines with a word, and folders of layers from the top down: writes the word, and if one is gone, which
from the bottom up, and its folder."""


class DockerLike(Engine):
    """See base.Engine.

    Attributes:
        save: the command that writes an image, whose id follows, as a docker-archive to standard output.
        folders: what makes ``inspect`` say the folders of a container's layers, from the top down with colons between;
            of an engine that makes no container where one is gone, nothing.
    """

    save: ClassVar[str]
    folders: ClassVar[str] = ""
    _gone: int | None = None
    """Which layer of the image, from the bottom up, was found to be gone; None where it is not known which."""

    # ---- questions ----------------------------------------------------------------------------------

    def image_id(self, reference: Reference) -> str | None:
        name = reference.full_name
        script = f"{self.cli} image inspect --format '{{{{.Id}}}}' {shlex.quote(name)}"
        result = self._shell.run(script)
        if result.ok:
            with self._reading(f"looking for {name}", result):
                return parse_id(result.text)
        # The last one: it has lost or damaged the config, so that there is nothing to be used.
        if says(result, "no such image", "not known", "no such object", "failed to read image config"):
            return None
        raise self._failed(f"looking for {name}", result)

    def images(self, reference: Reference) -> Listing:
        result = self._shell.run(self._listing_script(), most=LISTING_AT_MOST)
        if not result.ok:
            raise self._failed("listing images", result)
        with self._reading("listing images", result):
            listing = self._parse_listing(result.text, reference)
        self._lower.update(listing.lower)
        return listing

    def _listing_script(self) -> str:
        # Not as a pipe, which would hide that the first step has failed.
        return (
            f"ids=$({self.cli} image ls --all --quiet --no-trunc) || exit; ids=$(printf '%s\\n' $ids | sort -u);"
            f' [ -z "$ids" ] || {self.cli} image inspect --format'
            " '{{.Id}} {{json .RepoTags}} {{json .RootFS.Layers}}' $ids; true"
        )

    def _parse_listing(self, answer: str, reference: Reference) -> Listing:
        return parse_images(answer, reference.full_name)

    def give_back(self, source: HeldImage, wanted: Collection[Digest], folder: str) -> Mapping[Digest, str]:
        # What the engine saves is a docker-archive of the whole image: its layers as plain tars, byte for byte as they
        # were loaded, and manifest.json.
        out = shlex.quote(folder)
        script = (
            f"[ -d {out} ] || {{ mkdir -p {out}.new && {self.save} {source.id} | tar -xf - -C {out}.new"
            f" && [ -f {out}.new/manifest.json ] && mv {out}.new {out}; }};"
            # Through sudo, what is unpacked is root's; it must belong to the user, who removes it.
            f' code=$?; chown -R "$(stat -c %u {out}/../..)" {out}/..; rm -rf {out}.new;'
            f" [ $code = 0 ] || exit $code; cat {out}/manifest.json"
        )
        result = self._shell.run(script, timeout=LOADING_MAY_TAKE)
        doing = f"taking layers out of image {source.id}"
        if not result.ok:
            raise CorruptLayer(self._agent, doing, result.error)
        try:
            paths = [f"{folder}/{path}" for path in json.loads(result.text)[0]["Layers"]]
        except UNREADABLE:
            raise CorruptLayer(self._agent, doing, "its manifest cannot be read") from None
        return dict(zip(source.diff_ids, paths, strict=False))

    # ---- proving, removing --------------------------------------------------------------------------

    def verify(self, pin: Pin) -> tuple[str, ...]:
        # An image id alone proves nothing: Docker's containerd store lists an image with missing layers.
        name = f"pulumi-iofog-verify-{secrets.token_hex(6)}"
        cli = self.cli
        script = (
            f"{LOOK}{cli} create --pull never --name {name} --label {LABEL} --network none"
            f" {shlex.quote(pin.reference.full_name)} true >/dev/null || exit 1;"
            f" {cli} inspect --format '{{{{.Image}}}}{self.folders}' {name} | look;"
            f" {cli} rm --force --volumes {name} >/dev/null;"
            f" {cli} image inspect --format '{{{{json .RepoTags}}}}' {shlex.quote(pin.reference.full_name)}"
        )
        result = self._shell.run(script, timeout=300.0)
        doing = f"verifying {pin.reference} ({pin.platform})"
        answer, _, names = result.text.strip().partition("\n")
        container, _, gone = answer.partition(" ")
        if not container:
            if says(result, "no space left"):
                raise self._full(doing, result)
            raise VerificationFailed(self._agent, doing, f"no container can be created: {result.error}")
        with self._reading(doing, result):
            got, want = parse_id(container), self.traits.image_id(pin)
        if got != want:
            raise VerificationFailed(self._agent, doing, f"got image {got}, want {want}")
        if gone:
            above, _, folder = gone.partition(" ")
            self._gone = int(above) if above.isdecimal() else None
            why = f"no container can be started: the folder of a layer is gone ({text.excerpt(folder, EXCERPT)})"
            raise VerificationFailed(self._agent, doing, why)
        return parse_names(names)

    def proven(self, pins: Sequence[Pin]) -> frozenset[Pin]:
        stem, cli = f"pulumi-iofog-verify-{secrets.token_hex(6)}", self.cli
        names = [f"{stem}-{number}" for number in range(len(pins))]
        # At the same time: most of a command's time is a process that starts.
        made = "".join(
            f"{cli} create --pull never --name {name} --label {LABEL} --network none"
            f" {shlex.quote(pin.reference.full_name)} true >/dev/null 2>&1 && echo {name} &\n"
            for name, pin in zip(names, pins, strict=True)
        )
        # Only of those that are there: podman does nothing at all if one is not.
        script = (
            f'{LOOK}made=$({made}wait); [ -n "$made" ] || exit 0;'
            f" {cli} inspect --format '{{{{.Name}}}},{{{{.Image}}}}{self.folders}' $made | look;"
            f" {cli} rm --force --volumes $made >/dev/null"
        )
        lines = (line.split(",") for line in self._shell.run(script, timeout=300.0).text.splitlines())
        got = {line[0].lstrip("/"): parse_id(line[1]) for line in lines if len(line) == 2 and " " not in line[1]}
        wanted = zip(names, pins, strict=True)
        return frozenset(pin for name, pin in wanted if got.get(name) == self.traits.image_id(pin))

    def renew(self, image: Image) -> None:
        doing, name = f"removing {image.reference}, which is damaged", image.reference.full_name
        self.untag_lower_images()
        result = self._shell.run(self._listing_script(), most=LISTING_AT_MOST)
        if not result.ok:
            raise self._failed(doing, result)
        with self._reading(doing, result):
            held = parse_held(result.text)
        gone = self._gone if self._gone is not None else self._look_for_gone(name)
        damaged = set(image.diff_ids if gone is None else image.diff_ids[gone : gone + 1])
        sharing = [each for each in held if damaged & set(each.diff_ids)]
        others = [other for each in sharing for other in each.names or (each.id,) if full_name(other) != name]
        why = ""
        if others:
            have = (
                "share layers with it, and which one is damaged is not known" if gone is None else "have that layer too"
            )
            why = f"{text.listing(others)} {have}"
        named = any(full_name(each) == name for image in sharing for each in image.names)
        # What the name means may be another image, which is sound.
        if named and not why:
            result = self._shell.run(f"{self.cli} image rm {shlex.quote(name)}", timeout=300.0)
            why = "" if result.ok or says(result, "no such image", "not known") else result.error
        if why:
            raise self._not_renewed(image, why, [name, *others])

    def _look_for_gone(self, name: str) -> int | None:
        """As ``_gone``, where the folders can be seen, which takes root."""
        folders = "{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}"
        result = self._shell.run(f"{LOOK}{self.cli} image inspect --format 'of {folders}' {shlex.quote(name)} | look")
        _, _, gone = result.text.partition(" ")
        above = gone.partition(" ")[0]
        return int(above) if above.isdecimal() else None

    def remove(self, pin: Pin) -> bool:
        name, id_ = pin.reference.full_name, self.traits.image_id(pin)
        # The name goes only if it still means this image; by its id it goes if nothing names it.
        what = name if self.image_id(pin.reference) == id_ else id_
        result = self._shell.run(f"{self.cli} image rm {shlex.quote(what)}", timeout=300.0)
        if result.ok or says(result, "no such image", "not known"):
            return True
        if says(result, "in use", "is using", "being used", "must be forced", "must force"):
            return False
        raise self._failed(f"removing {pin.reference}", result)

    def remove_stale_containers(self) -> None:
        self._shell.run(f"{self.cli} container prune --force --filter until={LEFT_AFTER} --filter label={LABEL}")
