"""``python -m pulumi_iofog sudoers docker``: lines for sudoers(5) by which a login that may nothing else can deliver.

Of docker and podman, sudo need allow only the commands that are used, with just these arguments: none of them starts a
container, reads a file for the user, or writes one. That takes regular expressions, which sudo has since 1.9.10 (2022).
Without them, the whole command; whoever has that is as good as root.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from typing_extensions import assert_never

from pulumi_iofog.inputs.spec import EngineName

SOCKET = "/var/run/docker.sock"

_ID, _NAME = "(sha256:)?[0-9a-f]+", "[A-Za-z0-9][^ ]*"
_VERIFY = "pulumi-iofog-verify-[0-9a-f]+"

_BOTH = (
    "image ls --all --quiet --no-trunc",
    "image inspect --format {{.Id}} <NAME>",
    "image inspect --format {{json .RepoTags}} <NAME>",
    "image inspect --format {{.Id}} {{json .RepoTags}} {{json .RootFS.Layers}}<NAMES>",
    "image rm<NAMES>",
    "create --pull never --name <VERIFY> --label pulumi-iofog=verify --network none <NAME> true",
    "rm --force --volumes <VERIFY>",
    "container prune --force --filter until=10m --filter label=pulumi-iofog=verify",
)
_DOCKER = (
    "inspect --format {{.Image}} <VERIFY>",
    "version --format {{.Server.Arch}} {{.Server.Version}}",
    "info --format {{json .DockerRootDir}} {{json .DriverStatus}}",
    "load",
    "save <ID>",
    "image tag <ID> <NAME>",
)
_PODMAN = (
    "inspect --format {{.Image}} {{.GraphDriver.Data.LowerDir}} <VERIFY>",
    "version --format {{.Client.OsArch}} {{.Client.Version}}",
    "image ls --quiet --log-level debug",
    "info --format {{.Store.GraphRoot}}",
    "pull --quiet oci:image-<ID>",
    "tag <ID> <NAME>",
    "untag <ID> <NAME>",
    "save --quiet --format docker-archive <ID>",
)
"""Arguments, as adapters/host/engines has them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What to print.

    Attributes:
        user: the login.
        program: the engine's command on the agent, as a path.
        socket: of Docker; the Controller's ``dockerUrl`` or ``engine_socket=``, where there is one.
        whole: allow the command with any arguments.
    """

    engine: EngineName
    user: str
    program: str
    socket: str = SOCKET
    whole: bool = False


def lines(rule: Rule) -> str:
    """The lines, for a file of /etc/sudoers.d."""
    match rule.engine:
        case "docker":
            used = [f"-H unix://{rule.socket} {each}" for each in (*_DOCKER, *_BOTH)]
        case "podman":
            used = [*_PODMAN, *_BOTH]
        case "edgelet":
            why = "edgelet answers only root, and what it holds only root can read: this is as good as root."
            return _file(rule, why, ["/bin/sh", "/usr/bin/sh"])
        case other:
            assert_never(other)
    if rule.whole:
        return _file(rule, f"Whoever may use all of {rule.engine} is as good as root.", [rule.program])
    why = f"What pulumi-iofog does with {rule.engine}, and nothing else; for sudo 1.9.10 and newer."
    return _file(rule, why, [f"{rule.program} ^{_pattern(each)}$" for each in used])


def _file(rule: Rule, why: str, commands: list[str]) -> str:
    alias = f"IOFOG_{rule.engine.upper()}"
    listed = ", \\\n    ".join(commands)
    return (
        f"# {why}\n"
        f"Cmnd_Alias {alias} = \\\n    {listed}\n"
        f"Defaults:{rule.user} !requiretty\n"
        f"{rule.user} ALL=(root) NOPASSWD: {alias}\n"
    )


def _pattern(arguments: str) -> str:
    """A regular expression (POSIX, extended) for arguments, which sudo joins by blanks."""
    escaped = re.sub(r"[.{}()+*?|\[\]^$]", lambda found: f"[{found[0]}]" if found[0] != "^" else r"\^", arguments)
    for word, pattern in (("<NAMES>", f"( {_NAME})+"), ("<NAME>", _NAME), ("<VERIFY>", _VERIFY), ("<ID>", _ID)):
        escaped = escaped.replace(word, pattern)
    return escaped
