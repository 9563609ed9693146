"""The user's inputs, parsed into values that cannot be wrong. Pure.

Every failure is found before one is reported, each with its property's path. A value that only
another resource's creation will tell is ``UNKNOWN`` in the inputs; here it is None, and its path is
in ``Spec.unknown``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, cast, get_args

from pulumi_iofog.errors import Failures
from pulumi_iofog.inputs.reader import Fields
from pulumi_iofog.oci.image import Reference

EngineName = Literal["docker", "podman", "edgelet"]
Arch = Literal["x86", "arm", "riscv64", "armv7"]
PullPolicy = Literal["always", "missing", "never"]
AgentPruning = Literal["warn", "ignore", "configure"]
ARCHES: tuple[Arch, ...] = ("x86", "arm", "riscv64", "armv7")
"""``arm`` is linux/arm64; an image for it may have one for linux/arm/v7, which is ``armv7``, in its index."""
NO_CONTROLLER = ""
"""The endpoint of ``controller=False``: images are brought, and no catalog item is made."""
AGENT_SECRETS = frozenset({"private_key", "passphrase", "password"})
"""The fields of an agent that nobody may see."""


@dataclass(frozen=True, slots=True)
class Agent:
    """One edge host and the way in. Secrets never show in its repr.

    Attributes:
        engine_socket: absolute path of the engine's socket on the host.
        spool: absolute path of the folder on the host that is to have the spool.
    """

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
    engine_socket: str | None = None
    arch: Arch | None = None
    sudo: bool | None = None
    spool: str | None = None
    accept_new_host_key: bool = False


@dataclass(frozen=True, slots=True)
class RegistryAuth:
    """A user name and password for the registry of the image."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """The Controller and how to sign in: by token, else by email and password.

    Attributes:
        refresh_token: the iofogctl namespace has one beside ``token``; see iofogctl_namespace.py.
    """

    endpoint: str
    email: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    insecure: bool = False
    refresh_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CatalogItem:
    """A catalog item as this provider makes it. ``images``: architecture → name on the agents."""

    name: str
    description: str
    images: tuple[tuple[str, str], ...]
    registry_id: int = 2


@dataclass(frozen=True, slots=True)
class Spec:
    """One OfflineImage as its user wrote it.

    Attributes:
        controller: what the program says of it; ``registers`` is False where there is to be none.
        unknown: paths of what is not known yet, for example ``agents[1].host``.
        paths: agent's name → its path, for failures.
    """

    name: str
    description: str
    references: Mapping[Arch, Reference]
    agents: tuple[Agent, ...]
    auth: RegistryAuth | None
    controller: ControllerSettings | None
    namespace: str
    transfer_pool: int
    cache: bool
    pull_policy: PullPolicy
    max_unavailable: int
    prune: bool
    adopt: bool
    rebuild: bool
    agent_pruning: AgentPruning
    registers: bool = True
    unknown: frozenset[str] = frozenset()
    paths: Mapping[str, str] = field(default_factory=dict)

    @property
    def unknown_arches(self) -> tuple[Arch, ...]:
        """The arguments (``x86=``, …) whose reference is not known yet."""
        return tuple(arch for arch in ARCHES if arch in self.unknown)

    @property
    def controller_known(self) -> bool:
        """Whether all that the user says of the Controller is known."""
        return not any(path.startswith("controller") for path in self.unknown)

    @property
    def agents_known(self) -> bool:
        """Whether every agent's name is known."""
        return not any(re.fullmatch(r"agents(\[\d+\](\.name)?)?", path) for path in self.unknown)


def secrets(of: object) -> Iterator[str]:
    """Every text in an Agent, a Spec or settings that its repr leaves out."""
    if isinstance(of, tuple):
        for each in of:
            yield from secrets(each)
    elif is_dataclass(of):
        for each in fields(of):
            value = getattr(of, each.name)
            if each.repr:
                yield from secrets(value)
            elif isinstance(value, str):
                yield value


def parse(inputs: Mapping[str, Any], *, strict: bool = True) -> Spec:
    """Inputs as Pulumi hands them over → Spec. Raises InputError with every failure.

    Args:
        strict: False for what is in a state, which a newer version may have written.
    """
    top = Fields("", inputs, Failures(), set(), strict=strict)
    paths = _agents(top)
    name = top.text("name", required=True) or ""
    registers = top.value.get("controller") is not False
    references, auth, controller = _references(top), _auth(top), _controller(top) if registers else None
    pruning = cast(AgentPruning, top.choice("agent_pruning", get_args(AgentPruning)) or "warn")
    if not registers:
        top.take("controller")
        if pruning == "configure":
            top.fail("agent_pruning", "cannot be configure with controller=False: it is set on the Controller")
    spec = Spec(
        name=name,
        description=top.text("description") or f"Offline image bundle {name}",
        references=references,
        agents=tuple(agent for _, agent in paths),
        auth=auth,
        controller=controller,
        namespace=top.text("namespace") or "default",
        transfer_pool=top.number("transfer_pool", low=1, high=256) or 2,
        cache=top.flag("cache", default=True),
        pull_policy=cast(PullPolicy, top.choice("pull_policy", ("always", "missing", "never")) or "always"),
        max_unavailable=top.number("max_unavailable", low=0, high=1_000_000) or 0,
        prune=top.flag("prune", default=False),
        adopt=top.flag("adopt", default=False),
        rebuild=top.flag("rebuild", default=True),
        agent_pruning=pruning,
        registers=registers,
        paths={agent.name: path for path, agent in paths},
        unknown=frozenset(top.unknown),
    )
    top.refuse_others()
    top.failures.raise_if_any()
    return spec


