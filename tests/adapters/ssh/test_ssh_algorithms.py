"""An SSH server that has only what nobody uses any more, or never comes to an end: an error of ours, soon."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest

from pulumi_iofog.adapters.ssh.connect import Timeouts, connect
from pulumi_iofog.errors import AgentError
from pulumi_iofog.inputs.spec import Agent

Harm = Callable[[socket.socket, threading.Event], None]
VERSION = b"SSH-2.0-OpenSSH_9.2\r\n"
LISTS = (
    "curve25519-sha256@libssh.org",
    "ssh-ed25519",
    "aes128-ctr",
    "aes128-ctr",
    "hmac-sha2-256",
    "hmac-sha2-256",
    "none",
    "none",
    "",
    "",
)
"""What a server offers in its SSH_MSG_KEXINIT (RFC 4253, 7.1)."""
KEXINIT = 20


def _packet(payload: bytes) -> bytes:
    """Without encryption (RFC 4253, 6)."""
    padding = 8 - (len(payload) + 5) % 8 + 8
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)


def _text(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _offer(lists: Sequence[bytes]) -> bytes:
    return _packet(bytes([KEXINIT]) + os.urandom(16) + b"".join(map(_text, lists)) + bytes(5))


def _with(**other: bytes) -> list[bytes]:
    names = ("kex", "key", "cipher", "cipher_back", "mac", "mac_back", "compression", "compression_back", "a", "b")
    return [other.get(name.removesuffix("_back"), ours.encode()) for name, ours in zip(names, LISTS, strict=True)]


def _says(*packets: bytes) -> Harm:
    """These, one after the other, and then silence."""

    def harm(connection: socket.socket, stopped: threading.Event) -> None:
        for packet in packets:
            connection.sendall(packet)
            time.sleep(0.05)
        with contextlib.suppress(OSError):
            while connection.recv(65536):
                pass

    return harm


def _endless(unit: bytes, before: bytes = b"", every: float = 0) -> Harm:
    def harm(connection: socket.socket, stopped: threading.Event) -> None:
        connection.sendall(before)
        while not stopped.wait(every):
            connection.sendall(unit)

    return harm


@contextmanager
def _server(harm: Harm) -> Iterator[int]:
    stopped = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=answer, args=[connection], daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            harm(connection, stopped)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        stopped.set()


def _failure(harm: Harm, tmp_path: Path) -> AgentError:
    with _server(harm) as port:
        agent = Agent("edge-1", host="127.0.0.1", user="u", port=port, known_hosts_file=str(tmp_path / "known"))
        with (
            pytest.raises(AgentError, match=rf"^edge-1: connecting \(127.0.0.1:{port}\): ") as caught,
            connect(agent, timeouts=Timeouts(connect=1.5, backoff=(0.0,))),
        ):
            pass
    return caught.value


ENDLESS = {
    "version": _endless(b"SSH-2.0-" + b"x" * 4096),
    "lines before it": _endless(b"Welcome\r\n"),
    "lines now and then": _endless(b"Welcome\r\n", every=0.2),
    "ignored packets": _endless(_packet(b"\x02" + _text(b"x" * 1000)), VERSION),
    "silence": _endless(b"", every=0.2),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_a_host_that_never_ends(what: str, home: Path, tmp_path: Path) -> None:
    tracemalloc.start()
    began = time.monotonic()
    _failure(ENDLESS[what], tmp_path)
    assert time.monotonic() - began < 10
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()
    while _transports() and time.monotonic() - began < 20:
        time.sleep(0.1)
    assert not _transports()


def _transports() -> list[threading.Thread]:
    """paramiko's threads."""
    return [each for each in threading.enumerate() if isinstance(each, paramiko.Transport)]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            {"kex": b"diffie-hellman-group1-sha1"},
            "no key exchange of its is supported here: it offers diffie-hell",
        ),
        ({"key": b"ssh-dss"}, "no host key type of its is supported here: it offers ssh-dss"),
        ({"cipher": b"arcfour,blowfish-cbc"}, "no cipher of its is supported here: it offers arcfour, blowfish-cbc"),
        ({"mac": b"hmac-ripemd160"}, "no MAC of its is supported here: it offers hmac-ripemd160"),
        ({"compression": b"lzma"}, "no compression of its is supported here: it offers lzma"),
    ],
)
def test_nothing_in_common_is_named(other: dict[str, bytes], said: str, home: Path, tmp_path: Path) -> None:
    problem = _failure(_says(VERSION, _offer(_with(**other))), tmp_path)
    assert said in str(problem)
    assert ". Have its sshd offer one of " in str(problem)
    assert "Is the host up" not in str(problem)
