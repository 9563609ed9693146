"""One test's view of the lab: a repository, a Controller, and a stack of the test's own program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests

from lab import Host, Lab, images, proof
from lab.controller_process import EMAIL, PASSWORD, ControllerProcess
from lab.stack import Stack
from pulumi_iofog.oci.image import OCI_INDEX, OCI_MANIFEST

PROGRAM = Path(__file__).parent / "program"


class Site:
    """See the module."""

    def __init__(self, lab: Lab, controller: ControllerProcess, folder: Path, repository: str, python: Path) -> None:
        self.lab, self.controller, self.folder, self.repository = lab, controller, folder, repository
        self.stack = Stack(PROGRAM, folder / "stack", python=python)
        self.stack.configure(
            {"iofog:endpoint": controller.endpoint, "iofog:email": EMAIL}, secrets={"iofog:password": PASSWORD}
        )
        self.late: dict[str, str] = {}

    def image(self, tag: str) -> str:
        """The reference of a tag."""
        return f"{self.lab.registry.address}/{self.repository}:{tag}"

    def push(self, version: str, tag: str | None = None) -> str:
        """Build a version of the application and push it, under its own or another tag."""
        return self.lab.registry.push(
            images.build(self.folder / "images", version), f"{self.repository}:{tag or version}"
        )

    def lose_layer(self, tag: str) -> None:
        """Let the registry lose an image's topmost layer, until the tag is pushed again."""
        base = f"http://{self.lab.registry.address}/v2/{self.repository}/manifests/"
        types = {"Accept": f"{OCI_INDEX}, {OCI_MANIFEST}"}
        entries = requests.get(base + tag, headers=types, timeout=10).json()["manifests"]
        digest = next(each["digest"] for each in entries if each["platform"]["architecture"] == "amd64")
        layer = requests.get(base + digest, headers=types, timeout=10).json()["layers"][-1]["digest"]
        held = self.lab.registry.folder / "data/docker/registry/v2/repositories" / self.repository / "_layers"
        (held / layer.replace(":", "/") / "link").unlink()

    def agent(self, host: str, /, **fields: Any) -> dict[str, Any]:
        """A host as one of the resource's agents, of the host's name unless ``name`` is another."""
        return {**self.lab.hosts[host].agent(self.lab.known_hosts_file), **fields}

    def want(self, agents: Sequence[str | dict[str, Any]], *, hidden: bool = False, **arguments: Any) -> None:
        """Set the resource's arguments; agents by the name of their host, or in full.

        Args:
            hidden: they are a secret of the stack's config.
        """
        entries = [self.agent(agent) if isinstance(agent, str) else agent for agent in agents]
        whole = {"name": self.repository, "agents": entries, **arguments}
        if hidden:
            self.stack.configure({}, secrets={"e2e:arguments": json.dumps(whole)})
        else:
            self.stack.configure({"e2e:arguments": whole, "e2e:late": self.late})

    def items(self) -> dict[str, Any]:
        """The Controller's catalog items by name."""
        return {item["name"]: item for item in self.controller.state()["items"].values()}

    def received(self, *names: str) -> dict[str, int]:
        """Bytes that hosts have received, by their interfaces."""
        return {name: self.host(name).counters().received for name in names}

    def visits(self, *names: str) -> dict[str, int]:
        """How many TCP connections each host has accepted, whatever came of them."""
        return {name: self.host(name).visits() for name in names}

    def logins(self, name: str) -> int:
        """How often the host's sshd has let somebody in."""
        return (self.host(name).folder / "sshd.log").read_text().count("Accepted ")

    def host(self, name: str) -> Host:
        return self.lab.hosts[name]

    def holds(self, name: str, tag: str) -> bool:
        return proof.holds(self.host(name), self.image(tag))