def _references(top: Fields) -> dict[Arch, Reference]:
    found: dict[Arch, Reference] = {}
    for arch in ARCHES:
        text = top.text(arch)
        if text is None:
            if top.value.get(arch) == "":
                top.fail(arch, "is empty: give an image, or omit it")
            continue
        try:
            found[arch] = Reference.parse(text)
        except ValueError as problem:
            top.fail(arch, str(problem))
    if not any(top.value.get(arch) is not None for arch in ARCHES):
        top.fail("x86", "no image: give at least one of x86=, arm=, riscv64=, armv7=")
    return found


def _agents(top: Fields) -> list[tuple[str, Agent]]:
    items = top.items("agents")
    if items is None:
        return []
    if not items:
        top.fail("agents", "no agent: give at least one, by name or as AgentArgs")
    agents: list[tuple[str, Agent]] = []
    for index, item in enumerate(items):
        path = f"agents[{index}]"
        agent = _agent(top, path, item)
        if agent is None:
            continue
        if any(agent.name == other.name for _, other in agents):
            top.fail(f"{path}.name", f"{agent.name} is listed twice")
        agents.append((path, agent))
    return agents


def _agent(top: Fields, path: str, item: Any) -> Agent | None:
    if item is None:
        top.failures.add(path, "is None: give an agent's name, or AgentArgs")
    if isinstance(item, str):
        item = {"name": item}
    reader = top.inside(path, item)
    if reader is None:
        return None
    agent = Agent(
        name=reader.text("name", required=True) or "",
        port=reader.number("port", low=1, high=65535),
        engine=cast("EngineName | None", reader.choice("engine", get_args(EngineName))),
        engine_socket=_socket(reader),
        arch=cast("Arch | None", reader.choice("arch", ARCHES)),
        sudo=reader.optional_flag("sudo"),
        spool=_folder(reader, "spool"),
        accept_new_host_key=reader.flag("accept_new_host_key", default=False),
        **{key: reader.text(key) for key in _AGENT_TEXTS},
    )
    reader.refuse_others()
    return agent if agent.name else None


def _socket(reader: Fields) -> str | None:
    text = reader.text("engine_socket")
    if text is None:
        return None
    path = socket_path(text)
    if path is None:
        reader.fail("engine_socket", "must be an absolute path, or a URL such as unix:///run/docker.sock")
    return path


def _folder(reader: Fields, key: str) -> str | None:
    text = reader.text(key)
    if text is not None and not (text.startswith("/") and text.isprintable()):
        reader.fail(key, "must be the absolute path of a folder on the host")
        return None
    return text


def socket_path(text: str) -> str | None:
    """``unix:///run/docker.sock`` or ``/run/docker.sock`` → the path; None for anything else."""
    path = text.removeprefix("unix://")
    return path if path.startswith("/") and path.isprintable() else None


_AGENT_TEXTS = (
    "host", "user", "private_key_file", "private_key", "passphrase", "password",
    "host_key", "known_hosts_file", "proxy_jump",
)  # fmt: skip


def _auth(top: Fields) -> RegistryAuth | None:
    reader = top.inside("auth", top.take("auth"))
    if reader is None:
        return None
    auth = RegistryAuth(reader.text("username", required=True) or "", reader.text("password", required=True) or "")
    reader.refuse_others()
    return auth if auth.username or top.strict else None


def _controller(top: Fields) -> ControllerSettings | None:
    reader = top.inside("controller", top.take("controller"))
    if reader is None:
        return None
    settings = ControllerSettings(
        endpoint=reader.text("endpoint") or "",
        email=reader.text("email"),
        password=reader.text("password"),
        token=reader.text("token"),
        ca_file=reader.text("ca_file"),
        insecure=reader.flag("insecure", default=False),
    )
    reader.refuse_others()
    return settings


def agent_inputs(agent: Agent) -> dict[str, Any]:
    """An Agent as inputs again, without what is at its default."""
    values = {f.name: getattr(agent, f.name) for f in fields(agent)}
    return {key: value for key, value in values.items() if value is not None and (value or key == "sudo")}
