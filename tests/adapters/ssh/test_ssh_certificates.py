"""User and host certificates of OpenSSH, against a real sshd."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.shell import run
from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.adapters.ssh.certificates import Certificate
from pulumi_iofog.adapters.ssh.known_hosts import HostKey
from pulumi_iofog.errors import HostKeyRefused, LoginRefused
from pulumi_iofog.inputs.spec import Agent
from tests.adapters.conftest import QUICK
from tests.adapters.ssh.sshd import Sshd, new_key, running, sign

pytestmark = pytest.mark.lab
PAST = ("-V", "20200101:20200102")
FUTURE = ("-V", "20900101:20900102")


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    return new_key(tmp_path / "authority")


def who(agent: Agent) -> str:
    with ssh.connect(agent, timeouts=QUICK) as connection:
        return connection.run("id -un").text.strip()


# ---- users ------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path, home: Path, authority: Path) -> Iterator[Sshd]:
    """Lets in whom the authority has signed for root, and no bare key."""
    with running(tmp_path / "sshd", f"TrustedUserCAKeys {authority}.pub", "PasswordAuthentication no") as server:
        yield server


def refused(agent: Agent) -> str:
    with pytest.raises(LoginRefused) as caught:
        who(agent)
    return str(caught.value)


@pytest.mark.parametrize("kind", [("-t", "ed25519"), ("-t", "ecdsa"), ("-t", "rsa", "-b", "2048")])
@pytest.mark.parametrize("passphrase", ["", "hidden"])
def test_a_certificate_beside_the_key(
    server: Sshd, authority: Path, tmp_path: Path, kind: tuple[str, ...], passphrase: str
) -> None:
    key = new_key(tmp_path / "id", *kind, passphrase=passphrase)
    agent = server.agent(private_key_file=str(key), passphrase=passphrase or None)
    assert f"the host accepted none of: the private key {key}; it accepts publickey" in refused(agent)
    sign(authority, key, "-n", "root")
    assert who(agent) == "root"


def test_a_certificate_of_the_configuration(server: Sshd, authority: Path, tmp_path: Path, home: Path) -> None:
    key = new_key(tmp_path / "id")
    elsewhere = sign(authority, key, "-n", "root").rename(tmp_path / "signed.pub")
    other = sign(authority, new_key(tmp_path / "other"), "-n", "root")
    (home / ".ssh/config").write_text(f"Host 127.*\n  CertificateFile {other}\n  CertificateFile {elsewhere}\n")
    assert who(server.agent(private_key_file=str(key))) == "root"
    assert who(server.agent(private_key=key.read_text())) == "root"
    (home / ".ssh/config").write_text(f"Host 127.*\n  CertificateFile {elsewhere}\n  IdentityFile {key}\n")
    assert who(server.agent()) == "root"


def test_a_certificate_of_a_default_key(server: Sshd, authority: Path, home: Path) -> None:
    key = new_key(home / ".ssh/id_ed25519")
    sign(authority, key, "-n", "root")
    assert who(server.agent()) == "root"


def test_a_certificate_that_does_not_count_does_no_harm(server: Sshd, authority: Path, tmp_path: Path) -> None:
    key = new_key(tmp_path / "id")
    server.allow(key)
    sign(authority, key, "-n", "root", *PAST)
    assert who(server.agent(private_key_file=str(key))) == "root"
    (tmp_path / "id-cert.pub").write_text("nonsense")
    assert who(server.agent(private_key_file=str(key))) == "root"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (PAST, "it expired on 2020-01-02 00:00 UTC"),
        (FUTURE, "it is not valid before 2090-01-01 00:00 UTC"),
    ],
)
def test_a_certificate_out_of_its_time(
    server: Sshd, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], why: str
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    key = new_key(tmp_path / "id")
    certificate = sign(authority, key, "-n", "root", *options)
    said = refused(server.agent(private_key_file=str(key)))
    assert f"the host accepted none of: certificate {certificate} ({why}), the private key {key}" in said
    assert said.endswith("Renew the certificate") == (options == PAST)


def test_a_certificate_for_another_user(server: Sshd, authority: Path, tmp_path: Path) -> None:
    key = new_key(tmp_path / "id")
    certificate = sign(authority, key, "-n", "somebody")
    assert f"accepted none of: certificate {certificate}, the private key {key}" in refused(
        server.agent(private_key_file=str(key))
    )


# ---- hosts ------------------------------------------------------------------------------------------


@pytest.fixture
def known(home: Path) -> Path:
    return home / ".ssh/known_hosts"


def certified(folder: Path, authority: Path, *options: str, kind: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What an sshd needs that shows a certificate."""
    key = new_key(folder / "host_key", *kind)
    return (f"HostKey {key}", f"HostCertificate {sign(authority, key, '-h', *options)}")


