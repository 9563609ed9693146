"""What the user wants, as values that cannot be wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

EngineName = Literal["docker", "podman"]


@dataclass(frozen=True, slots=True)
class Agent:
    """One edge host and the way in. Secrets never show in its repr."""

    name: str
    host: str | None = None
    user: str | None = None
    port: int | None = None
    private_key_file: str | None = None
    private_key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    host_key: str | None = None
    known_hosts_file: str | None = None
    proxy_jump: str | None = None
    engine: EngineName | None = None
    arch: Literal["x86", "arm"] | None = None
    sudo: bool | None = None
    accept_new_host_key: bool = False


@dataclass(frozen=True, slots=True)
class RegistryAuth:
    """A user name and password for the registry of the image."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """The Controller and how to sign in: by token, else by e-mail and password."""

    endpoint: str
    email: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class CatalogItem:
    """A catalog item as this provider makes it. ``images``: ``x86``/``arm`` → name on the agents."""

    name: str
    description: str
    images: tuple[tuple[str, str], ...]
    registry_id: int = 2
