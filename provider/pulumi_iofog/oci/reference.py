"""The names of images: digests, and references with skopeo's transports. Pure: no I/O.

Sources: the reference grammar of github.com/distribution/reference, and containers-transports(5).

    [docker://]REGISTRY/PATH[:TAG][@sha256:…]   a registry
    docker-daemon:NAME[:TAG] | sha256:…         the operator's Docker engine
    oci:DIR[:REF]                               an OCI image layout
    oci-archive:FILE[:REF]                      the same as a tar
    docker-archive:FILE[:NAME[:TAG]]            what ``docker save`` writes
    REF = NAME:TAG | TAG, either with @sha256:… or that alone

An image from elsewhere than a registry also has a name on the agents: the one in its reference; else the one in
the archive or layout; else the file's or folder's name. ``catalog_name`` is what microservices find it by.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, cast, get_args


class Digest(str):
    """``sha256:`` and 64 lower-case hex digits (OCI ``descriptor.md``). A field's name says of what:
    ``manifest_digest``, ``image_id`` (the config's), ``diff_id`` (a layer's plain tar), ``chain_id``."""

    __slots__ = ()

    @property
    def hex(self) -> str:
        """Without the algorithm: what a file is named by."""
        return self.removeprefix("sha256:")


Transport = Literal["docker", "docker-daemon", "oci", "oci-archive", "docker-archive"]

DOCKER_HUB = "docker.io"
UNNAMED = "pulumi-iofog.local/image"
"""The repository of an image that is given only by its id."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_ENDINGS = re.compile(r"(\.(tar|tgz|tzst|gz|zst|bz2|xz|oci))+$", re.IGNORECASE)


def parse_digest(text: str) -> Digest:
    """``sha256:<64 hex>`` or ValueError."""
    if not _DIGEST.fullmatch(text):
        raise ValueError(f"not a sha256 digest: {text[:100]!r}")
    return Digest(text)


@dataclass(frozen=True, slots=True)
class Reference:
    """An image reference as the user wrote it, and its parts, completed.

    ``gateway:1.4`` → domain ``docker.io``, path ``library/gateway``, tag ``1.4``.

    Attributes:
        text: without ``docker://``.
        name: the image's name as written, without transport and digest.
        pinned: the digest of its manifest or index.
        location: file or folder of an archive or layout, as written; relative to the Pulumi program's folder.
        selector: which image in the archive, layout or engine; empty for the only one.
        named: whether the name is the user's; if not, it is a stand-in until the source has been read.
    """

    text: str
    name: str
    domain: str
    path: str
    tag: str | None
    pinned: Digest | None
    transport: Transport = "docker"
    location: str = ""
    selector: str = ""
    named: bool = True

    def __str__(self) -> str:
        return self.text

    @property
    def repository(self) -> str:
        """``docker.io/library/gateway``."""
        return f"{self.domain}/{self.path}"

    @property
    def local_tag(self) -> str:
        """The tag in the agent's engine. A reference with only a digest has no tag of its own and gets
        ``sha256-<hex>``, as registries name things that belong to a digest."""
        if self.tag:
            return self.tag
        return self.pinned.replace(":", "-") if self.pinned else "latest"

    @property
    def full_name(self) -> str:
        """The name in engines, with domain and tag: ``docker.io/library/gateway:1.4``."""
        return f"{self.repository}:{self.local_tag}"

    @property
    def latest_is_assumed(self) -> bool:
        """Whether it has neither tag nor digest."""
        return self.tag == "latest" and not self.pinned and not self.name.endswith(":latest")

    @property
    def catalog_name(self) -> str:
        """The name in the catalog item, always with a tag: ``gateway:1.4``, ``registry.example/app:latest``.

        It is the name by which Docker lists the image, which omits Docker Hub's domain (FamiliarName of
        github.com/distribution/reference): the ioFog agent compares the two letter by letter. Podman lists
        ``full_name``. Never a digest, as no engine finds a loaded image by its registry's digest.
        """
        if self.domain != DOCKER_HUB:
            return self.full_name
        return f"{self.path.removeprefix('library/')}:{self.local_tag}"

    @property
    def target(self) -> str:
        """What the registry is asked for (``/v2/<path>/manifests/<target>``)."""
        return self.pinned or self.tag or "latest"

    def complete(self, name: str) -> Reference:
        """The same with the image's name in the archive or layout, if the user gave none."""
        if self.named or not name:
            return self
        pinned = f"@{self.pinned}" if self.pinned else ""
        try:
            return Reference.parse(f"{self.transport}:{self.location}:{name}{pinned}")
        except ValueError:  # annotations may say anything
            return self

    def may_be(self, earlier: Reference) -> bool:
        """Whether it may mean the same as an earlier, completed reference: without a selector, the only image there."""
        same_place = (self.transport, self.location) == (earlier.transport, earlier.location)
        return self == earlier or (bool(self.location) and not self.selector and same_place)

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse it; ValueError says what is wrong."""
        transport, _, rest = text.partition(":")
        if rest.startswith("//") and transport == "docker":
            text = rest[2:]
        elif rest.startswith("//") and transport in ("http", "https", "oci"):
            raise ValueError(f"it is an address, not an image: omit {transport}://{_insecure(transport, rest)}")
        elif transport == "docker-daemon":
            return _of_daemon(text, rest)
        elif transport in get_args(Transport) and transport != "docker":
            return _of_file(text, cast(Transport, transport), rest)
        elif transport == "containers-storage":
            raise ValueError(
                "podman's own storage is not supported; podman save --format oci-archive makes an oci-archive:"
            )
        return cls(text, text.partition("@")[0], *_name(text))


def _insecure(scheme: str, rest: str) -> str:
    """How to say what http:// was to say."""
    return f", and set iofog:insecureRegistries to {rest[2:].partition('/')[0]}" if scheme == "http" else ""