def line(marker: str, name: str, key: Path) -> str:
    return f"{marker} {name} {key.with_name(f'{key.name}.pub').read_text()}"


def log_in(server: Sshd, key: Path, **fields: Any) -> str:
    server.allow(key)
    return who(replace(server.agent(private_key_file=str(key)), host_key=None, **fields))


def host_refused(server: Sshd, key: Path, **fields: Any) -> str:
    with pytest.raises(HostKeyRefused) as caught:
        log_in(server, key, **fields)
    return str(caught.value)


@pytest.mark.parametrize("kind", [("-t", "ed25519"), ("-t", "ecdsa", "-b", "384"), ("-t", "rsa", "-b", "2048")])
def test_a_host_that_an_authority_has_signed(
    tmp_path: Path, known: Path, authority: Path, kind: tuple[str, ...]
) -> None:
    key = new_key(tmp_path / "id")
    settings = certified(tmp_path, authority, "-n", "127.0.0.1,edge.example", kind=kind)
    with running(tmp_path / "sshd", *settings) as server:
        known.write_text(line("@cert-authority", "[127.0.0.1]:*", authority))
        assert log_in(server, key) == "root"
        known.write_text(line("@cert-authority", "*.example", authority))
        assert "it is not known; the host presents" in host_refused(server, key)
        # An authority of a pattern, and a name that the certificate is for.
        (known.parent / "config").write_text("Host 127.*\n  HostKeyAlias edge.example\n")
        assert log_in(server, key) == "root"
        assert "ssh-keyscan" not in known.read_text()


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_authorities_of_every_kind(tmp_path: Path, known: Path, kind: str) -> None:
    key, authority = new_key(tmp_path / "id"), new_key(tmp_path / "signs", "-t", kind)
    with running(tmp_path / "sshd", *certified(tmp_path, authority, "-n", "127.0.0.1")) as server:
        known.write_text(line("@cert-authority", "*", authority))
        assert log_in(server, key) == "root"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("-n", "127.0.0.1", *PAST), "it expired on 2020-01-0"),
        (("-n", "127.0.0.1", *FUTURE), "it is not valid before 20"),
        (("-n", "other.example"), "it is not for 127.0.0.1, but for other.example"),
        ((), "it is not for 127.0.0.1, but for nobody"),
        (("-n", "127.0.0.1", "-O", "critical:force@example=x"), "it has critical options: force@example"),
    ],
)
def test_a_host_certificate_that_does_not_count(
    tmp_path: Path, known: Path, authority: Path, options: tuple[str, ...], why: str
) -> None:
    key = new_key(tmp_path / "id")
    with running(tmp_path / "sshd", *certified(tmp_path, authority, *options)) as server:
        known.write_text(line("@cert-authority", "*", authority))
        said = host_refused(server, key)
        assert f"verifying the host key of {server.name}: its certificate is not accepted: {why}" in said
        assert "; its key is not known either: ssh-ed25519 SHA256:" in said
        # What is known without it stays so; as in OpenSSH.
        known.write_text(known.read_text() + line("", server.name, tmp_path / "host_key"))
        assert log_in(server, key) == "root"


