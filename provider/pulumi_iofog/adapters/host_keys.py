"""Which host key an agent must show: pinned, or in known_hosts. Part of ssh.py, in a file of its own.

Source: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT; ssh_config(5), StrictHostKeyChecking.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
from collections.abc import Sequence
from pathlib import Path

import paramiko

from pulumi_iofog.errors import HostKeyRefused

SYSTEM_FILE = Path("/etc/ssh/ssh_known_hosts")


class HostKeys(paramiko.MissingHostKeyPolicy):
    """Decides about the host key of one connection.

    Args:
        agent: for messages.
        host, port: as connected to; another port than 22 is known as ``[host]:port``.
        files: known_hosts files; a new key is added to the first.
        accept_new: take an unknown key and add it; a changed one never.
    """

    def __init__(self, agent: str, host: str, port: int, files: Sequence[Path], accept_new: bool) -> None:
        self._agent, self._host, self._port = agent, host, port
        self._files, self._accept_new = files, accept_new

    def install(self, client: paramiko.SSHClient, *, pinned: str | None) -> None:
        """Tell paramiko what is known: the pinned key alone, or the files."""
        client.set_missing_host_key_policy(self)
        if pinned:
            key = self._parse(pinned)
            client.get_host_keys().add(_name(self._host, self._port), key.get_name(), key)
            return
        for path in (*self._files, SYSTEM_FILE):
            if path.is_file():
                client.load_system_host_keys(str(path))

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Nothing is known of this host."""
        if self._accept_new:
            self._remember(hostname, key)
            return
        raise HostKeyRefused(
            self._agent,
            f"verifying the host key of {self._host}",
            f"it is not known; the host shows {fingerprint(key)}",
            f"If that is right, run: {_keyscan(self._host, self._port, self._files)}"
            " , or give host_key=, or accept_new_host_key=True",
        )

    def _remember(self, hostname: str, key: paramiko.PKey) -> None:
        path = self._files[0]
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(f"{hostname} {key.get_name()} {key.get_base64()}\n")

    def _parse(self, text: str) -> paramiko.PKey:
        words = text.split()
        try:
            kind, blob = words[0], base64.b64decode(words[1], validate=True)
            return paramiko.PKey.from_type_string(kind, blob)
        except (IndexError, binascii.Error, paramiko.SSHException, paramiko.pkey.UnknownKeyType, ValueError):
            raise HostKeyRefused(
                self._agent,
                "reading host_key",
                "it is not a public key",
                "Write it as in known_hosts, without the host: ssh-ed25519 AAAA…",
            ) from None

    @staticmethod
    def changed(
        agent: str, host: str, port: int, files: Sequence[Path], problem: paramiko.BadHostKeyException
    ) -> HostKeyRefused:
        """The host shows another key than the known one."""
        return HostKeyRefused(
            agent,
            f"verifying the host key of {host}",
            f"it has changed: known is {fingerprint(problem.expected_key)}, the host shows"
            f" {fingerprint(problem.key)}. Somebody may be in between",
            f"If the host was set up anew, run: ssh-keygen -R {_quoted_name(host, port)} -f {files[0]} ;"
            f" {_keyscan(host, port, files)} , or correct host_key=",
        )


def fingerprint(key: paramiko.PKey) -> str:
    """``ssh-ed25519 SHA256:…``, as OpenSSH prints it."""
    return f"{key.get_name()} {key.fingerprint}"


def _name(host: str, port: int) -> str:
    return host if port == 22 else f"[{host}]:{port}"


def _quoted_name(host: str, port: int) -> str:
    """The host's name in known_hosts, quoted for a shell."""
    return host if port == 22 else f"'[{host}]:{port}'"


def _keyscan(host: str, port: int, files: Sequence[Path]) -> str:
    return f"ssh-keyscan -p {port} {host} >> {files[0]}"
