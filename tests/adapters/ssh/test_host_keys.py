"""Host keys against a real sshd: known, unknown, changed, pinned, revoked; and how known_hosts is read."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab import Host, Lab
from lab.shell import run
from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.adapters.ssh.host_keys import HostKey, HostKeys
from pulumi_iofog.errors import HostKeyRefused
from pulumi_iofog.inputs.spec import Agent
from tests.adapters.conftest import QUICK, AgentOf

pytestmark = pytest.mark.lab
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPmGtyxuaTs5RSp0PVQvZ9VDBzTbKTvlKHZ4xi8y7Sfc"


@pytest.fixture
def known(home: Path) -> Path:
    """The operator's known_hosts; not there yet."""
    return home / ".ssh/known_hosts"


@pytest.fixture
def host(lab: Lab) -> Host:
    return lab.hosts["edge-docker"]


@pytest.fixture
def agent(agent_of: AgentOf) -> Agent:
    """Of the host, with the operator's own known_hosts."""
    return agent_of("edge-docker", known_hosts_file=None)


def log_in(agent: Agent, **fields: Any) -> str:
    with ssh.connect(replace(agent, **fields), timeouts=QUICK) as connection:
        return connection.run("id -un").text.strip()


def refused(agent: Agent, **fields: Any) -> str:
    with pytest.raises(HostKeyRefused) as caught:
        log_in(agent, **fields)
    return str(caught.value)


def fingerprint(line: str) -> str:
    """What ssh-keygen says of a public key."""
    return subprocess.run(["ssh-keygen", "-lf", "-"], input=line, capture_output=True, text=True, check=True).stdout


# ---- unknown and changed ----------------------------------------------------------------------------


def test_an_unknown_key_is_refused_and_the_line_in_the_error_helps(agent: Agent, host: Host, known: Path) -> None:
    said = refused(agent)
    assert said.startswith(
        f"edge-docker: verifying the host key of {host.address}: it is not known; the host presents "
    )
    shown = re.search(r"presents (ssh-ed25519) (SHA256:\S+)\. ", said)
    assert shown is not None
    assert shown[2] in fingerprint(host.host_key)
    line = re.search(r"run: (.*)$", said, re.MULTILINE)
    assert line is not None
    run("sh", "-c", line[1])
    assert host.host_key in known.read_text()
    assert log_in(agent) == "edge"


def test_a_changed_key_is_refused_and_the_line_in_the_error_helps(agent: Agent, host: Host, known: Path) -> None:
    known.write_text(f"{host.address} {OTHER}\nother.example {OTHER}\n")
    for accepting in (False, True):
        said = refused(agent, accept_new_host_key=accepting)
        assert (
            f"it has changed: expected {HostKey.parse(OTHER)}, the host presents {HostKey.parse(host.host_key)}" in said
        )
        assert "Someone may be intercepting the connection" in said
    line = re.search(r"run: (.*)$", said)
    assert line is not None
    run("sh", "-c", line[1])
    assert log_in(agent) == "edge"
    assert "other.example" in known.read_text()


def test_another_port_is_known_by_its_own_name(agent: Agent, host: Host, known: Path) -> None:
    host.run("mkdir -p /run/sshd && /usr/sbin/sshd -p 2222 -o 'PidFile /run/sshd-2222.pid'")
    try:
        known.write_text(f"{host.address} {OTHER}\n")
        said = refused(agent, port=2222)
        assert f"verifying the host key of [{host.address}]:2222: it is not known" in said
        line = re.search(r"run: (.*)$", said, re.MULTILINE)
        assert line is not None
        run("sh", "-c", line[1])
        assert log_in(agent, port=2222) == "edge"
        assert f"[{host.address}]:2222 {host.host_key}" in known.read_text()
        known.write_text(f"[{host.address}]:2222 {OTHER}\n")
        line = re.search(r"run: (.*)$", refused(agent, port=2222))
        assert line is not None
        run("sh", "-c", line[1])
        assert log_in(agent, port=2222) == "edge"
    finally:
        host.run("kill $(cat /run/sshd-2222.pid)")


# ---- accept_new_host_key ----------------------------------------------------------------------------


@pytest.mark.parametrize("before", [None, "", f"other.example {OTHER}", f"other.example {OTHER}\n"])
def test_a_new_key_is_accepted_once_and_verified_then(
    agent: Agent, host: Host, known: Path, before: str | None
) -> None:
    if before is None:
        known.parent.rmdir()
    else:
        known.write_text(before)
    assert log_in(agent, accept_new_host_key=True) == "edge"
    lines = known.read_text().splitlines()
    assert lines == [*(before or "").splitlines(), f"{host.address} {host.host_key}"]
    assert log_in(agent) == "edge"
    assert log_in(agent, accept_new_host_key=True) == "edge"
    assert known.read_text().splitlines() == lines
    assert run("ssh-keygen", "-F", host.address, "-f", known)


def test_known_hosts_that_cannot_be_written(agent: Agent, known: Path) -> None:
    known.mkdir()
    said = refused(agent, accept_new_host_key=True)
    assert said == f"edge-docker: adding the host key to {known}: Is a directory"


# ---- pinned -----------------------------------------------------------------------------------------


