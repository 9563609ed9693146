"""Logging in to a real sshd: every kind of key and password, and what an error says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_ssh_private_key

from lab import Lab
from lab.shell import run
from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.errors import AgentError, LoginRefused
from pulumi_iofog.inputs.spec import Agent
from tests.adapters.conftest import QUICK, AgentOf

pytestmark = pytest.mark.lab
NewKey = Callable[..., Path]
PASSPHRASE = "hidden passphrase"
KINDS = {
    "ed25519": ["-t", "ed25519"],
    "ecdsa": ["-t", "ecdsa", "-b", "384"],
    "rsa": ["-t", "rsa", "-b", "2048"],
    "rsa-pem": ["-t", "rsa", "-b", "2048", "-m", "PEM"],
    "ecdsa-pem": ["-t", "ecdsa", "-m", "PEM"],
    "rsa-pkcs8": ["-t", "rsa", "-b", "2048", "-m", "PKCS8"],
}


def who(agent: Agent) -> str:
    """Log in and ask for the user's name."""
    with ssh.connect(agent, timeouts=QUICK) as connection:
        return connection.run("id -un").text.strip()


def refused(agent: Agent) -> str:
    with pytest.raises(LoginRefused) as caught:
        who(agent)
    assert caught.value.who == agent.name
    return str(caught.value)


@pytest.fixture
def new_key(lab: Lab, tmp_path: Path) -> Iterator[NewKey]:
    """Makes keys that the host lets in, by what ssh-keygen is told; only within the test."""
    host = lab.hosts["edge-docker"]
    allowed = host.folder / "home/edge/.ssh/authorized_keys"
    before = allowed.read_text()

    def make(*options: str, passphrase: str = "", allow: bool = True) -> Path:
        path = tmp_path / f"key{len(list(tmp_path.iterdir()))}"
        run("ssh-keygen", "-q", *options, "-N", passphrase, "-C", "test", "-f", path)
        if allow:
            allowed.write_text(allowed.read_text() + path.with_suffix(".pub").read_text())
        return path

    yield make
    allowed.write_text(before)


# ---- keys -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
def test_a_key_as_file_and_as_text(agent_of: AgentOf, new_key: NewKey, kind: str, passphrase: str) -> None:
    path = new_key(*KINDS[kind], passphrase=passphrase)
    given = {"passphrase": passphrase or None}
    assert who(agent_of("edge-docker", private_key_file=str(path), **given)) == "edge"
    assert who(agent_of("edge-docker", private_key_file=None, private_key=path.read_text(), **given)) == "edge"


def test_an_ed25519_key_in_pkcs8(agent_of: AgentOf, new_key: NewKey) -> None:
    """What Pulumi's tls.PrivateKey gives; ssh-keygen cannot write it."""
    text = run("openssl", "genpkey", "-algorithm", "ed25519")
    path = new_key("-t", "ed25519")
    assert who(agent_of("edge-docker", private_key_file=None, private_key=_pkcs8(path))) == "edge"
    assert "accepted none of: private_key; it" in refused(
        agent_of("edge-docker", private_key_file=None, private_key=text)
    )


