"""paramiko's transport, which says what the two sides have not in common; paramiko itself only says that."""

from __future__ import annotations

from typing import Any

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

KINDS = {
    "kex": ("key exchange", "kex", "kex_algo_list"),
    "host key": ("host key type", "key_types", "server_key_algo_list"),
    "ciphers": ("cipher", "ciphers", "client_encrypt_algo_list"),
    "macs": ("MAC", "digests", "client_mac_algo_list"),
    "compression": ("compression", "compression", "client_compress_algo_list"),
}
"""A word of paramiko's message → what it is for people, in its security options, and in the host's offer."""


class NothingInCommon(paramiko.SSHException):
    """The host offers no algorithm of one kind that is supported here.

    Attributes:
        why: which, and what the host offers.
        ours: what would do.
    """

    def __init__(self, why: str, ours: str) -> None:
        super().__init__(why)
        self.why, self.ours = why, ours


class Transport(paramiko.Transport):
    """Raises NothingInCommon for IncompatiblePeer. What it overrides is not public: should paramiko rename it, the
    errors say less."""

    _offer: dict[str, Any] | None = None

    def _really_parse_kex_init(self, *args: Any, **options: Any) -> Any:
        self._offer = super()._really_parse_kex_init(*args, **options)  # type: ignore[misc]
        return self._offer

    def _parse_kex_init(self, message: Any) -> None:
        try:
            super()._parse_kex_init(message)  # type: ignore[misc]
        except IncompatiblePeer as problem:
            found = next((kind for word, kind in KINDS.items() if word in str(problem)), None)
            if found is None:
                raise
            name, option, offer = found
            theirs = ", ".join((self._offer or {}).get(offer, ())) or "none"
            ours = ", ".join(getattr(self.get_security_options(), option))
            raise NothingInCommon(f"no {name} of its is supported here: it offers {theirs[:400]}", ours) from None
