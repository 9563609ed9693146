"""An agent's container engine, asked and told through its command line over a connection.

Every question is a command and a parser; what the parsers are tested on was recorded from Docker 20.10
(classic store), Docker 29 (containerd store) and podman 4.3.
"""

from __future__ import annotations

import json
import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from pulumi_iofog import words
from pulumi_iofog.errors import CorruptLayer, EngineError, MissingLayers, NoSpace, VerificationFailed
from pulumi_iofog.image import Blob, Digest, Image, Pin, Platform
from pulumi_iofog.layout import PREFIX_REPOSITORY, blob_path
from pulumi_iofog.spec import Agent, EngineName
from pulumi_iofog.transfer import EngineKind, HeldImage

LOADING_MAY_TAKE = 1800.0
"""Seconds without output for a load; a Raspberry Pi with an SD card is slow."""
LABEL = "pulumi-iofog=verify"


class Result(Protocol):
    @property
    def ok(self) -> bool: ...
    @property
    def exit_code(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def stderr(self) -> bytes: ...
    @property
    def error(self) -> str: ...


class Shell(Protocol):
    """A connection that runs scripts on the host."""

    def run(self, script: str, *, stdin: bytes = b"", timeout: float = 60.0) -> Result: ...


@dataclass(frozen=True, slots=True)
class About:
    """What an engine says of itself."""

    kind: EngineKind
    platform: Platform
    root: str


class Engine:
    """One agent's engine. Made by ``find``; methods raise EngineError and its kin."""

    def __init__(self, shell: _Runner, agent: str, about: About) -> None:
        self._shell, self._agent = shell, agent
        self.kind, self.platform, self.root = about.kind, about.platform, about.root
        self._cli = "podman" if about.kind == "podman" else "docker"

    # ---- questions ----------------------------------------------------------------------------------

    def image_id(self, name: str) -> str | None:
        """The id that a full name points at; None if there is no such image."""
        script = f"{self._cli} image inspect --format '{{{{.Id}}}}' {shlex.quote(name)}"
        result = self._shell.run(script)
        if result.ok:
            return parse_id(result.text)
        if _says(result, "no such image", "not known", "no such object"):
            return None
        raise self._failed(f"looking for {name}", result)

    def images(self) -> tuple[HeldImage, ...]:
        """Every image that it holds, with its layers."""
        script = (
            f'ids=$({self._cli} image ls --all --quiet --no-trunc | sort -u); [ -z "$ids" ] ||'
            f" {self._cli} image inspect --format '{{{{.Id}}}} {{{{json .RootFS.Layers}}}}' $ids"
        )
        result = self._shell.run(script)
        if not result.ok and not result.text:
            raise self._failed("listing images", result)
        return parse_images(result.text)

    # ---- orders -------------------------------------------------------------------------------------

    def make_room(self, spool: str, to_spool: int, to_load: int) -> None:
        """Raise NoSpace if either the spool's or the engine's disk has too little free; sizes in bytes."""
        needs = [(spool, to_spool), (self.root, to_load)]
        result = self._shell.run(f"df -Pk {shlex.quote(spool)} {shlex.quote(self.root)}")
        disks = parse_df(result.text)
        if not result.ok or len(disks) != 2:
            return  # the root is not there to see; a full disk then shows while loading
        if disks[0][0] == disks[1][0]:
            needs = [(self.root, needs[0][1] + needs[1][1])]
            disks = disks[1:]
        for (folder, need), (_, free) in zip(needs, disks, strict=True):
            if need > free:
                raise NoSpace(
                    self._agent,
                    "making room for the image",
                    f"{words.size(need)} are needed under {folder}, {words.size(free)} are free",
                    f"Free {words.size(need - free)} there",
                )

    def load(self, image: Image, folder: str, carried: Mapping[Digest, Blob]) -> None:
        """Load the image from a layout folder on the host.

        Args:
            carried: diff id → what lies in the folder for that layer; the others are left out.

        Raises:
            MissingLayers: a layer that is left out is not there after all.
        """
        script = self._pull(image, folder) if self.kind == "podman" else self._load(image, folder, carried)
        result = self._shell.run(script, timeout=LOADING_MAY_TAKE)
        # Docker's containerd store answers 0 and leaves a broken image when a layer is missing.
        unpacked = "error unpacking" not in (result.text + result.stderr.decode(errors="replace")).lower()
        if result.ok and unpacked:
            return
        if _says(result, "no space left"):
            raise self._full(f"loading {image}")
        if not carried.keys() >= set(image.diff_ids):
            raise MissingLayers(self._agent, f"loading {image}", result.error)
        raise self._failed(f"loading {image}", result)

    def give_back(self, source: HeldImage, folder: str) -> None:
        """Unpack what the engine saves of an image (docker-archive) into a folder on the host: its layers as
        plain tars, byte for byte as they were loaded, and manifest.json.

        Raises:
            CorruptLayer: that cannot be had, for whatever reason; nothing of it is left.
        """
        out = shlex.quote(folder)
        save = "podman save --quiet --format docker-archive" if self.kind == "podman" else "docker save"
        script = (
            f"[ -d {out} ] || {{ mkdir -p {out}.new && {save} {source.id} | tar -xf - -C {out}.new"
            f" && [ -f {out}.new/manifest.json ] && mv {out}.new {out}; }};"
            # Through sudo, what is unpacked is root's; it must be whose the image's folder is, who removes it.
            f' code=$?; chown -R "$(stat -c %u {out}/../..)" {out}/..; rm -rf {out}.new; exit $code'
        )
        result = self._shell.run(script, timeout=LOADING_MAY_TAKE)
        if not result.ok:
            raise CorruptLayer(self._agent, f"taking layers out of image {source.id}", result.error)

    def verify(self, pin: Pin) -> None:
        """Prove that a container can be made of the image, without pulling it.

        An image id alone proves nothing: Docker's containerd store lists an image with missing layers.
        """
        name = f"pulumi-iofog-verify-{secrets.token_hex(6)}"
        cli = self._cli
        script = (
            f"{cli} create --pull never --name {name} --label {LABEL} --network none"
            f" {shlex.quote(pin.reference.full_name)} true >/dev/null || exit 1;"
            f" {cli} inspect --format '{{{{.Image}}}}' {name}; {cli} rm --force --volumes {name} >/dev/null"
        )
        result = self._shell.run(script, timeout=300.0)
        doing = f"verifying {pin.reference} ({pin.platform})"
        if not result.text.strip():
            if _says(result, "no space left"):
                raise self._full(doing)
            raise VerificationFailed(self._agent, doing, f"no container can be created: {result.error}")
        got, want = parse_id(result.text), self.expected_id(pin)
        if got != want:
            raise VerificationFailed(self._agent, doing, f"got image {got}, want {want}")

    def expected_id(self, pin: Pin) -> str:
        """The id that this engine gives the image."""
        return pin.manifest_digest if self.kind == "docker-containerd" else pin.image_id

    def remove(self, pin: Pin) -> bool:
        """Remove the image; already gone is success. False if a container still uses it."""
        # The name goes only if it still means this image; by its id it goes if nothing names it.
        mine = self.image_id(pin.reference.full_name) == self.expected_id(pin)
        what = pin.reference.full_name if mine else self.expected_id(pin)
        result = self._shell.run(f"{self._cli} image rm {shlex.quote(what)}", timeout=300.0)
        if result.ok or _says(result, "no such image", "not known"):
            return True
        if _says(result, "in use", "is using", "being used", "must be forced", "must force"):
            return False
        raise self._failed(f"removing {pin.reference}", result)

    def clean(self) -> None:
        """Remove containers that an interrupted verification has left, and images of lower layers alone."""
        cli = self._cli
        self._shell.run(
            f"{cli} container prune --force --filter until=10m --filter label={LABEL};"
            f" {cli} image ls --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep '^{PREFIX_REPOSITORY}:'"
            f" | while read -r name; do {cli} image rm $name; done"
        )

    def _load(self, image: Image, folder: str, carried: Mapping[Digest, Blob]) -> str:
        layers = [blob_path(carried[layer.diff_id].digest) for layer in image.layers if layer.diff_id in carried]
        small = [blob_path(image.manifest.manifest_digest), blob_path(image.image_id)]
        files = ["oci-layout", "index.json", "manifest.json", *small, *dict.fromkeys(layers)]
        return f"cd {shlex.quote(folder)} && tar -cf - {' '.join(files)} | docker load"

    def _pull(self, image: Image, folder: str) -> str:
        # podman names what it pulls by the folder as it is given, so that must be a valid name: the last
        # part of the path. That name goes, the image's own stays.
        id_, name = image.image_id[7:], PurePosixPath(folder).name
        return (
            f"cd {shlex.quote(folder)}/.. && podman pull --quiet oci:{name}"
            f" && podman tag {id_} {shlex.quote(image.reference.full_name)}"
            f" && {{ podman untag {id_} localhost/{name}:latest 2>/dev/null || true; }}"
        )

    def _full(self, doing: str) -> NoSpace:
        return NoSpace(self._agent, doing, "no space left on device", f"Free space under {self.root}")

    def _failed(self, doing: str, result: Result) -> EngineError:
        if _says(result, "cannot connect to the docker daemon", "connection refused"):
            hint = f"Is the {self._cli} service running on the agent? Try: systemctl status {self._cli}"
            return EngineError(self._agent, doing, result.error, hint)
        return EngineError(self._agent, doing, result.error)


# ---- finding the engine ---------------------------------------------------------------------------------


def find(shell: Shell, agent: Agent) -> Engine:
    """The agent's engine: the named one, else docker if it answers, else podman.

    Raises EngineError, with what each has answered, if none can be used.
    """
    names: Sequence[EngineName] = (agent.engine,) if agent.engine else ("docker", "podman")
    reasons = []
    for name in names:
        for sudo in (agent.sudo,) if agent.sudo is not None else (False, True):
            runner = _Runner(shell, agent.password if sudo else None, bool(sudo))
            result = runner.run(_ABOUT[name])
            if result.ok:
                return Engine(runner, agent.name, parse_about(name, result.text, agent.name))
            reasons.append(f"{'sudo ' if sudo else ''}{name}: {result.error}")
            if not _says(result, "permission denied"):
                break
    who = " or ".join(names)
    raise EngineError(agent.name, f"looking for {who}", "; ".join(reasons), _hint(reasons, agent))


_ABOUT = {
    "docker": "uname -m; docker version --format '{{.Server.Arch}}' && docker info --format"
    " '{{json .DockerRootDir}} {{json .DriverStatus}}'",
    "podman": "uname -m; podman info --format '{{.Host.Arch}}' && podman info --format '{{json .Store.GraphRoot}} []'",
}


def _hint(reasons: Sequence[str], agent: Agent) -> str:
    said = " ".join(reasons).lower()
    if "password" in said:
        return "sudo asks for a password: give password=, or let the user use sudo without one"
    if "permission denied" in said:
        return f"Let {agent.user or 'the user'} reach the engine: the docker group, or sudo without password"
    if "cannot connect" in said or "daemon running" in said:
        return "Start the engine on the agent: systemctl start docker"
    return "Install docker or podman on the agent, or name the one that is there with engine="


class _Runner:
    """Runs engine commands as the user or through sudo; a password goes by standard input only."""

    def __init__(self, shell: Shell, password: str | None, sudo: bool) -> None:
        self._shell, self._password, self._sudo = shell, password, sudo

    def run(self, script: str, *, timeout: float = 60.0) -> Result:
        script = f"export LC_ALL=C; exec </dev/null; {script}"
        if not self._sudo:
            return self._shell.run(script, timeout=timeout)
        inner = f"sh -c {shlex.quote(script)}"
        if self._password is None:
            return self._shell.run(f"sudo -n {inner}", timeout=timeout)
        stdin = self._password.encode() + b"\n"
        return self._shell.run(f"sudo -S -p '' {inner}", stdin=stdin, timeout=timeout)


# ---- parsers ---------------------------------------------------------------------------------------------


def parse_about(name: EngineName, text: str, agent: str) -> About:
    """``uname -m``, the engine's architecture, and its root and driver status as JSON.

    The architecture is the engine's own: a 32-bit system on a 64-bit kernel says aarch64 in uname.
    """
    try:
        machine, arch, facts = text.strip().splitlines()
        root, _, status = facts.partition(" ")
        containerd = "io.containerd.snapshotter" in status
        kind: EngineKind = "podman" if name == "podman" else "docker-containerd" if containerd else "docker"
        variant = {"armv6l": "v6"}.get(machine.strip(), "v7") if arch == "arm" else ""
        return About(kind, Platform("linux", arch.strip(), variant), json.loads(root))
    except ValueError:
        raise EngineError(agent, f"asking {name} about itself", "its answer cannot be read") from None


def parse_id(text: str) -> str:
    """An image id with its algorithm; podman leaves that away."""
    line = text.strip().splitlines()[-1]
    return line if ":" in line else f"sha256:{line}"


def parse_images(text: str) -> tuple[HeldImage, ...]:
    """An id and a JSON list of diff ids on each line; an image without layers says null."""
    found = []
    for line in text.splitlines():
        id_, _, layers = line.strip().partition(" ")
        if layers.startswith(("[", "null")):
            found.append(HeldImage(parse_id(id_), tuple(json.loads(layers) or ())))
    return tuple(found)


def parse_df(text: str) -> list[tuple[str, int]]:
    """``df -Pk`` → file system and free bytes, a row each (POSIX df)."""
    rows = (re.fullmatch(r"(.+?)\s+\d+\s+-?\d+\s+(-?\d+)\s+\S+\s+(.+)", row) for row in text.splitlines())
    return [(row[3], int(row[2]) * 1024) for row in rows if row]


def _says(result: Result, *phrases: str) -> bool:
    said = (result.text + result.stderr.decode(errors="replace")).lower()
    return any(phrase in said for phrase in phrases)
