"""Agents behind jump hosts: real ones, by proxy_jump and by ~/.ssh/config."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab import Host, Lab
from lab.shell import run
from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.errors import AgentError, HostKeyRefused, Unreachable
from pulumi_iofog.inputs.spec import Agent
from tests.adapters.conftest import QUICK, AgentOf

pytestmark = pytest.mark.lab
MEGABYTE = 1 << 20


@pytest.fixture
def host(lab: Lab) -> Iterator[Host]:
    host = lab.hosts["edge-docker"]
    yield host
    host.restore()


@pytest.fixture
def first(lab: Lab) -> Host:
    return lab.hosts["edge-podman"]


@pytest.fixture
def second(lab: Lab) -> Host:
    return lab.hosts["edge-docker29"]


def came_from(agent: Agent) -> str:
    """The address that the agent sees the operator come from."""
    with ssh.connect(agent, timeouts=QUICK) as connection:
        return connection.run("echo ${SSH_CONNECTION%% *}").text.strip()


@pytest.mark.parametrize("form", ["edge@{}", "ssh://edge@{}", "edge@{}:22", "edge@[{}]:22"])
def test_one_jump_host(agent_of: AgentOf, first: Host, form: str) -> None:
    assert came_from(agent_of("edge-docker", proxy_jump=form.format(first.address))) == first.address


def test_two_jump_hosts(agent_of: AgentOf, first: Host, second: Host) -> None:
    jump = f"edge@{first.address}, edge@{second.address}"
    assert came_from(agent_of("edge-docker", proxy_jump=jump)) == second.address
    with ssh.connect(agent_of("edge-docker", proxy_jump=jump), timeouts=QUICK) as connection:
        assert connection.send("wc -c", (bytes(MEGABYTE),) * 5, lambda count: None).text == f"{5 * MEGABYTE}\n"


def test_jump_hosts_of_the_config(agent_of: AgentOf, lab: Lab, home: Path, first: Host, second: Host) -> None:
    """A chain of sections, each with its own way, and one for all that names the first itself."""
    (home / ".ssh/config").write_text(
        f"Host gate\n  HostName {lab.hosts['edge-docker'].address}\n  ProxyJump inner\n"
        f"Host inner\n  HostName {second.address}\n"
        f"Host outer\n  HostName {first.address}\n"
        f"Host *\n  User edge\n  ProxyJump outer\n  UserKnownHostsFile {lab.known_hosts_file}\n"
        f"  IdentityFile {first.private_key_file}\n"
    )
    assert came_from(Agent("gate")) == second.address
    assert came_from(Agent("gate", proxy_jump="outer")) == first.address
    assert came_from(Agent("gate", proxy_jump="none")) not in (first.address, second.address)


def test_a_jump_host_is_verified_and_never_told_the_password(agent_of: AgentOf, lab: Lab, first: Host) -> None:
    """Neither the agent's password nor its pinned key are the jump host's."""
    target = lab.hosts["edge-docker"]
    given = {"proxy_jump": f"edge@{first.address}", "password": target.password}
    pinned = agent_of("edge-docker", **given, host_key=target.host_key)
    assert came_from(pinned) == first.address
    with pytest.raises(
        AgentError, match=rf"edge@{first.address}:22 \(jump host 1 of 1\): there is no key, .* never gets password="
    ):
        came_from(replace(pinned, private_key_file=None))


def test_an_unknown_key_behind_a_jump_host(agent_of: AgentOf, first: Host, home: Path) -> None:
    agent = agent_of("edge-docker", proxy_jump=f"edge@{first.address}")
    known = home / ".ssh/known_hosts"
    known.write_text(f"{first.address} {first.host_key}\n")
    with pytest.raises(AgentError) as caught:
        came_from(replace(agent, known_hosts_file=str(known)))
    scan = f"run: ssh -p 22 edge@{first.address} ssh-keyscan -p 22 {agent.host} >> {known}\n"
    assert scan in str(caught.value)


def test_a_host_that_the_jump_host_cannot_reach(agent_of: AgentOf, first: Host) -> None:
    agent = agent_of("edge-docker", proxy_jump=f"edge@{first.address}", port=2)
    with pytest.raises(Unreachable) as caught:
        came_from(agent)
    assert str(caught.value) == (
        f"edge-docker: connecting through the jump host edge@{first.address}:22 ({agent.host}:2): Connect failed."
        " Is the host up, and sshd on port 2 reachable from the jump host?"
    )


@pytest.fixture
def down(host: Host) -> Iterator[None]:
    """The host's sshd takes no connections."""
    host.stop_sshd()
    yield
    host.start_sshd()


