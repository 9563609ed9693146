"""What a login tries, in which order, and what it says of it: keys, ssh-agent, several steps."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.shell import run
from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.adapters.ssh import private_keys
from pulumi_iofog.adapters.ssh.login import _Answers
from pulumi_iofog.errors import LoginRefused
from pulumi_iofog.inputs.spec import Agent
from tests.adapters.conftest import QUICK
from tests.adapters.ssh.sshd import Sshd, new_key, running, sign

pytestmark = pytest.mark.lab


@pytest.fixture
def server(tmp_path: Path, home: Path) -> Iterator[Sshd]:
    with running(tmp_path / "sshd", "LogLevel DEBUG", "MaxAuthTries 6") as server:
        yield server


def who(agent: Agent) -> str:
    with ssh.connect(agent, timeouts=QUICK) as connection:
        return connection.run("id -un").text.strip()


def refused(agent: Agent) -> str:
    with pytest.raises(LoginRefused) as caught:
        who(agent)
    return str(caught.value)


# ---- ssh-agent --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [("-t", "ed25519"), ("-t", "rsa", "-b", "2048", "-m", "PEM")])
def test_an_encrypted_key_that_an_ssh_agent_holds(
    server: Sshd, tmp_path: Path, ssh_agent: Path, home: Path, kind: tuple[str, ...]
) -> None:
    """It needs no passphrase, however it is named; and no other key of the agent is shown."""
    key, clear = new_key(tmp_path / "id", *kind, passphrase="hidden"), new_key(tmp_path / "clear", *kind)
    for _ in range(8):  # more than MaxAuthTries
        run("ssh-add", "-q", new_key(tmp_path / f"other{_}"))
    run("cp", key, clear)
    run("ssh-keygen", "-q", "-p", "-P", "hidden", "-N", "", "-f", clear)
    run("ssh-add", "-q", clear)
    server.allow(key)
    assert who(server.agent(private_key_file=str(key))) == "root"
    assert who(server.agent(private_key_file=f"{key}.pub")) == "root"
    for identity in (key, f"{key}.pub"):
        (home / ".ssh/config").write_text(f"Host 127.*\n  IdentityFile {identity}\n  IdentitiesOnly yes\n")
        assert who(server.agent()) == "root"


def test_a_public_key_that_no_ssh_agent_holds(server: Sshd, tmp_path: Path, home: Path) -> None:
    key = new_key(tmp_path / "id")
    said = refused(server.agent(private_key_file=f"{key}.pub"))
    assert f"the private key {key}.pub is a public key, and no ssh-agent holds its private key. Try: ssh-add" in said
    (home / ".ssh/config").write_text(f"IdentityFile {key}.pub\nIdentityFile {home}/none\n")
    said = refused(server.agent())
    assert f"accepted none of: {key}.pub (not held by ssh-agent), {home}/none (No such file or directory); it" in said


def test_the_ssh_agent_that_the_configuration_names(
    server: Sshd, tmp_path: Path, ssh_agent: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key(tmp_path / "id")
    run("ssh-add", "-q", key)
    server.allow(key)
    monkeypatch.delenv("SSH_AUTH_SOCK")
    monkeypatch.setenv("OTHER", str(ssh_agent))
    for value, there in ((ssh_agent, True), ("$OTHER", True), ("~/agent", True), ("none", False), ("~/x", False)):
        (home / ".ssh/config").write_text(f"IdentityAgent {value}\n")
        if there:
            assert who(server.agent()) == "root"
        else:
            said = refused(server.agent())
            assert (f"ssh-agent ({home}/x: No such file or directory)" in said) == (value == "~/x")


@pytest.mark.parametrize("kind", [("-t", "ed25519"), ("-t", "rsa", "-b", "2048"), ("-t", "ecdsa")])
def test_a_certificate_that_an_ssh_agent_holds(
    tmp_path: Path, home: Path, ssh_agent: Path, kind: tuple[str, ...]
) -> None:
    """ssh-add takes it along with its key."""
    authority, key = new_key(tmp_path / "authority"), new_key(tmp_path / "id", *kind)
    sign(authority, key, "-n", "root")
    run("ssh-add", "-q", key)
    with running(tmp_path / "sshd", f"TrustedUserCAKeys {authority}.pub") as server:
        assert who(server.agent()) == "root"
        (tmp_path / "id-cert.pub").unlink()
        assert who(server.agent(private_key_file=f"{key}.pub")) == "root"


def test_a_key_that_the_ssh_agent_will_not_use(server: Sshd, tmp_path: Path, ssh_agent: Path) -> None:
    """One that its user must confirm, who is not there; the next way to log in is still tried."""
    key = new_key(tmp_path / "id")
    run("ssh-add", "-q", "-c", key)
    server.allow(key)
    assert "accepted none of: ssh-agent's key id; it accepts" in refused(server.agent())
    other = new_key(tmp_path / "other")
    server.allow(other)
    run("ssh-add", "-q", other)
    assert who(server.agent()) == "root"


# ---- keys of the configuration ----------------------------------------------------------------------


def test_an_encrypted_key_of_the_configuration_is_named(server: Sshd, tmp_path: Path, home: Path) -> None:
    key = new_key(tmp_path / "id", passphrase="hidden")
    server.allow(key)
    (home / ".ssh/config").write_text(f"IdentityFile {key}\n")
    assert f"accepted none of: {key} (it is encrypted); it" in refused(server.agent())
    assert who(server.agent(passphrase="hidden")) == "root"


def test_default_keys_are_for_hosts_without_any(server: Sshd, tmp_path: Path, home: Path) -> None:
    server.allow(new_key(home / ".ssh/id_ed25519"))
    assert who(server.agent()) == "root"
    other = new_key(tmp_path / "other")
    (home / ".ssh/config").write_text(f"IdentityFile {other}\n")
    assert f"accepted none of: {other}; it" in refused(server.agent())


def test_ways_that_the_configuration_forbids(server: Sshd, tmp_path: Path, home: Path) -> None:
    key = new_key(tmp_path / "id")
    server.allow(key)
    agent = server.agent(private_key_file=str(key), password="hidden")
    assert who(agent) == "root"
    (home / ".ssh/config").write_text("PubkeyAuthentication no\n")
    assert "accepted none of: password; it" in refused(agent)
    (home / ".ssh/config").write_text(
        "PubkeyAuthentication no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
    )
    assert "there is no key, ssh-agent or password to try" in refused(agent)


# ---- several steps ----------------------------------------------------------------------------------


def test_a_host_that_wants_two_keys(tmp_path: Path, home: Path) -> None:
    one, two = new_key(tmp_path / "one"), new_key(tmp_path / "two")
    with running(tmp_path / "sshd", "AuthenticationMethods publickey,publickey") as server:
        server.allow(one)
        said = refused(server.agent(private_key_file=str(one)))
        assert f"the host accepted the private key {one}, but wants more; it accepts publickey" in said
        server.allow(two)
        (home / ".ssh/config").write_text(f"IdentityFile {two}\n")
        assert who(server.agent(private_key_file=str(one))) == "root"


def test_a_host_that_wants_a_password_too(tmp_path: Path, home: Path) -> None:
    key = new_key(tmp_path / "id")
    with running(tmp_path / "sshd", "AuthenticationMethods publickey,password") as server:
        server.allow(key)
        said = refused(server.agent(private_key_file=str(key), password="hidden"))
        assert (
            f"the host accepted the private key {key}, but wants more; it refused: password; it accepts password"
            in said
        )
        assert "hidden" not in said


def test_a_password_answers_one_question_that_is_not_shown() -> None:
    answers = _Answers("secret")
    assert answers("", "", [("Login: ", True), ("Password: ", False), ("Code: ", False)]) == ["", "secret", ""]
    assert answers("", "", [("Password: ", False)]) == [""]
    assert answers("", "Welcome", []) == []
    assert answers.unanswered == ["Login:", "Code:", "Password:"]


# ---- public parts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("passphrase", ["", "hidden"])
def test_the_public_part_of_a_private_key(tmp_path: Path, passphrase: str) -> None:
    key = new_key(tmp_path / "id", passphrase=passphrase)
    public = (tmp_path / "id.pub").read_text()
    assert private_keys.public_of(key.read_text()) == private_keys.public_of(public)
    assert private_keys.public_of(public) == base64.b64decode(public.split()[1])
    pem = new_key(tmp_path / "pem", "-t", "rsa", "-b", "2048", "-m", "PEM")
    for text in ("", "x", pem.read_text(), key.read_text()[:60], "-----BEGIN OPENSSH PRIVATE KEY-----\n!!"):
        assert private_keys.public_of(text) is None
