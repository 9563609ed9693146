"""What a connection runs over: ProxyCommand, IPv6, several addresses, and jump hosts on loopback."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.shell import run
from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.adapters.ssh.dial import ProxyCommand
from pulumi_iofog.errors import HostKeyRefused, Unreachable
from pulumi_iofog.inputs.spec import Agent
from tests.adapters.conftest import QUICK
from tests.adapters.ssh.sshd import Sshd, new_key, running

pytestmark = pytest.mark.lab
PIPE = (
    "import os, select, socket, sys\n"
    "line = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
    "while True:\n"
    "    for ready in select.select([0, line], [], [])[0]:\n"
    "        data = os.read(0, 65536) if ready == 0 else line.recv(65536)\n"
    "        if not data: sys.exit()\n"
    "        line.sendall(data) if ready == 0 else os.write(1, data)\n"
)
"""What nc does, which not every machine has."""


@pytest.fixture
def server(tmp_path: Path, home: Path) -> Iterator[Sshd]:
    with running(tmp_path / "sshd") as server:
        yield server


@pytest.fixture
def key(tmp_path: Path, server: Sshd) -> Path:
    key = new_key(tmp_path / "id")
    server.allow(key)
    return key


@pytest.fixture
def pipe(tmp_path: Path) -> str:
    """A ProxyCommand that works."""
    (tmp_path / "pipe.py").write_text(PIPE)
    return f"python3 {tmp_path}/pipe.py"


def echo(agent: Agent) -> str:
    with ssh.connect(agent, timeouts=QUICK) as connection:
        assert connection.send("wc -c", [bytes(1 << 20)] * 3, lambda count: None).text == f"{3 << 20}\n"
        return connection.run("echo ${SSH_CONNECTION%% *}").text.strip()


def unreachable(agent: Agent) -> str:
    with pytest.raises(Unreachable) as caught:
        echo(agent)
    return str(caught.value)


# ---- ProxyCommand -----------------------------------------------------------------------------------


def test_a_proxy_command(server: Sshd, key: Path, home: Path, pipe: str) -> None:
    """By the user's shell, with tokens."""
    (home / ".ssh/config").write_text(
        f"Host gate\n  HostName 127.0.0.1\n  Port {server.port}\n  User root\n"
        f'  ProxyCommand env A=1 {pipe} %h "$(echo %p)"\n'
    )
    agent = Agent("gate", private_key_file=str(key), host_key=server.host_key)
    assert echo(agent) == "127.0.0.1"
    assert echo(replace(agent, host="127.0.0.1")) == "127.0.0.1"


def test_a_proxy_command_that_is_ssh(server: Sshd, key: Path, home: Path) -> None:
    with running(home / "target") as target:
        target.allow(key)
        options = f"-i {key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
        (home / ".ssh/config").write_text(
            f"Host gate\n  HostName 127.0.0.1\n  Port {target.port}\n  User root\n"
            f"  ProxyCommand ssh -q {options} -p {server.port} -W %h:%p root@127.0.0.1\n"
        )
        assert echo(Agent("gate", private_key_file=str(key), host_key=target.host_key)) == "127.0.0.1"


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (
            "sh -c 'echo first >&2; echo no way to %h >&2; exit 7' --password hidden",
            "sh ended with exit code 7: no way to 192",
        ),
        ("no-such-program --password hidden", "no-such-program ended with exit code 127: .*not found"),
        ("false", "false ended with exit code 1"),
        ("sh -c 'echo broken pipe >&2'", "sh said: broken pipe"),
    ],
)
def test_a_proxy_command_that_fails_says_why(home: Path, command: str, why: str) -> None:
    (home / ".ssh/config").write_text(f"Host gate\n  HostName 192.0.2.1\n  ProxyCommand {command}\n")
    said = unreachable(Agent("gate"))
    assert re.match(rf"gate: connecting \(192.0.2.1:22\): the ProxyCommand {why}", said)
    assert said.endswith(". Check ProxyCommand in ~/.ssh/config")
    assert "hidden" not in said


def test_a_proxy_command_that_is_silent(home: Path) -> None:
    (home / ".ssh/config").write_text("Host gate\n  ConnectTimeout 1\n  ProxyCommand sleep 60\n")
    began = time.monotonic()
    assert "gate: connecting (gate:22): " in unreachable(Agent("gate"))
    assert time.monotonic() - began < 50


def test_an_unknown_key_behind_a_proxy_command(server: Sshd, key: Path, home: Path, pipe: str) -> None:
    (home / ".ssh/config").write_text(
        f"Host gate\n  HostName 127.0.0.1\n  Port {server.port}\n  User root\n  ProxyCommand {pipe} %h %p\n"
    )
    with pytest.raises(HostKeyRefused, match="If that is the right key, run: ssh gate true\n"):
        echo(Agent("gate", private_key_file=str(key)))


def test_what_a_proxy_command_has_started_ends_with_it(tmp_path: Path) -> None:
    """Also what does not listen to the end of its input."""
    line = ProxyCommand(f"sh -c 'sleep 60 & echo $! > {tmp_path}/pid; wait'")
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.01)
    line.close()
    line.close()
    pid = int((tmp_path / "pid").read_text())
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"
    assert line.problem == ""


def test_a_shell_that_is_not_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/no/shell")
    (home / ".ssh/config").write_text("Host gate\n  ProxyCommand true\n")
    assert "gate: connecting (gate:22): No such file or directory" in unreachable(Agent("gate"))


# ---- addresses --------------------------------------------------------------------------------------