@pytest.mark.usefixtures("down")
def test_a_jump_host_that_is_down_is_named(agent_of: AgentOf, host: Host, first: Host, second: Host) -> None:
    for target, jump, head in (
        (
            "edge-podman",
            f"edge@{host.address},edge@{second.address}",
            f"to jump host 1 of 2 ({host.address}:22): Connection refused",
        ),
        (
            "edge-docker29",
            f"edge@{first.address},edge@{host.address}",
            f"to jump host 2 of 2 through the jump host edge@{first.address}:22 ({host.address}:22): Connect failed",
        ),
    ):
        with pytest.raises(Unreachable) as caught:
            came_from(agent_of(target, proxy_jump=jump))
        assert str(caught.value).startswith(f"{target}: connecting {head}. Is the host up, and sshd on port 22")


def test_a_jump_host_with_another_user_and_key(agent_of: AgentOf, lab: Lab, home: Path, first: Host) -> None:
    """Its section's own, though the agent's key would not be taken there."""
    own = home / ".ssh/own"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", own)
    allowed = lab.hosts["edge-docker"].folder / "home/edge/.ssh/authorized_keys"
    before = allowed.read_text()
    (home / ".ssh/config").write_text(
        f"Host bastion\n  HostName {first.address}\n  User plain\n  IdentityFile {first.private_key_file}\n"
    )
    allowed.write_text(own.with_suffix(".pub").read_text())
    try:
        agent = agent_of("edge-docker", proxy_jump="bastion", private_key_file=str(own))
        assert came_from(agent) == first.address
        with pytest.raises(AgentError, match=rf"edge@{first.address}:22 \(jump host 1 of 1\): .*the private key {own}"):
            came_from(replace(agent, proxy_jump=f"edge@{first.address}"))
    finally:
        allowed.write_text(before)


def test_an_address_with_a_scope(agent_of: AgentOf, lab: Lab, host: Host, home: Path) -> None:
    """A link-local IPv6 address means a host only together with an interface of ours."""
    found = host.run("ip -6 -o addr show dev eth0 scope link").split()
    scoped = f"{found[found.index('inet6') + 1].partition('/')[0]}%{lab.network.bridge}"
    known = home / ".ssh/known_hosts"
    agent = replace(agent_of("edge-docker"), host=scoped, known_hosts_file=None)
    with pytest.raises(HostKeyRefused) as caught:
        came_from(agent)
    line = re.search(r"run: (.*)$", str(caught.value), re.MULTILINE)
    assert line is not None
    run("sh", "-c", line[1])
    assert known.read_text().startswith(f"{scoped} ssh-")
    assert came_from(agent).startswith("fe80::")


def test_a_link_that_is_cut_behind_a_jump_host(host: Host, agent_of: AgentOf, first: Host) -> None:
    agent = agent_of("edge-docker", proxy_jump=f"edge@{first.address}")
    stalled = pytest.raises(Unreachable, match="the link has stalled")
    with ssh.connect(agent, timeouts=QUICK) as connection, stalled:
        connection.send("cat > /dev/null", (bytes(MEGABYTE),) * 200, lambda count: host.cut())


@pytest.mark.parametrize("text", ["a@b@c", "[::1", "host:port", "ssh://"])
def test_a_proxy_jump_that_is_none(agent_of: AgentOf, text: str) -> None:
    with pytest.raises(AgentError, match="edge-docker: reading proxy_jump: "):
        came_from(agent_of("edge-docker", proxy_jump=text))