def _pkcs8(path: Path) -> str:
    key = load_ssh_private_key(path.read_bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize("kind", ["ed25519", "rsa-pem", "rsa-pkcs8"])
@pytest.mark.parametrize("as_text", [False, True])
def test_an_encrypted_key_needs_its_passphrase(agent_of: AgentOf, new_key: NewKey, kind: str, as_text: bool) -> None:
    path = new_key(*KINDS[kind], passphrase=PASSPHRASE)
    given = {"private_key_file": None, "private_key": path.read_text()} if as_text else {"private_key_file": str(path)}
    what = "private_key" if as_text else f"the private key {path}"
    head = f"edge-docker: logging in as edge@{agent_of('edge-docker').host}:22: {what}"
    assert (
        refused(agent_of("edge-docker", **given))
        == f"{head} is encrypted. Set passphrase=, or add the key to an ssh-agent: ssh-add"
    )
    said = refused(agent_of("edge-docker", **given, passphrase="wrong secret"))
    assert said == f"{head}: it cannot be read as an OpenSSH or PEM private key, or its passphrase is wrong"


def test_a_passphrase_that_is_not_needed_does_no_harm(agent_of: AgentOf) -> None:
    assert who(agent_of("edge-docker", passphrase=PASSPHRASE)) == "edge"


def test_a_key_that_the_host_does_not_know(agent_of: AgentOf, new_key: NewKey) -> None:
    path = new_key("-t", "ed25519", allow=False)
    agent = agent_of("edge-docker", private_key_file=str(path))
    assert refused(agent) == (
        f"edge-docker: logging in as edge@{agent.host}:22: the host accepted none of: the private key {path};"
        " it accepts publickey, password, keyboard-interactive."
        f" Check user=, private_key_file= or password=; try: ssh -p 22 edge@{agent.host}"
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file or directory"),
        (b"ssh-ed25519 AAAA", "it cannot be read"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nhidden\n-----END OPENSSH PRIVATE KEY-----\n", "it cannot be read"),
        (b"\xff\xfe", "it is not text"),
        (b"", "it cannot be read"),
    ],
)
def test_a_file_that_is_no_key(agent_of: AgentOf, tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    said = refused(agent_of("edge-docker", private_key_file=str(path)))
    assert f"the private key {path}: {why}" in said
    assert "hidden" not in said


def test_a_key_in_the_home_folder_is_found(agent_of: AgentOf, home: Path, new_key: NewKey) -> None:
    path = new_key("-t", "ed25519")
    path.replace(home / ".ssh/id_ed25519")
    assert who(agent_of("edge-docker", private_key_file=None)) == "edge"
    assert who(agent_of("edge-docker", private_key_file="~/.ssh/id_ed25519")) == "edge"


def test_nothing_to_log_in_with(agent_of: AgentOf) -> None:
    said = refused(agent_of("edge-docker", private_key_file=None))
    assert "there is no key, ssh-agent or password to try; it accepts publickey, password" in said


# ---- passwords --------------------------------------------------------------------------------------


def test_a_password(agent_of: AgentOf, lab: Lab) -> None:
    password = lab.hosts["edge-docker"].password
    assert who(agent_of("edge-docker", private_key_file=None, password=password)) == "edge"


def test_a_wrong_password(agent_of: AgentOf) -> None:
    said = refused(agent_of("edge-docker", private_key_file=None, password="hidden"))
    assert "the host accepted none of: password; it accepts publickey, password" in said
    assert "hidden" not in said


def test_a_password_where_the_host_takes_none(agent_of: AgentOf, lab: Lab) -> None:
    password = lab.hosts["edge-docker"].password
    said = refused(agent_of("edge-docker", user="root", private_key_file=None, password=password))
    assert "the host accepted none of: password; it accepts publickey, password" in said


@pytest.fixture
def asking(lab: Lab) -> Iterator[int]:
    """The port of an sshd that asks for passwords in PAM's words, by keyboard-interactive."""
    host = lab.hosts["edge-docker"]
    host.run(
        "mkdir -p /run/sshd && /usr/sbin/sshd -p 2224 -o 'PidFile /run/sshd-2224.pid' -o UsePAM=yes"
        " -o PasswordAuthentication=no -o KbdInteractiveAuthentication=yes"
    )
    yield 2224
    host.run("kill $(cat /run/sshd-2224.pid)")


def test_a_password_that_is_asked_for_in_words_of_the_host(agent_of: AgentOf, lab: Lab, asking: int) -> None:
    host = lab.hosts["edge-docker"]
    given = {"private_key_file": None, "port": asking, "host_key": host.host_key}
    assert who(agent_of("edge-docker", **given, password=host.password)) == "edge"
    said = refused(agent_of("edge-docker", **given, password="hidden"))
    assert "the host accepted none of: keyboard-interactive; it accepts publickey, keyboard-interactive" in said
    assert "hidden" not in said


@pytest.mark.parametrize(
    "methods", ["password,publickey", "publickey,password", "publickey,keyboard-interactive", "keyboard-interactive"]
)
def test_a_host_that_wants_several_steps(agent_of: AgentOf, lab: Lab, methods: str) -> None:
    host = lab.hosts["edge-docker"]
    pam = "yes" if "keyboard" in methods else "no"
    host.run(
        "mkdir -p /run/sshd && /usr/sbin/sshd -p 2226 -o 'PidFile /run/sshd-2226.pid'"
        f" -o AuthenticationMethods={methods} -o UsePAM={pam} -o KbdInteractiveAuthentication={pam}"
    )
    try:
        agent = agent_of("edge-docker", port=2226, host_key=host.host_key, password=host.password)
        assert who(agent) == "edge"
        said = refused(replace(agent, password="hidden"))
        assert "hidden" not in said
        assert f"it accepts {methods.split(',')[-1 if methods.startswith('publickey') else 0]}" in said
    finally:
        host.run("kill $(cat /run/sshd-2226.pid)")


# ---- ssh-agent --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ssh_agent")
def test_a_key_that_an_ssh_agent_holds(agent_of: AgentOf, home: Path, new_key: NewKey) -> None:
    path = new_key("-t", "ed25519")
    agent = agent_of("edge-docker", private_key_file=None)
    refused(agent)
    run("ssh-add", "-q", path)
    path.unlink()
    assert who(agent) == "edge"
    (home / ".ssh/config").write_text("Host *\n  IdentitiesOnly yes\n")
    refused(agent)


@pytest.mark.usefixtures("ssh_agent")
def test_an_ssh_agent_with_too_many_keys(agent_of: AgentOf, new_key: NewKey) -> None:
    for _ in range(7):  # sshd_config's MaxAuthTries is 6
        run("ssh-add", "-q", new_key("-t", "ed25519", allow=False))
    said = refused(agent_of("edge-docker", private_key_file=None))
    assert "the host closed the connection after 6 attempts: ssh-agent's key test, " in said
    assert "set IdentityFile and IdentitiesOnly in ~/.ssh/config" in said
    assert who(agent_of("edge-docker")) == "edge"  # the agent's own key goes first


# ---- ~/.ssh/config ----------------------------------------------------------------------------------


def test_an_alias_gives_host_user_key_and_known_hosts(agent_of: AgentOf, lab: Lab, home: Path) -> None:
    host = lab.hosts["edge-docker"]
    (home / ".ssh/config").write_text(
        f"Host gate\n  HostName {host.address}\n  User plain\n  Port 22\n  IdentityFile {host.private_key_file}\n"
        f"  UserKnownHostsFile {lab.known_hosts_file}\n"
    )
    assert who(Agent("gate")) == "plain"
    # As resolved: the alias is the name, and its HostName has become the host.
    assert who(Agent("gate", host=ssh.configured_host("gate"))) == "plain"
    assert who(Agent("other", host="gate", user="edge")) == "edge"
    assert ssh.configured_host("other") is None


def test_an_alias_of_another_host_is_not_used(agent_of: AgentOf, home: Path) -> None:
    (home / ".ssh/config").write_text("Host edge-docker\n  HostName 198.51.100.1\n  User nobody\n")
    assert who(agent_of("edge-docker")) == "edge"


@pytest.mark.parametrize("text", ["Host gate\n  Port twenty\n", "Match nonsense\n", 'Host "gate\n', "garbage\n"])
def test_a_config_that_cannot_be_read(home: Path, text: str) -> None:
    (home / ".ssh/config").write_text(text)
    with pytest.raises(AgentError, match=r"^gate: reading ~/\.ssh/config: "):
        who(Agent("gate"))


# ---- secrets ----------------------------------------------------------------------------------------


def test_no_secret_shows(agent_of: AgentOf, new_key: NewKey, log_file: Path) -> None:
    path = new_key("-t", "ed25519", passphrase=PASSPHRASE, allow=False)
    text = path.read_text()
    agent = agent_of(
        "edge-docker", private_key_file=None, private_key=text, passphrase=PASSPHRASE, password="hidden password"
    )
    with pytest.raises(LoginRefused) as caught:
        who(agent)
    shown = f"{caught.value}{caught.value!r}{caught.value.args}{agent}{log_file.read_text()}"
    assert not any(secret in shown for secret in ("hidden", *text.splitlines()[1:-1]))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
