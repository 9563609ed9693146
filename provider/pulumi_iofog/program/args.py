"""The arguments that users write: classes, and dicts of the same shape.

Whatever is named a password, passphrase, token or private key becomes a Pulumi secret automatically (secrets.py has the
rest of that).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Protocol, TypedDict, TypeVar

import pulumi
from pulumi import Input
from typing_extensions import NotRequired

from pulumi_iofog.inputs.spec import AGENT_SECRETS, EngineName

Item = TypeVar("Item", covariant=True)
SECRETS = AGENT_SECRETS | {"token"}


class Items(Protocol[Item]):
    """Any list or tuple: a Sequence that a ``str`` is not, as its ``in`` takes texts only.

    ``agents="edge-1"`` would be four agents otherwise, for a type checker.
    """

    def __contains__(self, value: object, /) -> bool: ...
    def __getitem__(self, index: int, /) -> Item: ...
    def __iter__(self) -> Iterator[Item]: ...
    def __len__(self) -> int: ...


class RegistryAuthArgsDict(TypedDict):
    """See RegistryAuthArgs."""

    username: Input[str]
    password: Input[str]


class ControllerArgsDict(TypedDict):
    """See ControllerArgs."""

    endpoint: NotRequired[Input[str]]
    email: NotRequired[Input[str]]
    password: NotRequired[Input[str]]
    token: NotRequired[Input[str]]
    ca_file: NotRequired[Input[str]]
    insecure: NotRequired[Input[bool]]


class AgentArgsDict(TypedDict):
    """See AgentArgs."""

    name: Input[str]
    host: NotRequired[Input[str]]
    user: NotRequired[Input[str]]
    port: NotRequired[Input[int]]
    private_key_file: NotRequired[Input[str]]
    private_key: NotRequired[Input[str]]
    passphrase: NotRequired[Input[str]]
    password: NotRequired[Input[str]]
    host_key: NotRequired[Input[str]]
    known_hosts_file: NotRequired[Input[str]]
    proxy_jump: NotRequired[Input[str]]
    engine: NotRequired[Input[EngineName]]
    engine_socket: NotRequired[Input[str]]
    arch: NotRequired[Input[Literal["x86", "arm", "riscv64", "armv7"]]]
    sudo: NotRequired[Input[bool]]
    spool: NotRequired[Input[str]]
    accept_new_host_key: NotRequired[Input[bool]]


class ImageArgsDict(TypedDict):
    """See ImageArgs."""

    x86: NotRequired[Input[str]]
    arm: NotRequired[Input[str]]
    riscv64: NotRequired[Input[str]]
    armv7: NotRequired[Input[str]]
    name: NotRequired[Input[str]]
    description: NotRequired[Input[str]]
    auth: NotRequired[Input[RegistryAuthArgs | RegistryAuthArgsDict]]
    rebuild: NotRequired[Input[bool]]


@pulumi.input_type
class RegistryAuthArgs:
    """User name and password for the image's registry."""

    username: Input[str] = pulumi.property("username")
    password: Input[str] = pulumi.property("password")

    def __init__(self, *, username: Input[str], password: Input[str]) -> None:
        """
        Args:
            username: the user, or whatever the registry wants with an access token.
            password: the password or access token; kept as a secret.
        """
        _set(self, username=username, password=password)


@pulumi.input_type
class ImageArgs:
    """One image of an OfflineImageSet: the arguments that it does not share with the set. At least one
    architecture's image is required."""

    x86: Input[str] | None = pulumi.property("x86", default=None)
    arm: Input[str] | None = pulumi.property("arm", default=None)
    riscv64: Input[str] | None = pulumi.property("riscv64", default=None)
    armv7: Input[str] | None = pulumi.property("armv7", default=None)
    name: Input[str] | None = pulumi.property("name", default=None)
    description: Input[str] | None = pulumi.property("description", default=None)
    auth: Input[RegistryAuthArgs | RegistryAuthArgsDict] | None = pulumi.property("auth", default=None)
    rebuild: Input[bool] | None = pulumi.property("rebuild", default=None)

    def __init__(
        self,
        *,
        x86: Input[str] | None = None,
        arm: Input[str] | None = None,
        riscv64: Input[str] | None = None,
        armv7: Input[str] | None = None,
        name: Input[str] | None = None,
        description: Input[str] | None = None,
        auth: Input[RegistryAuthArgs | RegistryAuthArgsDict] | None = None,
        rebuild: Input[bool] | None = None,
    ) -> None:
        """
        Args:
            x86: image reference for linux/amd64.
            arm: image reference for linux/arm64, and linux/arm/v7 for 32-bit agents where the index has it.
            riscv64: image reference for linux/riscv64.
            armv7: image reference for linux/arm/v7, if it is not the one given as arm.
            name: of the catalog item (default: its key in ``images``).
            description: of the catalog item (``Offline image bundle NAME``).
            auth: for this image's registry (default: the set's).
            rebuild: for this image (default: the set's).
        """
        _set(
            self,
            x86=x86,
            arm=arm,
            riscv64=riscv64,
            armv7=armv7,
            name=name,
            description=description,
            auth=auth,
            rebuild=rebuild,
        )