def test_a_certificate_of_another_authority(tmp_path: Path, known: Path, authority: Path) -> None:
    key, other = new_key(tmp_path / "id"), new_key(tmp_path / "other")
    with running(tmp_path / "sshd", *certified(tmp_path, authority, "-n", "127.0.0.1")) as server:
        known.write_text(line("@cert-authority", "*", other))
        said = host_refused(server, key)
        assert "it is signed by ssh-ed25519 SHA256:" in said
        assert "which is not a @cert-authority for this host" in said
        known.write_text(line("@cert-authority", "*", other) + line("", server.name, other))
        assert "it has changed: expected" in host_refused(server, key)


@pytest.mark.parametrize("what", ["authority", "host_key"])
def test_what_is_revoked(tmp_path: Path, known: Path, authority: Path, what: str) -> None:
    key = new_key(tmp_path / "id")
    with running(tmp_path / "sshd", *certified(tmp_path, authority, "-n", "127.0.0.1")) as server:
        trusted = line("@cert-authority", "*", authority)
        known.write_text(trusted + line("@revoked", "*", tmp_path / what))
        assert "revoked: ssh-ed25519 SHA256:" in host_refused(server, key, accept_new_host_key=True)
        known.write_text(trusted)
        revoked = tmp_path / "revoked"
        (known.parent / "config").write_text(f"RevokedHostKeys {revoked}\n")
        revoked.write_text("# stolen\n" + (tmp_path / f"{what}.pub").read_text())
        assert "revoked: ssh-ed25519 SHA256:" in host_refused(server, key)
        run("ssh-keygen", "-q", "-k", "-f", revoked, tmp_path / f"{what}.pub")
        assert f"reading {revoked}: it is a KRL, which is not supported" in host_refused(server, key)
        revoked.unlink()
        assert f"reading {revoked}: No such file" in host_refused(server, key)


def test_a_host_without_a_certificate_where_an_authority_is_known(tmp_path: Path, known: Path, authority: Path) -> None:
    key = new_key(tmp_path / "id")
    with running(tmp_path / "sshd") as server:
        known.write_text(line("@cert-authority", "*", authority))
        assert "no @cert-authority has signed it, and it is not known" in host_refused(server, key)
        assert log_in(server, key, accept_new_host_key=True) == "root"


# ---- what a certificate says ------------------------------------------------------------------------


def blob_of(path: Path) -> bytes:
    return base64.b64decode(path.read_text().split()[1])


def test_a_certificate_is_read(tmp_path: Path, authority: Path) -> None:
    key = new_key(tmp_path / "id")
    found = Certificate.parse(blob_of(sign(authority, key, "-n", "a,b", "-V", "always:forever")))
    assert (found.principals, found.of_host, found.options) == (("a", "b"), False, ())
    assert found.authority == HostKey.parse(authority.with_name("authority.pub").read_text())
    assert found.key == HostKey.parse(key.with_name("id.pub").read_text())
    assert found.expiry() == ""
    assert found.refusal("a") == "it is a user's certificate, not a host's"


def test_a_forged_certificate_is_none(tmp_path: Path, authority: Path) -> None:
    blob = blob_of(sign(authority, new_key(tmp_path / "id"), "-h", "-n", "host-1"))
    Certificate.parse(blob)
    with pytest.raises(ValueError, match="its signature is not valid"):
        Certificate.parse(blob.replace(b"host-1", b"host-2"))
    with pytest.raises(ValueError, match="not a certificate"):
        Certificate.parse(base64.b64decode(authority.with_name("authority.pub").read_text().split()[1]))


def test_sha_1_proves_nothing(tmp_path: Path) -> None:
    authority, key = new_key(tmp_path / "signs", "-t", "rsa", "-b", "2048"), new_key(tmp_path / "id")
    assert Certificate.parse(blob_of(sign(authority, key, "-h", "-n", "a")))
    with pytest.raises(ValueError, match="signed with SHA-1"):
        Certificate.parse(blob_of(sign(authority, key, "-h", "-n", "a", "-t", "ssh-rsa")))