def full_name(name: str) -> str:
    """An engine's name of an image with its domain, which Docker omits for its own registry; anything that is not a
    name comes back as it is."""
    try:
        return Reference.parse(name).full_name
    except ValueError:
        return name


def _of_daemon(text: str, rest: str) -> Reference:
    by_id = rest.startswith("sha256:")
    name = f"{UNNAMED}:{parse_digest(rest).replace(':', '-')}" if by_id else rest
    domain, path, tag, pinned = _name(name)
    if pinned:
        raise ValueError("an engine's images have tags and ids: write docker-daemon:NAME:TAG or docker-daemon:sha256:…")
    return Reference(text, name, domain, path, tag, None, "docker-daemon", selector=rest)


def _of_file(text: str, transport: Transport, rest: str) -> Reference:
    location, _, selector = rest.partition(":")
    if not location:
        raise ValueError(f"no {'folder' if transport == 'oci' else 'file'} is given after {transport}:")
    head, at, digest = selector.partition("@")
    pinned = parse_digest(digest) if at else None
    if pinned and transport == "docker-archive":
        raise ValueError("a docker-archive has no registry digests: write docker-archive:FILE:NAME:TAG")
    bare_tag = transport != "docker-archive" and not {":", "/"} & set(head)
    named = bool(head) and not bare_tag
    # skopeo allows any text as a layout's REF; most are tags, here taken as tags of the folder's name.
    tag = head or ("" if pinned else "latest")
    name = head if named else _stand_in(location) + (f":{tag}" if tag else "")
    domain, path, found, _ = _name(name + (f"@{pinned}" if pinned else ""))
    return Reference(text, name, domain, path, found, pinned, transport, location, selector, named)


def _stand_in(location: str) -> str:
    """A repository name made from a file name."""
    stem = _ENDINGS.sub("", PurePath(location).name).lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-") or "image"


def _name(text: str) -> tuple[str, str, str | None, Digest | None]:
    """``[domain/]path[:tag][@sha256:…]`` → domain, path, tag, digest; ValueError says what is wrong."""
    rest, _, pinned = text.partition("@")
    digest = parse_digest(pinned) if pinned or text.endswith("@") else None
    head, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        head, tag = rest, ""
    if (colon and not tag and head.endswith(":")) or rest.endswith(":"):
        raise ValueError(f"empty tag in {text!r}")
    if tag and not _TAG.fullmatch(tag):
        raise ValueError(f"bad tag {tag!r}: use letters, digits, '_', '.' and '-', at most 128")
    domain, path = _split_domain(head)
    if not _DOMAIN.fullmatch(domain):
        raise ValueError(f"bad registry host {domain!r}")
    if not _PATH.fullmatch(path):
        why = "upper-case letters are not allowed" if path.lower() != path else "not a repository name"
        raise ValueError(f"bad repository {head!r}: {why}")
    return domain, path, tag or (None if digest else "latest"), digest


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        domain, path = first, rest
    else:
        domain, path = DOCKER_HUB, name
    if domain == "index.docker.io":
        domain = DOCKER_HUB
    if domain == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    return domain, path
