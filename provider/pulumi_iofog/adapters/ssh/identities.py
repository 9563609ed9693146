"""What can be used to log in: keys and certificates from files and from an ssh-agent, in OpenSSH's order.

    identities
    ├── files           the agent's own key, those of ~/.ssh/config (a jump host's first), with certificates;
    │                   also an encrypted or public one, if an ssh-agent holds its key
    ├── ssh-agent       its other keys and certificates, unless IdentitiesOnly
    └── default files   those of ~/.ssh, if nothing else names a key

Source: ssh_config(5), IdentityFile, CertificateFile, IdentitiesOnly, IdentityAgent.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import paramiko

from pulumi_iofog.adapters.ssh import certificates, private_keys
from pulumi_iofog.adapters.ssh.destination import Destination
from pulumi_iofog.adapters.ssh.host_config import at_home
from pulumi_iofog.adapters.ssh.ssh_agent import SshAgent
from pulumi_iofog.errors import LoginRefused

DEFAULT_FILES = ("~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519")


@dataclass(frozen=True, slots=True)
class Identity:
    """A key to try, or one that cannot be tried; ``name`` says what it is and, if so, why not."""

    name: str
    key: paramiko.PKey | None = None


@contextmanager
def identities(destination: Destination) -> Iterator[Iterator[Identity]]:
    """All of them, in order; each is read only when it is its turn. The ssh-agent stays connected until the end.

    Raises LoginRefused, when its turn comes, if the agent's own key cannot be used.
    """
    with SshAgent.at(destination.agent_socket) as ssh_agent:
        yield _Identities(destination, ssh_agent).all()


class _Identities:
    def __init__(self, destination: Destination, ssh_agent: SshAgent) -> None:
        self._destination, self._agent = destination, ssh_agent
        self._used: set[bytes] = set()
        self._certificates = [
            *(path for path in destination.certificate_files),
            *(f"{path.removesuffix('.pub')}-cert.pub" for path in self._named_files()),
        ]

    def all(self) -> Iterator[Identity]:
        sources = [self._own, self._configured]
        # For a jump host, its own section comes first.
        for source in reversed(sources) if self._destination.hop else sources:
            yield from source()
        if self._agent.problem:
            yield Identity(f"ssh-agent ({self._agent.problem})")
        for key in self._agent.keys:
            if not self._destination.identities_only and key.public_key not in self._used:
                yield Identity(key.label, key)
        if self._destination.default_keys:
            for file in DEFAULT_FILES:
                path = at_home(file)
                if Path(path).is_file():
                    self._certificates.append(f"{path}-cert.pub")
                    yield from self._of_file(path)

    def _named_files(self) -> list[str]:
        own = self._destination.login.private_key_file
        return [*([at_home(own)] if own else []), *self._destination.key_files]

    # ---- the agent's own ----------------------------------------------------------------------------

    def _own(self) -> Iterator[Identity]:
        """The agent's own key. It must be usable, unless this is a jump host, which may have its own."""
        login, must = self._destination.login, not self._destination.hop
        if login.private_key:
            yield from self._of_text("private_key", login.private_key, must=must)
        elif login.private_key_file:
            what = f"the private key {login.private_key_file}"
            try:
                text = Path(at_home(login.private_key_file)).read_text()
            except (OSError, UnicodeDecodeError) as problem:
                why = getattr(problem, "strerror", None) or "it is not text"
                raise self._unusable(f"{what}: {why}", "Check private_key_file=") from None
            beside = Path(at_home(f"{login.private_key_file}.pub"))
            yield from self._of_text(what, text, must=must, public_beside=beside)

    def _unusable(self, why: str, hint: str = "") -> LoginRefused:
        return LoginRefused(self._destination.agent, f"logging in as {self._destination}", why, hint)

    # ---- files --------------------------------------------------------------------------------------

    def _configured(self) -> Iterator[Identity]:
        for path in self._destination.key_files:
            yield from self._of_file(path)

    def _of_file(self, path: str) -> Iterator[Identity]:
        try:
            text = Path(path).read_text()
        except (OSError, UnicodeDecodeError) as problem:
            yield Identity(f"{path} ({getattr(problem, 'strerror', None) or 'it is not text'})")
            return
        yield from self._of_text(path, text, public_beside=Path(f"{path}.pub"))

    def _of_text(
        self, what: str, text: str, *, must: bool = False, public_beside: Path | None = None
    ) -> Iterator[Identity]:
        """A key's certificates and then the key itself; an ssh-agent may hold the private key."""
        try:
            key: paramiko.PKey = private_keys.parse(text, self._destination.login.passphrase)
        except ValueError as problem:
            public = private_keys.public_of(text) or _public_beside(public_beside)
            held = self._agent.holder_of(public) if public else None
            if held is None:
                yield self._missing(what, problem, public_only=private_keys.is_public(text), must=must)
                return
            key, what = held, f"{what} via ssh-agent"
        public = key.asbytes()
        if public in self._used:
            return
        self._used.add(public)
        yield from self._certified(key, public)
        yield Identity(what, key)

    def _missing(self, what: str, problem: ValueError, *, public_only: bool, must: bool) -> Identity:
        encrypted = isinstance(problem, private_keys.Encrypted)
        if not must:
            return Identity(f"{what} ({'not held by ssh-agent' if public_only else problem})")
        if public_only:
            raise self._unusable(f"{what} is a public key, and no ssh-agent holds its private key", "Try: ssh-add -L")
        if encrypted:
            raise self._unusable(f"{what} is encrypted", "Set passphrase=, or add the key to an ssh-agent: ssh-add")
        raise self._unusable(f"{what}: {problem}")

    def _certified(self, key: paramiko.PKey, public: bytes) -> Iterator[Identity]:
        for path in dict.fromkeys(self._certificates):
            if not Path(path).is_file():
                continue
            try:
                certificate, blob = certificates.parse_file(Path(path).read_text())
            except (OSError, ValueError) as problem:
                yield Identity(f"certificate {path} ({getattr(problem, 'strerror', None) or problem})")
                continue
            if base64.b64decode(certificate.key.blob) != public:
                continue
            with_it = copy.copy(key)
            with_it.public_blob = paramiko.pkey.PublicBlob(paramiko.Message(blob).get_text(), blob)
            # Tried even if it has expired: it is the host's clock that counts.
            doubt = certificate.expiry()
            yield Identity(f"certificate {path}" + (f" ({doubt})" if doubt else ""), with_it)
        yield from (Identity(held.label, held) for held in self._agent.certificates_of(public))


def _public_beside(path: Path | None) -> bytes | None:
    try:
        return private_keys.public_of(path.read_text()) if path else None
    except (OSError, UnicodeDecodeError):
        return None
