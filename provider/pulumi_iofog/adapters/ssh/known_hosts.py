"""known_hosts files: which keys are known for a host, whose certificates are accepted, and which are revoked.

The files are parsed here and not by paramiko, which supports neither patterns, nor ``@revoked`` and
``@cert-authority``, nor two keys of one type for a host, and gives up at a line that it cannot parse.

Source: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT; ssh_config(5), RevokedHostKeys.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from pulumi_iofog.adapters.ssh.ssh_config import matches

AUTHORITY, REVOKED = "@cert-authority", "@revoked"


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public key as in a line of known_hosts: type and base64."""

    kind: str
    blob: str

    def __str__(self) -> str:
        """``ssh-ed25519 SHA256:…``, as OpenSSH prints it."""
        seen = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return f"{self.kind} SHA256:{base64.b64encode(seen).decode().rstrip('=')}"

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The signature algorithms for it; RSA's have names of their own (RFC 8332)."""
        return ("rsa-sha2-512", "rsa-sha2-256") if self.kind == "ssh-rsa" else (self.kind,)

    @classmethod
    def parse(cls, text: str) -> HostKey:
        """``ssh-ed25519 AAAA… comment``; ValueError if it is not a public key."""
        try:
            kind, blob = text.split()[:2]
            raw = base64.b64decode(blob, validate=True)
        except (ValueError, binascii.Error):
            raise ValueError("not a public key") from None
        # The blob begins with its type, too (RFC 4253, 6.6).
        if raw[:4] != len(kind).to_bytes(4, "big") or raw[4 : 4 + len(kind)] != kind.encode():
            raise ValueError("not a public key")
        return cls(kind, blob)


@dataclass(slots=True)
class Known:
    """What the files say about one host.

    Attributes:
        keys: the keys that it may present → the file that has them.
        authorities: keys whose certificates are accepted for it.
        revoked: keys and authorities that are no longer accepted.
    """

    keys: dict[HostKey, Path] = field(default_factory=dict)
    authorities: set[HostKey] = field(default_factory=set)
    revoked: set[HostKey] = field(default_factory=set)

    def read(self, path: Path, name: str) -> None:
        """Add what a file says about a name. Lines that cannot be parsed are skipped, as in OpenSSH; a missing
        file counts as empty. OSError if it cannot be read."""
        for line in path.read_text(errors="replace").splitlines() if path.is_file() else ():
            words = line.split()
            marker = words.pop(0) if words and words[0].startswith("@") else ""
            if len(words) < 3 or words[0].startswith("#") or not means(words[0], name):
                continue
            try:
                key = HostKey.parse(" ".join(words[1:3]))
            except ValueError:
                continue
            if marker == REVOKED:
                self.revoked.add(key)
            elif marker == AUTHORITY:
                self.authorities.add(key)
            elif not marker:
                self.keys.setdefault(key, path)

    def revoke(self, path: Path) -> None:
        """Add a RevokedHostKeys file: a public key on each line. ValueError if it cannot be parsed, as then no
        key can be trusted; OSError."""
        content = path.read_bytes()
        if content.startswith(b"SSHKRL"):
            raise ValueError("it is a KRL, which is not supported; use a list of public keys")
        for line in content.decode(errors="replace").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                self.revoked.add(HostKey.parse(line))


def means(patterns: str, name: str) -> bool:
    """Whether ``host,*.example,!not.example`` or a hashed name means the host."""
    if patterns.startswith("|1|"):
        try:
            salt, hashed = (base64.b64decode(part) for part in patterns.split("|")[2:4])
        except ValueError:
            return False
        return hmac.compare_digest(_hash(salt, name), hashed)
    return matches(patterns.split(","), name, ignore_case=True)


def add(path: Path, name: str, key: HostKey, *, hashed: bool) -> None:
    """Append a line; a missing folder is created. OSError if that fails."""
    if hashed:
        salt = secrets.token_bytes(20)
        name = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(_hash(salt, name)).decode()}"
    line = f"{name} {key.kind} {key.blob}\n"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = path.read_bytes() if path.is_file() else b""
    if before and not before.endswith(b"\n"):
        line = "\n" + line  # else the last line and ours would become one
    with path.open("a", encoding="utf-8") as file:
        file.write(line)


def _hash(salt: bytes, name: str) -> bytes:
    return hmac.new(salt, name.encode(), "sha1").digest()
