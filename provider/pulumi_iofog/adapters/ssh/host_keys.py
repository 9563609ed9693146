"""Which host key an agent must show: pinned, or in known_hosts.

The files are read here and not by paramiko, which knows neither patterns, nor ``@revoked``, nor a host
with two keys of one type, and gives up at a line that it cannot read.

Source: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT; ssh_config(5), StrictHostKeyChecking.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import paramiko

from pulumi_iofog.errors import HostKeyRefused

SYSTEM_FILE = Path("/etc/ssh/ssh_known_hosts")


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public key as a line of known_hosts has it: type and base64."""

    kind: str
    blob: str

    def __str__(self) -> str:
        """``ssh-ed25519 SHA256:…``, as OpenSSH prints it."""
        seen = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return f"{self.kind} SHA256:{base64.b64encode(seen).decode().rstrip('=')}"

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The signatures that a host proves it with; RSA's have names of their own (RFC 8332)."""
        return ("rsa-sha2-512", "rsa-sha2-256") if self.kind == "ssh-rsa" else (self.kind,)

    @classmethod
    def parse(cls, text: str) -> HostKey:
        """``ssh-ed25519 AAAA… comment``; ValueError if it is no public key."""
        try:
            kind, blob = text.split()[:2]
            raw = base64.b64decode(blob, validate=True)
        except (ValueError, binascii.Error):
            raise ValueError("not a public key") from None
        # Its type is also its first string (RFC 4253, 6.6).
        if raw[:4] != len(kind).to_bytes(4, "big") or raw[4 : 4 + len(kind)] != kind.encode():
            raise ValueError("not a public key")
        return cls(kind, blob)


class HostKeys(paramiko.MissingHostKeyPolicy):
    """Decides about the host key of one connection. Paramiko is told of no known key, so it always asks.

    Args:
        agent: for messages.
        host, port: as connected to; another port than 22 is known as ``[host]:port``.
        files: known_hosts files; a new key is added to the first.
        pinned: the one key to accept, as in known_hosts but without the host.
        accept_new: take an unknown key and add it; a changed one never.
        scan_from: a shell command's beginning that reaches a host behind jump hosts.

    Raises HostKeyRefused if the pinned key or a file cannot be read.
    """

    def __init__(
        self,
        agent: str,
        host: str,
        port: int,
        files: Sequence[Path],
        *,
        pinned: str | None = None,
        accept_new: bool = False,
        scan_from: str = "",
    ) -> None:
        self._agent, self._host, self._port, self._files = agent, host, port, files
        self._accept_new, self._pinned = accept_new, bool(pinned)
        self._name = host if port == 22 else f"[{host}]:{port}"
        self._scan = f"{scan_from}ssh-keyscan -p {port} {shlex.quote(host)} >> {shlex.quote(str(files[0]))}"
        self._known: list[HostKey] = [self._parse(pinned)] if pinned else []
        self._revoked: set[HostKey] = set()
        self.verified = False
        if not pinned:
            self._read()

    @property
    def algorithms(self) -> tuple[str, ...]:
        """What to ask the host for, so that it shows a key of the known type; empty for anything."""
        return tuple(dict.fromkeys(name for key in self._known for name in key.algorithms))

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Accept the key that the host shows, or raise HostKeyRefused."""
        shown = HostKey(key.get_name(), key.get_base64())
        if shown in self._revoked:
            raise self._refused(f"it is revoked: {shown}")
        if shown not in self._known:
            if self._known:
                raise self._changed(shown)
            if not self._accept_new:
                raise self._unknown(shown)
            self._remember(shown)
        self.verified = True

    # ---- refusals -----------------------------------------------------------------------------------

    def _unknown(self, shown: HostKey) -> HostKeyRefused:
        return self._refused(
            f"it is not known; the host shows {shown}",
            f"If that is right, run: {self._scan}\nor give host_key=, or accept_new_host_key=True",
        )

    def _changed(self, shown: HostKey) -> HostKeyRefused:
        known = " or ".join(map(str, self._known))
        why = f"it has changed: known is {known}, the host shows {shown}. Somebody may be in between"
        if self._pinned:
            return self._refused(why, "If the host was set up anew, correct host_key=")
        forget = f"ssh-keygen -R {shlex.quote(self._name)} -f {shlex.quote(str(self._files[0]))}"
        return self._refused(why, f"If the host was set up anew, run: {forget} ; {self._scan}")

    def _refused(self, why: str, hint: str = "") -> HostKeyRefused:
        return HostKeyRefused(self._agent, f"verifying the host key of {self._name}", why, hint)

    # ---- files --------------------------------------------------------------------------------------

    def _read(self) -> None:
        for path in (*self._files, SYSTEM_FILE):
            try:
                lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
            except OSError as problem:
                raise HostKeyRefused(self._agent, f"reading {path}", problem.strerror or "") from None
            for revoked, key in _keys_of(self._name, lines):
                if revoked:
                    self._revoked.add(key)
                else:
                    self._known.append(key)

    def _remember(self, key: HostKey) -> None:
        path, line = self._files[0], f"{self._name} {key.kind} {key.blob}\n"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            before = path.read_bytes() if path.is_file() else b""
            if before and not before.endswith(b"\n"):
                line = "\n" + line  # else the last line and ours would become one
            with path.open("a", encoding="utf-8") as file:
                file.write(line)
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


def _keys_of(name: str, lines: Sequence[str]) -> Iterator[tuple[bool, HostKey]]:
    """The keys that lines of known_hosts give a host, and whether each is revoked. Lines that cannot be
    read are passed over, as OpenSSH does; ``@cert-authority`` too, as paramiko knows no host certificates."""
    for line in lines:
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#") or marker not in ("", "@revoked"):
            continue
        if _matches(words[0], name):
            try:
                yield bool(marker), HostKey.parse(" ".join(words[1:3]))
            except ValueError:
                continue


def _matches(patterns: str, name: str) -> bool:
    """Whether ``host,*.example,!not.example`` or a hashed name means the host."""
    if patterns.startswith("|1|"):
        try:
            salt, hashed = (base64.b64decode(part) for part in patterns.split("|")[2:4])
        except ValueError:
            return False
        return hmac.compare_digest(hmac.new(salt, name.encode(), "sha1").digest(), hashed)
    matched = False
    for pattern in patterns.split(","):
        bare = pattern.removeprefix("!")
        expression = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in bare)
        if re.fullmatch(expression, name, re.IGNORECASE):
            if pattern != bare:
                return False
            matched = True
    return matched
