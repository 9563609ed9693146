"""OpenSSH certificates: what one says, and whether a host's is to be trusted.

Sources: PROTOCOL.certkeys of OpenSSH; ssh-keygen(1), CERTIFICATES.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import paramiko
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from pulumi_iofog.adapters.ssh.known_hosts import HostKey
from pulumi_iofog.adapters.ssh.ssh_config import matches

SUFFIX = "-cert-v01@openssh.com"
FOREVER = 2**64 - 1
HOST_ALGORITHMS = tuple(
    f"{kind}{SUFFIX}"
    for kind in (
        *("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
        *("rsa-sha2-512", "rsa-sha2-256"),
    )
)
"""What to ask a host for, so that it presents its certificate."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate whose signature is valid.

    Attributes:
        key: what is certified.
        authority: the key that signed it.
        of_host: whether it is a host's, not a user's.
        principals: host names, with patterns, or users.
        valid_after, valid_before: seconds since 1970.
        options: names of critical options.
    """

    key: HostKey
    authority: HostKey
    of_host: bool
    principals: tuple[str, ...]
    valid_after: int
    valid_before: int
    options: tuple[str, ...]

    @classmethod
    def parse(cls, blob: bytes) -> Certificate:
        """Parse it. ValueError if it cannot be parsed, or its signature is not valid."""
        kind = paramiko.Message(blob).get_text()
        try:
            found = load_ssh_public_identity(f"{kind} {base64.b64encode(blob).decode()}".encode())
            if not isinstance(found, SSHCertificate):
                raise ValueError("it is not a certificate")
            found.verify_cert_signature()
        except InvalidSignature:
            raise ValueError("its signature is not valid") from None
        except (UnsupportedAlgorithm, AssertionError):
            # cryptography asserts the kinds of authorities that it knows; a security key is not among them.
            raise ValueError(f"{kind} is not supported") from None
        if _signature_algorithm(blob, kind) == "ssh-rsa":
            raise ValueError("it is signed with SHA-1")
        return cls(
            key=_public(found.public_key()),
            authority=_public(found.signature_key()),
            of_host=found.type is SSHCertificateType.HOST,
            principals=tuple(name.decode(errors="replace") for name in found.valid_principals),
            valid_after=found.valid_after,
            valid_before=found.valid_before,
            options=tuple(name.decode(errors="replace") for name in found.critical_options),
        )

    def expiry(self, now: float | None = None) -> str:
        """Why it is not valid at this time; empty if it is."""
        now = time.time() if now is None else now
        if now < self.valid_after:
            return f"it is not valid before {_date(self.valid_after)}"
        if self.valid_before != FOREVER and now >= self.valid_before:
            return f"it expired on {_date(self.valid_before)}"
        return ""

    def refusal(self, host: str, now: float | None = None) -> str:
        """Why it does not prove that this is the host; empty if it does. Its authority is not checked."""
        if not self.of_host:
            return "it is a user's certificate, not a host's"
        if expiry := self.expiry(now):
            return expiry
        if self.options:
            return f"it has critical options: {', '.join(self.options)}"
        if not any(matches([principal], host, ignore_case=True) for principal in self.principals):
            return f"it is not for {host}, but for {', '.join(self.principals) or 'nobody'}"
        return ""


def _public(key: object) -> HostKey:
    encoded: bytes = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)  # type: ignore[attr-defined]
    return HostKey.parse(encoded.decode())


def _signature_algorithm(blob: bytes, kind: str) -> str:
    """The algorithm of its signature; cryptography accepts SHA-1 too, which OpenSSH has dropped."""
    message = paramiko.Message(blob)
    strings = 1 if "ed25519" in kind else 2
    for _ in range(2 + strings):  # type, nonce, the key's own fields
        message.get_binary()
    message.get_int64()  # serial
    message.get_int()  # type
    message.get_binary(), message.get_binary()  # key id, principals
    message.get_int64(), message.get_int64()  # valid after, valid before
    for _ in range(4):  # critical options, extensions, reserved, the authority's key
        message.get_binary()
    return paramiko.Message(message.get_binary()).get_text()


def _date(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return "an impossible date"


def parse_file(text: str) -> tuple[Certificate, bytes]:
    """A file such as ``id-cert.pub``: the certificate and its blob. ValueError if it is not one."""
    words: Sequence[str] = text.split()
    if len(words) < 2 or not words[0].endswith(SUFFIX):
        raise ValueError("it is not a certificate")
    try:
        blob = base64.b64decode(words[1], validate=True)
        return Certificate.parse(blob), blob
    except (ValueError, paramiko.SSHException):
        raise ValueError("it is not a certificate") from None