@pulumi.input_type
class ControllerArgs:
    """The ioFog Controller and how to sign in. What is omitted is looked up in the stack's config
    (``iofog:endpoint``, …), in the environment (``IOFOG_ENDPOINT``, …) and in the iofogctl namespace."""

    endpoint: Input[str] | None = pulumi.property("endpoint", default=None)
    email: Input[str] | None = pulumi.property("email", default=None)
    password: Input[str] | None = pulumi.property("password", default=None)
    token: Input[str] | None = pulumi.property("token", default=None)
    ca_file: Input[str] | None = pulumi.property("ca_file", default=None)
    insecure: Input[bool] | None = pulumi.property("insecure", default=None)

    def __init__(
        self,
        *,
        endpoint: Input[str] | None = None,
        email: Input[str] | None = None,
        password: Input[str] | None = None,
        token: Input[str] | None = None,
        ca_file: Input[str] | None = None,
        insecure: Input[bool] | None = None,
    ) -> None:
        """
        Args:
            endpoint: the Controller's URL, with or without ``/api/v3``.
            email: the user to sign in as (``POST /api/v3/user/login``).
            password: that user's password; kept as a secret.
            token: an access token instead of email and password; kept as a secret.
            ca_file: PEM file with the certificate authority to trust, on the operator's machine.
            insecure: do not verify the Controller's certificate (default: False).
        """
        _set(
            self,
            endpoint=endpoint,
            email=email,
            password=password,
            token=token,
            ca_file=ca_file,
            insecure=insecure,
        )


@pulumi.input_type
class AgentArgs:
    """An edge host. What is omitted is looked up in the iofogctl namespace file, the Controller's agent
    list and ``~/.ssh/config``, in this order."""

    name: Input[str] = pulumi.property("name")
    host: Input[str] | None = pulumi.property("host", default=None)
    user: Input[str] | None = pulumi.property("user", default=None)
    port: Input[int] | None = pulumi.property("port", default=None)
    private_key_file: Input[str] | None = pulumi.property("private_key_file", default=None)
    private_key: Input[str] | None = pulumi.property("private_key", default=None)
    passphrase: Input[str] | None = pulumi.property("passphrase", default=None)
    password: Input[str] | None = pulumi.property("password", default=None)
    host_key: Input[str] | None = pulumi.property("host_key", default=None)
    known_hosts_file: Input[str] | None = pulumi.property("known_hosts_file", default=None)
    proxy_jump: Input[str] | None = pulumi.property("proxy_jump", default=None)
    engine: Input[EngineName] | None = pulumi.property("engine", default=None)
    engine_socket: Input[str] | None = pulumi.property("engine_socket", default=None)
    arch: Input[Literal["x86", "arm", "riscv64", "armv7"]] | None = pulumi.property("arch", default=None)
    sudo: Input[bool] | None = pulumi.property("sudo", default=None)
    spool: Input[str] | None = pulumi.property("spool", default=None)
    accept_new_host_key: Input[bool] | None = pulumi.property("accept_new_host_key", default=None)

    def __init__(
        self,
        *,
        name: Input[str],
        host: Input[str] | None = None,
        user: Input[str] | None = None,
        port: Input[int] | None = None,
        private_key_file: Input[str] | None = None,
        private_key: Input[str] | None = None,
        passphrase: Input[str] | None = None,
        password: Input[str] | None = None,
        host_key: Input[str] | None = None,
        known_hosts_file: Input[str] | None = None,
        proxy_jump: Input[str] | None = None,
        engine: Input[EngineName] | None = None,
        engine_socket: Input[str] | None = None,
        arch: Input[Literal["x86", "arm", "riscv64", "armv7"]] | None = None,
        sudo: Input[bool] | None = None,
        spool: Input[str] | None = None,
        accept_new_host_key: Input[bool] | None = None,
    ) -> None:
        """
        Args:
            name: the agent's name, unique in the resource.
            host: host name or address for SSH; IPv6 also as ``[2001:db8::7]:2222``.
            user: who to log in as; the default is that of ssh (``~/.ssh/config``, else the local user).
            port: of sshd (default: 22).
            private_key_file: path of a private key on the operator's machine, or of a public key whose
                private key is held by an ssh-agent; a certificate next to it (``KEY-cert.pub``) is used.
            private_key: the private key itself, as PEM text; kept as a secret.
            passphrase: of the private key; kept as a secret.
            password: for SSH, and for sudo if it asks for one; kept as a secret.
            host_key: the host's public key (``ssh-ed25519 AAAA…``), instead of known_hosts.
            known_hosts_file: instead of ``~/.ssh/known_hosts``.
            proxy_jump: jump host, ``[user@]host[:port]``; separate several with commas, as in OpenSSH.
            engine: the container engine that the ioFog agent uses; default: what the Controller says, else the
                only one on the host.
            engine_socket: where it listens, a path or ``unix://`` URL; default: what the Controller says, else the
                engine's usual one.
            arch: ``x86`` (linux/amd64), ``arm`` (linux/arm64), ``riscv64`` or ``armv7`` (linux/arm/v7);
                detected if omitted.
            sudo: True always, False never (the user's own, rootless engine); default: if the user cannot
                reach the engine.
            accept_new_host_key: accept an unknown host's key on first use, like OpenSSH's ``accept-new``
                (default: False).
        """
        _set(
            self,
            name=name,
            host=host,
            user=user,
            port=port,
            private_key_file=private_key_file,
            private_key=private_key,
            passphrase=passphrase,
            password=password,
            host_key=host_key,
            known_hosts_file=known_hosts_file,
            proxy_jump=proxy_jump,
            engine=engine,
            engine_socket=engine_socket,
            arch=arch,
            sudo=sudo,
            spool=spool,
            accept_new_host_key=accept_new_host_key,
        )


def _set(args: object, **values: Any) -> None:
    """Keep what is given in an instance of an Args class, and mark what is secret."""
    for key, value in values.items():
        if value is not None:
            pulumi.set(args, key, pulumi.Output.secret(value) if key in SECRETS else value)


def fields_of(args: object, kind: type) -> dict[str, Any]:
    """What is set in an instance of an Args class; ``kind`` is the TypedDict of the same shape."""
    values = {key: pulumi.get(args, key) for key in kind.__annotations__}
    return {key: value for key, value in values.items() if value is not None}