def test_ipv6(tmp_path: Path, home: Path) -> None:
    key, known = new_key(tmp_path / "id"), home / ".ssh/known_hosts"
    with running(tmp_path / "sshd", address="::1") as server:
        server.allow(key)
        for host, port in (("::1", server.port), (f"[::1]:{server.port}", None)):
            known.unlink(missing_ok=True)
            agent = server.agent(private_key_file=str(key), host=host, port=port, known_hosts_file=str(known))
            with pytest.raises(HostKeyRefused) as caught:
                echo(agent)
            assert f"verifying the host key of [::1]:{server.port}: it is not known" in str(caught.value)
            line = re.search(r"run: (.*)$", str(caught.value), re.MULTILINE)
            assert line is not None
            run("sh", "-c", line[1])
            assert echo(agent) == "::1"
        jump = f"root@[::1]:{server.port}"
        assert echo(replace(agent, proxy_jump=jump, host="::1", port=server.port)) == "::1"
        (home / ".ssh/config").write_text("AddressFamily inet\n")
        assert "the name ::1 cannot be resolved" in unreachable(agent)


def test_every_address_of_a_name_is_tried(server: Sshd, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after one whose network cannot be reached; what is said is what all have said."""
    real = socket.getaddrinfo

    def found(host: str, *args: object, **options: object) -> object:
        # The first is a group's: Linux says at once that its network cannot be reached (tcp_v6_connect).
        hosts = ("ff0e::1", "127.0.0.2", "127.0.0.1") if host == "gate.example" else (host,)
        return [entry for host in hosts for entry in real(host, *args, **options)]  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    agent = server.agent(private_key_file=str(key), host="gate.example")
    assert echo(agent) == "127.0.0.1"
    with socket.socket() as taken:  # by nobody who listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        said = unreachable(replace(agent, port=port))
    assert f"edge: connecting (gate.example:{port}): " in said
    assert os.strerror(111) in said


# ---- known hosts ------------------------------------------------------------------------------------


def test_names_and_files_of_the_configuration(server: Sshd, key: Path, home: Path, tmp_path: Path) -> None:
    """HostKeyAlias, UserKnownHostsFile, GlobalKnownHostsFile, StrictHostKeyChecking, HashKnownHosts."""
    config, mine, all_ = home / ".ssh/config", tmp_path / "mine", tmp_path / "all"
    agent = replace(server.agent(private_key_file=str(key)), host_key=None)
    lines = f"HostKeyAlias front\nUserKnownHostsFile {mine}\nGlobalKnownHostsFile {all_}\n"
    config.write_text(lines)
    with pytest.raises(HostKeyRefused) as caught:
        echo(agent)
    assert "verifying the host key of front: it is not known" in str(caught.value)
    line = re.search(r"run: (.*)$", str(caught.value), re.MULTILINE)
    assert line is not None
    run("sh", "-c", line[1])
    assert f"front {server.host_key}\n" in mine.read_text()
    assert echo(agent) == "127.0.0.1"
    mine.rename(all_)
    assert echo(agent) == "127.0.0.1"
    all_.write_text(f"front {new_key(tmp_path / 'other').with_name('other.pub').read_text()}")
    config.write_text(f"{lines}StrictHostKeyChecking no\n")
    with pytest.raises(HostKeyRefused, match=f"it has changed: .*ssh-keygen -R front -f {all_}"):
        echo(agent)
    all_.unlink()
    for strict in ("accept-new", "no", "off"):
        config.write_text(f"{lines}StrictHostKeyChecking {strict}\nHashKnownHosts yes\n")
        assert echo(agent) == "127.0.0.1"
        assert mine.read_text().startswith("|1|")
        assert server.host_key in run("ssh-keygen", "-F", "front", "-f", mine)
        mine.unlink()
    config.write_text("UserKnownHostsFile none\nStrictHostKeyChecking no\n")
    assert echo(agent) == "127.0.0.1"
    assert not (home / ".ssh/known_hosts").exists()


def test_a_hashed_name_is_in_lower_case(server: Sshd, key: Path, home: Path) -> None:
    known = home / ".ssh/known_hosts"
    known.write_text(f"[localhost]:{server.port} {server.host_key}\n")
    run("ssh-keygen", "-q", "-H", "-f", known)
    agent = replace(server.agent(private_key_file=str(key)), host="LocalHost", host_key=None)
    assert echo(agent) in ("127.0.0.1", "::1")


def test_a_jump_host_whose_key_is_unknown_is_named(server: Sshd, key: Path) -> None:
    """The agent's own host_key= says nothing of it."""
    agent = server.agent(private_key_file=str(key), proxy_jump=f"root@{server.name.replace('127.0.0.1', 'localhost')}")
    with pytest.raises(HostKeyRefused) as caught:
        echo(agent)
    said = str(caught.value)
    assert f"verifying the host key of [localhost]:{server.port} (jump host 1 of 1): it is not known" in said
    assert said.endswith("\nor set accept_new_host_key=True")


def test_a_jump_host_with_a_proxy_command(server: Sshd, key: Path, home: Path, pipe: str) -> None:
    with running(home / "target") as target:
        target.allow(key)
        known = home / ".ssh/known_hosts"
        known.write_text(f"{server.name} {server.host_key}\n{target.name} {target.host_key}\n")
        (home / ".ssh/config").write_text(
            f"Host gate\n  HostName 127.0.0.1\n  Port {target.port}\n  ProxyJump first\n"
            f"Host first\n  HostName 127.0.0.1\n  Port {server.port}\n  ProxyCommand {pipe} %h %p\n"
            f"Host *\n  User root\n  IdentityFile {key}\n"
        )
        assert echo(Agent("gate")) == "127.0.0.1"
        (home / ".ssh/config").write_text((home / ".ssh/config").read_text().replace(pipe, "false"))
        head = f"gate: connecting to jump host 1 of 1 (127.0.0.1:{server.port}): the ProxyCommand false ended with exit"
        assert unreachable(Agent("gate")).startswith(head)
