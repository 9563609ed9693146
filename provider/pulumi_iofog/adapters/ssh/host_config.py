"""What ~/.ssh/config has for one name: the first value of each keyword, with tokens expanded.

Source: ssh_config(5), TOKENS and ENVIRONMENT VARIABLES.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pulumi_iofog.adapters.ssh.keywords import PATHS, TOKENS

Tokens = Mapping[str, str | Callable[[], str]]
"""A token's letter → what it stands for."""
PROXIES = ("proxyjump", "proxycommand")
"""Of the two, the one that comes first in the files wins."""


@dataclass(slots=True)
class HostConfig:
    """What is configured for one name.

    Attributes:
        name: as it was looked up.
        named: whether a section is for this name, and not just for every host.
    """

    name: str
    values: dict[str, list[str]] = field(default_factory=dict)
    named: bool = False

    def first(self, keyword: str, default: str = "") -> str:
        return self.values.get(keyword, [default])[0]

    def all(self, keyword: str) -> tuple[str, ...]:
        return tuple(self.values.get(keyword, ()))

    def flag(self, keyword: str, *, default: bool) -> bool:
        """``yes`` or ``no``. ValueError for anything else."""
        text = self.first(keyword).lower() or ("yes" if default else "no")
        if text not in ("yes", "true", "no", "false"):
            raise ValueError(f"{keyword} must be yes or no")
        return text in ("yes", "true")

    @property
    def host(self) -> str:
        """HostName, or the name itself."""
        return expand(self.first("hostname", "%h"), {"h": self.name}) or self.name


def canonical_name(config: HostConfig) -> str | None:
    """The name with the first domain in which it can be resolved, which also becomes the HostName; None if none."""
    wanted = config.first("canonicalizehostname", "no").lower()
    # With a proxy, names are resolved by the proxy.
    proxied = any(config.first(proxy, "none").lower() != "none" for proxy in PROXIES)
    if wanted not in ("yes", "true", "always") or (proxied and wanted != "always"):
        return None
    host = config.host
    if host.count(".") > int(config.first("canonicalizemaxdots", "1")):
        return None
    for domain in config.all("canonicaldomains"):
        full = f"{host}.{domain}"
        try:
            socket.getaddrinfo(full, None, type=socket.SOCK_STREAM)
        except OSError:
            continue
        config.values["hostname"] = [full]
        return full
    return None


def expand_all(config: HostConfig) -> None:
    """Expand tokens, environment and ``~`` in all values, in place; HostName is expanded by ``HostConfig.host``."""
    tokens = tokens_of(config)
    for keyword in config.values.keys() & (TOKENS.keys() | PATHS):
        if keyword == "hostname":
            continue
        allowed = {name: tokens[name] for name in TOKENS.get(keyword, "")}
        texts = config.values[keyword]
        if keyword in PATHS:
            texts = [_path(text) for text in texts]
        if keyword in TOKENS:
            texts = [expand(text, allowed) for text in texts]
        config.values[keyword] = texts


def tokens_of(config: HostConfig) -> Tokens:
    local = getpass.getuser()
    return {
        "d": str(Path.home()),
        "h": config.host,
        "i": str(os.getuid()),
        "k": config.first("hostkeyalias", config.name),
        "L": lambda: socket.gethostname().partition(".")[0],
        "l": socket.getfqdn,
        "n": config.name,
        "p": config.first("port", "22"),
        "r": config.first("user", local),
        "u": local,
    }


def expand(text: str, tokens: Tokens) -> str:
    """The text with its tokens expanded. ValueError for one that is not among them."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name != "%" and name not in tokens:
            raise ValueError(f"the token %{name} is not supported here")
        known = "%" if name == "%" else tokens[name]
        return known if isinstance(known, str) else known()

    return re.sub(r"%(.?)", value, text)


def _path(text: str) -> str:
    """The text with ``${VARIABLE}`` and ``~`` expanded."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise ValueError(f"the environment variable {found[1]} is not set")
        return os.environ[found[1]]

    return at_home(re.sub(r"\$\{(\w+)\}", value, text))


def at_home(text: str) -> str:
    """A path with ``~`` expanded; unchanged if that user has no home."""
    return os.path.expanduser(text)  # noqa: PTH111 - pathlib raises RuntimeError for such a user


def file_problem(path: str) -> str | None:
    """Why a file of the user's cannot be read; None if it can."""
    try:
        with Path(at_home(path)).open("rb"):
            return None
    except OSError as problem:
        return problem.strerror or str(problem)


def shell() -> str:
    """The user's shell, with which OpenSSH runs the commands in its configuration."""
    return os.environ.get("SHELL") or "/bin/sh"
