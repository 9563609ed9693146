"""A private key's text, in any common format, as a key of paramiko.

cryptography parses the formats: OpenSSH's own, PEM of RSA and EC keys, and PKCS#8, which paramiko does not
support and which Pulumi's ``tls.PrivateKey`` writes for Ed25519.
"""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Callable
from typing import Any

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from pulumi_iofog.adapters.ssh.known_hosts import HostKey

_MAGIC = b"openssh-key-v1\0"
"""How a private key in OpenSSH's format begins (PROTOCOL.key)."""
Key = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey


class Encrypted(ValueError):
    """The key is encrypted, and there is no passphrase."""


def parse(text: str, passphrase: str | None) -> paramiko.PKey:
    """The key. Raises Encrypted, or ValueError that says what is wrong; neither quotes the text."""
    key = _load(text.strip().encode() + b"\n", passphrase.encode() if passphrase else None)
    if not isinstance(key, Key):
        raise ValueError("it is not an Ed25519, ECDSA or RSA key")
    kind: type[paramiko.PKey] = paramiko.RSAKey
    if isinstance(key, Ed25519PrivateKey):
        kind = paramiko.Ed25519Key
    elif isinstance(key, EllipticCurvePrivateKey):
        kind = paramiko.ECDSAKey
    unencrypted = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    return kind.from_private_key(io.StringIO(unencrypted))


def _load(data: bytes, passphrase: bytes | None) -> Any:
    load: Callable[..., Any] = load_ssh_private_key if b"BEGIN OPENSSH" in data else load_pem_private_key
    try:
        return load(data, passphrase)
    except TypeError:
        # What cryptography raises for a missing passphrase, and for one that is not needed.
        if passphrase is None:
            raise Encrypted("it is encrypted") from None
        return _load(data, None)
    except (ValueError, UnsupportedAlgorithm) as problem:
        # Older releases of cryptography raise this for OpenSSH's format.
        if passphrase is None and "password" in str(problem):
            raise Encrypted("it is encrypted") from None
        why = ", or its passphrase is wrong" if passphrase else ""
        raise ValueError(f"it cannot be read as an OpenSSH or PEM private key{why}") from None


def public_of(text: str) -> bytes | None:
    """The public key that the text has in clear: it is one itself, or an OpenSSH private key, encrypted or not.
    None for anything else."""
    try:
        if is_public(text):
            return base64.b64decode(text.split()[1], validate=True)
        body = text.partition("-----BEGIN OPENSSH PRIVATE KEY-----")[2].partition("-----END")[0]
        message = paramiko.Message(base64.b64decode(body))
        if message.get_bytes(len(_MAGIC)) != _MAGIC:
            return None
        for _ in range(3):  # cipher, key derivation, its options
            message.get_binary()
        message.get_int()  # how many keys: one
        return message.get_binary() or None
    except (ValueError, IndexError, struct.error):
        return None


def is_public(text: str) -> bool:
    """Whether it is ``ssh-ed25519 AAAA…``."""
    try:
        HostKey.parse(text)
    except ValueError:
        return False
    return True
