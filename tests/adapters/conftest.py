"""Real edge hosts for the adapters that talk to them, a registry, and an operator's home of its own for each test."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lab import Host, HostSpec, Lab
from pulumi_iofog.adapters.http import Backoff
from pulumi_iofog.adapters.registry.registry import Registry
from pulumi_iofog.adapters.ssh import ssh_config
from pulumi_iofog.adapters.ssh.connect import Timeouts
from pulumi_iofog.inputs.spec import Agent
from tests.adapters.registry.registry_server import SERVED, RegistryServer
from tests.worker import WORKER

HOSTS = (
    HostSpec("edge-docker", "docker"),
    HostSpec("edge-podman", "podman"),
    HostSpec("edge-docker29", "docker29"),
    HostSpec("edge-edgelet", "edgelet"),
    HostSpec("edge-small", "docker", disk=48),
)
ENGINES = ("edge-docker", "edge-podman", "edge-docker29", "edge-edgelet")
QUICK = Timeouts(connect=5.0, backoff=(0.0, 0.0), keepalive=0.1, stalled=1.0)
"""Long enough for hosts on this machine, short enough for tests of hosts that are gone."""

MakeRegistry = Callable[..., Registry]
AgentOf = Callable[..., Agent]


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    with Lab.start(HOSTS, name=f"adapters-{WORKER}") as lab:
        yield lab


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An operator's home with nothing but an empty ~/.ssh, and no ssh-agent."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USER", "operator")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    # Nor what this machine's own configuration says.
    monkeypatch.setattr(ssh_config, "SYSTEM_FILE", tmp_path / "ssh_config")
    return home


@pytest.fixture
def agent_of(lab: Lab, home: Path) -> AgentOf:
    """Makes the Agent of a host, as a user would who has the lab's key and known_hosts."""

    def make(host: Host | str, **fields: Any) -> Agent:
        host = lab.hosts[host] if isinstance(host, str) else host
        return Agent(**{**host.agent(lab.known_hosts_file), **fields})

    return make


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    """A registry that has ``app:1``, by plain http."""
    with RegistryServer() as server:
        server.add(SERVED)
        yield server


@pytest.fixture
def make_registry(tmp_path: Path) -> Iterator[MakeRegistry]:
    """Makes adapters that are in no hurry to wait, and strangers to this machine's docker."""
    with ExitStack() as stack:

        def make(*args: Any, **options: Any) -> Registry:
            quick = {
                "docker_config": tmp_path / "absent.json",
                "backoff": Backoff(first=0),
                "certs": (),
            }
            return stack.enter_context(contextlib.closing(Registry(*args, **{**quick, **options})))

        yield make


@pytest.fixture
def ssh_agent(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A real ssh-agent, empty; its socket."""
    socket = home / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    while not socket.exists():
        assert process.poll() is None
    yield socket
    process.terminate()
    process.wait()
