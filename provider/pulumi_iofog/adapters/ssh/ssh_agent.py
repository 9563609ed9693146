"""An ssh-agent's keys and certificates.

Source: draft-ietf-sshm-ssh-agent; paramiko.agent, whose own client knows $SSH_AUTH_SOCK only.
"""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import paramiko
from paramiko.agent import AgentKey, AgentSSH

from pulumi_iofog.adapters.ssh.certificates import SUFFIX, Certificate

TIMEOUT = 60.0
"""Seconds; an agent may ask its user to confirm the use of a key."""


class Held(AgentKey):
    """A key, or a certificate, that an ssh-agent signs with."""

    public_blob = None  # paramiko before 4 reads it, and does not set it for kinds that it does not know

    @property
    def is_certificate(self) -> bool:
        return self.get_name().endswith(SUFFIX)

    @property
    def public_key(self) -> bytes:
        """The public key, also of a certificate."""
        if self.is_certificate:
            with suppress(ValueError):
                return base64.b64decode(Certificate.parse(self.blob).key.blob)
        return bytes(self.blob)

    @property
    def label(self) -> str:
        kind = "certificate" if self.is_certificate else "key"
        return f"ssh-agent's {kind} {self.comment or self.get_name()}"

    def asbytes(self) -> bytes:
        # Paramiko would present a certificate as the bare key.
        return bytes(self.blob)

    def sign_ssh_data(self, data: Any, algorithm: str | None = None) -> Any:
        try:
            return super().sign_ssh_data(data, algorithm)
        except (paramiko.SSHException, OSError):
            # Its user said no, or the smart card is gone. This runs in paramiko's own thread, where an error would
            # end the connection; a signature that is not one is merely refused by the host.
            return b""


class SshAgent(AgentSSH):
    """``keys``: what it holds; ``problem``: why it cannot be used, if so."""

    keys: tuple[Held, ...] = ()
    problem = ""

    @classmethod
    @contextmanager
    def at(cls, path: str) -> Iterator[SshAgent]:
        """The one that listens on a socket; for an empty path, one without keys."""
        agent = cls()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            if path:
                agent._ask(connection, path)
            yield agent

    def _ask(self, connection: socket.socket, path: str) -> None:
        connection.settimeout(TIMEOUT)
        try:
            connection.connect(path)
            self._connect(connection)  # type: ignore[attr-defined]
        except (paramiko.SSHException, OSError) as problem:
            self.problem = f"{path}: {getattr(problem, 'strerror', None) or problem}"
            return
        self.keys = tuple(Held(self, key.blob, key.comment) for key in self.get_keys())

    def certificates_of(self, public: bytes) -> list[Held]:
        """The certificates for a public key."""
        return [key for key in self.keys if key.is_certificate and key.public_key == public]

    def holder_of(self, public: bytes) -> Held | None:
        """The key that belongs to a public key."""
        return next((key for key in self.keys if key.blob == public), None)
