"""SSH servers of bad manners or intentions: what they send is their agent's failure, soon, and in little memory."""

from __future__ import annotations

import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from pulumi_iofog.adapters.ssh import connect as ssh
from pulumi_iofog.errors import Unreachable
from pulumi_iofog.inputs.spec import Agent
from tests.adapters.conftest import QUICK

pytestmark = pytest.mark.usefixtures("home")
HELLO = b"SSH-2.0-x\r\n"
ONCE = replace(QUICK, connect=3.0, backoff=(0.0,))
KEX_LISTS = (
    b"ecdh-sha2-nistp256",
    b"ssh-ed25519",
    *[b"aes128-ctr"] * 2,
    *[b"hmac-sha2-256"] * 2,
    *[b"none"] * 2,
    b"",
    b"",
)


def packet(payload: bytes) -> bytes:
    """An unencrypted one (RFC 4253, 6)."""
    padding = 8 - (len(payload) + 5) % 8 + 8
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)


def text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def kex_init(*lists: bytes) -> bytes:
    return packet(b"\x14" + bytes(16) + b"".join(map(text, lists)) + bytes(5))


def dripping(line: socket.socket) -> None:
    for _ in range(100):
        line.sendall(b"x")
        time.sleep(0.2)


def endless(piece: bytes) -> Callable[[socket.socket], None]:
    def send(line: socket.socket) -> None:
        while True:
            line.sendall(piece)

    return send


def sending(*pieces: bytes) -> Callable[[socket.socket], None]:
    def send(line: socket.socket) -> None:
        for piece in pieces:
            line.sendall(piece)
        with suppress(TimeoutError):
            while line.recv(1 << 16):
                pass

    return send


def replying(reply: bytes) -> Callable[[socket.socket], None]:
    """An honest offer, and then that in place of the reply to our half of the key exchange."""

    def send(line: socket.socket) -> None:
        line.sendall(HELLO + kex_init(*KEX_LISTS))
        time.sleep(0.5)
        line.sendall(packet(reply))
        with suppress(TimeoutError):
            while line.recv(1 << 16):
                pass

    return send


@contextmanager
def server(act: Callable[[socket.socket], None]) -> Iterator[Agent]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)

        def serve() -> None:
            with suppress(OSError):
                line, _ = listening.accept()
                line.settimeout(5)
                with line:
                    act(line)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Agent("edge", host="127.0.0.1", port=listening.getsockname()[1], user="root", password="x")
        thread.join(20)


CASES = {
    "no UTF-8 in the list": sending(HELLO, kex_init(b"\xff\xfe", *KEX_LISTS[1:])),
    "an empty reply": replying(b"\x1f"),
    "a reply cut short": replying(b"\x1f" + text(b"ssh-ed25519")[:7]),
    "a short public key": replying(b"\x1f" + text(text(b"ssh-ed25519") + text(b"k")) + text(b"q") + text(b"s")),
    "a disconnect that is no UTF-8": sending(
        HELLO, packet(b"\x01" + struct.pack(">I", 2) + text(b"\xff\xfe") + text(b""))
    ),
    "a packet of 4 GB": sending(HELLO, struct.pack(">IB", 0xFFFFFFF0, 4), bytes(1 << 20)),
    "a greeting without an end": endless(b"x" * 4096),
    "greetings without an end": endless(b"x" * 60 + b"\n"),
    "a greeting that drips": dripping,
    "no version": sending(b"SSH-\r\n"),
    "another version": sending(b"SSH-9.9-\xff\xfe\033[2J\r\n"),
    "escapes in a disconnect": sending(HELLO, packet(b"\x01" + struct.pack(">I", 2) + text(b"\033[2Jno") + text(b""))),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_agents_failure(name: str) -> None:
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with server(CASES[name]) as agent, pytest.raises(Unreachable) as caught, ssh.connect(agent, timeouts=ONCE):
        pass
    said = str(caught.value)
    print(said)
    assert said.startswith("edge: connecting (127.0.0.1:")
    assert said.isprintable()
    assert len(said) < 500
    assert time.monotonic() - began < 15
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000, "kB"