def test_a_pinned_key_is_the_only_one(agent: Agent, host: Host, known: Path) -> None:
    assert log_in(agent, host_key=host.host_key) == "edge"
    assert log_in(agent, host_key=f"{host.host_key} root@edge") == "edge"
    known.write_text(f"{host.address} {host.host_key}\n")
    said = refused(agent, host_key=OTHER, accept_new_host_key=True)
    assert "it has changed: expected" in said
    assert said.endswith("update host_key=")


def test_a_pinned_key_holds_for_an_alias_too(agent: Agent, host: Host, home: Path) -> None:
    (home / ".ssh/config").write_text(f"Host gate\n  HostName {host.address}\n")
    assert log_in(agent, name="gate", host=None, host_key=host.host_key) == "edge"
    assert "it has changed" in refused(agent, name="gate", host=None, host_key=OTHER)


@pytest.mark.parametrize("text", ["hidden", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa " + OTHER.split()[1], "# x"])
def test_a_pinned_key_that_is_none(agent: Agent, text: str) -> None:
    said = refused(agent, host_key=text)
    assert said.startswith("edge-docker: reading host_key: it is not a public key. Write it as in known_hosts")


# ---- what known_hosts may say -----------------------------------------------------------------------


def test_hashed_names(agent: Agent, host: Host, known: Path) -> None:
    known.write_text(f"{host.address} {host.host_key}\n")
    run("ssh-keygen", "-q", "-H", "-f", known)
    assert host.address not in known.read_text()
    assert log_in(agent) == "edge"
    known.write_text(f"{host.address} {OTHER}\n")
    run("ssh-keygen", "-q", "-H", "-f", known)
    assert "it has changed" in refused(agent)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("{a} {key}", "edge"),
        ("gate.example,{a} {key} comment", "edge"),
        ("198.18.*,!198.18.255.* {key}", "edge"),
        ("*,!{a} {key}", "not known"),
        ("{a} {other}\n{a} {key}", "edge"),
        ("@revoked * {key}\n{a} {key}", "revoked"),
        ("@revoked {a} {other}\n{a} {key}", "edge"),
        ("@cert-authority {a} {key}", "no @cert-authority has signed it, and it is not known"),
        (
            "{a} ssh-ed25519 !!!\n{a} unknown-kind AAAA\n\n# {a} {other}\n|1|x {key}\n|1|eA==|eA== {key}\n{a} {key}",
            "edge",
        ),
        ("{a}x {key}\nx{a} {key}", "not known"),
    ],
)
def test_lines_of_known_hosts(agent: Agent, host: Host, known: Path, text: str, verdict: str) -> None:
    known.write_text(text.format(a=host.address, key=host.host_key, other=OTHER) + "\n")
    if verdict == "edge":
        assert log_in(agent) == "edge"
    else:
        assert verdict in refused(agent)


def test_a_revoked_key_is_not_accepted_as_new(agent: Agent, host: Host, known: Path) -> None:
    known.write_text(f"@revoked * {host.host_key}\n")
    assert "it is revoked" in refused(agent, accept_new_host_key=True)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_the_host_is_asked_for_the_kind_of_key_that_is_known(agent: Agent, host: Host, known: Path, kind: str) -> None:
    """Not for the kind that comes first: then a host with several keys would seem changed."""
    key = host.folder / f"run/host_{kind}"
    run("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", key)
    own = "-o 'HostKey /etc/ssh/ssh_host_ed25519_key'"
    host.run(f"/usr/sbin/sshd -p 2223 {own} -h /run/{key.name} -o 'PidFile /run/sshd-2223.pid'")
    try:
        line = " ".join(key.with_suffix(".pub").read_text().split()[:2])
        known.write_text(f"[{host.address}]:2223 {line}\n")
        assert log_in(agent, port=2223) == "edge"
        assert log_in(agent, port=2223, host_key=line) == "edge"
    finally:
        host.run(f"kill $(cat /run/sshd-2223.pid); rm /run/{key.name}*")


# ---- without a host ---------------------------------------------------------------------------------


def test_a_fingerprint_is_what_openssh_prints() -> None:
    kind, shown = str(HostKey.parse(OTHER)).split()
    assert kind == "ssh-ed25519"
    assert shown in fingerprint(OTHER)


def test_the_command_is_quoted_for_a_shell() -> None:
    keys = HostKeys("edge", "::1", 2222, [Path("/tmp/my known"), Path("/tmp/2")], scan_from="ssh jump ")
    assert keys._scan == "ssh jump ssh-keyscan -p 2222 ::1 >> '/tmp/my known'"


def test_a_host_is_the_same_while_its_name_and_keys_are(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"

    def identity(host: str, port: int = 22) -> str:
        return HostKeys("edge-1", host, port, [file]).identity

    assert identity("198.18.0.7") == ""
    file.write_text(f"198.18.0.7,198.18.0.8 {OTHER}\n")
    first = identity("198.18.0.7")
    assert first.startswith("198.18.0.7 ssh-ed25519 SHA256:")
    assert len({first, identity("198.18.0.8"), identity("198.18.0.7", 2222)}) == 3
    file.write_text(f"198.18.0.7 {OTHER.replace('PmG', 'PmH')}\n")
    assert identity("198.18.0.7") not in ("", first)
