"""Which host key an agent must present: pinned, in known_hosts, or certified by an authority in known_hosts.

Source: ssh_config(5), StrictHostKeyChecking, HostKeyAlias; sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import paramiko

from pulumi_iofog.adapters.ssh import known_hosts
from pulumi_iofog.adapters.ssh.certificates import HOST_ALGORITHMS, Certificate
from pulumi_iofog.adapters.ssh.known_hosts import HostKey
from pulumi_iofog.errors import HostKeyRefused

GLOBAL_FILES = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))


class HostKeys(paramiko.MissingHostKeyPolicy):
    """Decides about the host key of one connection. Paramiko is given no known keys, so it always asks.

    Args:
        agent: for messages.
        host, port: as connected to; another port than 22 is known as ``[host]:port``.
        files: the user's known_hosts files; a new key is added to the first.
        global_files: the machine's.
        alias: the name to use instead of host and port (HostKeyAlias).
        revoked: a RevokedHostKeys file.
        pinned: the one key to accept, as in known_hosts but without the host.
        accept_new: accept an unknown key and add it; never a changed one.
        hashed: hash the name that is added (HashKnownHosts).
        scan_from: the beginning of a shell command that reaches a host behind jump hosts.
        scan: a shell command to learn the key, if ssh-keyscan cannot reach the host.
        hop: which jump host it is, for messages; empty for the agent itself.

    Raises HostKeyRefused if the pinned key or a file cannot be read.
    """

    def __init__(
        self,
        agent: str,
        host: str,
        port: int,
        files: Sequence[Path],
        *,
        global_files: Sequence[Path] = GLOBAL_FILES,
        alias: str = "",
        revoked: Path | None = None,
        pinned: str | None = None,
        accept_new: bool = False,
        hashed: bool = False,
        scan_from: str = "",
        scan: str = "",
        hop: str = "",
    ) -> None:
        self._agent, self._files, self._hop = agent, files, f" ({hop})" if hop else ""
        self._accept_new, self._pinned, self._hashed = accept_new, bool(pinned), hashed
        # OpenSSH's names are in lower case before they are hashed.
        self._host = (alias or host).lower()
        self._name = self._host if alias or port == 22 else f"[{self._host}]:{port}"
        # Needed, as ssh-keyscan writes the host's own name.
        rename = f" | sed {shlex.quote(f's/^[^ ]*/{alias}/')}" if alias else ""
        to = f" >> {shlex.quote(str(files[0]))}"
        self._scan = scan or f"{scan_from}ssh-keyscan -p {port} {shlex.quote(host)}{rename}{to}"
        self._known = known_hosts.Known()
        self._read(pinned, (*files, *global_files), revoked)
        self.verified = False

    @property
    def identity(self) -> str:
        """The host's name and the keys that it may present; empty if none is known. Another host under that name has
        another."""
        keys = " ".join(sorted(map(str, self._known.keys)))
        return f"{self._name} {keys}" if keys else ""

    def algorithms(self, offered: Sequence[str]) -> tuple[str, ...]:
        """The key types to ask the host for, out of paramiko's: those of known keys, so that a host with several
        does not seem changed; and certificates first, if an authority is known."""
        known = {name for key in self._known.keys for name in key.algorithms}
        keys = tuple(name for name in offered if name in known) or tuple(offered)
        return (*HOST_ALGORITHMS, *keys) if self._known.authorities else keys

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Accept the key that the host presents, or raise HostKeyRefused."""
        shown = HostKey(key.get_name(), key.get_base64())
        if shown in self._known.revoked:
            raise self._refused(f"it is revoked: {shown}")
        certificate = getattr(key, "public_blob", None)
        doubt = self._doubt(certificate.key_blob) if certificate else ""
        if shown not in self._known.keys and (doubt or not certificate):
            if self._known.keys:
                raise self._changed(shown, doubt)
            # A key whose certificate is not accepted may still be known, or new, as in OpenSSH.
            if not self._accept_new:
                raise self._unknown(shown, doubt)
            self._remember(shown)
        self.verified = True

    def _doubt(self, blob: bytes) -> str:
        """Why the presented certificate is not accepted; empty if it is. HostKeyRefused if its authority is
        revoked."""
        try:
            certificate = Certificate.parse(blob)
        except (ValueError, paramiko.SSHException) as problem:
            return f"it cannot be used: {problem}"
        if certificate.authority in self._known.revoked:
            raise self._refused(f"the authority of its certificate is revoked: {certificate.authority}")
        if certificate.authority not in self._known.authorities:
            return f"it is signed by {certificate.authority}, which is not a @cert-authority for this host"
        return certificate.refusal(self._host)

    # ---- refusals -----------------------------------------------------------------------------------

    def _unknown(self, shown: HostKey, doubt: str) -> HostKeyRefused:
        if doubt:
            hint = "Have the host's key signed again, fix the @cert-authority line in known_hosts or, to trust"
            return self._refused(
                f"its certificate is not accepted: {doubt}; its key is not known either: {shown}",
                f"{hint} the key itself, run: {self._scan}",
            )
        lines = "no @cert-authority has signed it, and " if self._known.authorities else ""
        own = "" if self._hop else "host_key= or "
        return self._refused(
            f"{lines}it is not known; the host presents {shown}",
            f"If that is the right key, run: {self._scan}\nor set {own}accept_new_host_key=True",
        )

    def _changed(self, shown: HostKey, doubt: str) -> HostKeyRefused:
        known = " or ".join(map(str, self._known.keys))
        why = f"it has changed: expected {known}, the host presents {shown}. Someone may be intercepting the connection"
        if doubt:
            why = f"its certificate is not accepted: {doubt}; and {why}"
        if self._pinned:
            return self._refused(why, "If the host was reinstalled, update host_key=")
        forget = " ; ".join(
            f"ssh-keygen -R {shlex.quote(self._name)} -f {shlex.quote(str(path))}"
            for path in dict.fromkeys(self._known.keys.values())
        )
        return self._refused(why, f"If the host was reinstalled, run: {forget} ; {self._scan}")

    def _refused(self, why: str, hint: str = "") -> HostKeyRefused:
        return HostKeyRefused(self._agent, f"verifying the host key of {self._name}{self._hop}", why, hint)

    # ---- files --------------------------------------------------------------------------------------

    def _read(self, pinned: str | None, files: Sequence[Path], revoked: Path | None) -> None:
        if pinned:
            self._known.keys[self._parse(pinned)] = files[0]
        for path in () if pinned else files:
            try:
                self._known.read(path, self._name)
            except OSError as problem:
                raise HostKeyRefused(self._agent, f"reading {path}", problem.strerror or "") from None
        if revoked:
            try:
                self._known.revoke(revoked)
            except (OSError, ValueError) as problem:
                # Without it a revoked key could be accepted; OpenSSH refuses as well.
                why = getattr(problem, "strerror", None) or str(problem)
                hint = "Fix RevokedHostKeys in ~/.ssh/config"
                raise HostKeyRefused(self._agent, f"reading {revoked}", why, hint) from None

    def _remember(self, key: HostKey) -> None:
        path = self._files[0]
        try:
            known_hosts.add(path, self._name, key, hashed=self._hashed)
        except OSError as problem:
            raise HostKeyRefused(self._agent, f"adding the host key to {path}", problem.strerror or "") from None

    def _parse(self, text: str) -> HostKey:
        try:
            return HostKey.parse(text)
        except ValueError:
            raise HostKeyRefused(
                self._agent,
                "reading host_key",
                "it is not a public key",
                "Write it as in known_hosts, without the host: ssh-ed25519 AAAA…",
            ) from None
