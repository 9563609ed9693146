"""iofogctl's and potctl's namespace files: how they reach the Controller and the agents. Pure.

Field names as in their internal/resource: the control plane is on Kubernetes, remote or local, and
looked up in this order. Passwords are base64.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pulumi_iofog.inputs import yaml_nodes

FOLDERS = (Path(".iofog/v3/namespaces"), Path(".potctl/v3/namespaces"))
"""Under the home folder; both programs use the first."""
_PLANES = ("k8sControlPlane", "remoteControlPlane", "localControlPlane")


@dataclass(frozen=True, slots=True)
class Namespace:
    """What a namespace file says; agents as inputs of AgentArgs, by name.

    Attributes:
        path: of the file; None if there is none.
    """

    endpoint: str | None = None
    email: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    agents: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    path: Path | None = None


def parse_namespace(text: str, path: Path) -> Namespace:
    """A namespace file's text → Namespace. ValueError if it is not one."""
    try:
        body = yaml_nodes.load(text) or {}
        spec = body.get("spec") or body
        plane: Mapping[str, Any] = next((spec[key] for key in _PLANES if spec.get(key)), {})
        user = plane.get("iofogUser") or {}
        return Namespace(
            endpoint=_endpoint(plane),
            email=_text(user.get("email")),
            password=_from_base64(_text(user.get("password"))),
            token=_text(user.get("accessToken")),
            refresh_token=_text(user.get("refreshToken")),
            agents={str(agent["name"]): _agent(agent) for agent in spec.get("remoteAgents") or ()},
            path=path,
        )
    except (AttributeError, KeyError, TypeError):
        raise ValueError("not an iofogctl namespace") from None
    except ValueError as problem:
        raise ValueError(f"not an iofogctl namespace: {problem}") from None


def _endpoint(plane: Mapping[str, Any]) -> str | None:
    """The control plane's own, else the first Controller's. One on Kubernetes may need https without
    saying so in its endpoint."""
    controller = plane.get("controller") or {}
    controllers = [*(plane.get("controllers") or ()), *(plane.get("controllerPods") or ()), controller]
    found = [plane.get("endpoint"), *(each.get("endpoint") for each in controllers)]
    endpoint = next((str(each) for each in found if each), None)
    if endpoint and controller.get("https") is True and not endpoint.startswith("https://"):
        bare = endpoint.removeprefix("http://")
        return f"https://{bare}" if ":" in bare else f"https://{bare}:51121"
    return endpoint


def _agent(entry: Mapping[str, Any]) -> dict[str, Any]:
    ssh = entry.get("ssh") or {}
    found = {
        "host": entry.get("host"),
        "user": ssh.get("user"),
        "port": ssh.get("port"),
        "private_key_file": ssh.get("keyFile"),
    }
    return {key: value for key, value in found.items() if value}


def _text(value: Any) -> str | None:
    return str(value) if value else None


def _from_base64(text: str | None) -> str | None:
    """iofogctl writes base64; a value that is not base64 was written by hand and is used as it is."""
    if not text:
        return None
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return text
