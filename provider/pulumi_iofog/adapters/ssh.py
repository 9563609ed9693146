"""SSH to one agent, by paramiko: host keys always verified, and what a user's ~/.ssh says respected.

Sources: ssh_config(5), sshd(8) SSH_KNOWN_HOSTS FILE FORMAT, RFC 4251 to 4254.
"""

from __future__ import annotations

import getpass
import io
import logging
import shlex
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko

from pulumi_iofog.adapters.host_keys import HostKeys
from pulumi_iofog.errors import HostKeyRefused, LoginRefused, Unreachable
from pulumi_iofog.spec import Agent

TRIES_AFTER = (0.0, 1.0, 3.0)
"""Seconds to wait before each try to connect."""
STALLED_AFTER = 30.0
"""Seconds without a byte taken by the other side after which a link counts as dead."""
KEEPALIVE = 10
"""Seconds between keepalives (ssh_config ServerAliveInterval)."""
FAST_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")

# Without a handler of its own, paramiko's warnings would go to the plugin's stderr.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Way:
    """Where an agent is and how to log in: its own fields, then ~/.ssh/config, then ssh's defaults."""

    agent: str
    host: str
    port: int
    user: str
    key_files: tuple[str, ...]
    known_hosts: tuple[Path, ...]
    jump: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Result:
    """What a command on the host has answered."""

    exit_code: int
    stdout: bytes = field(repr=False)
    stderr: bytes

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace")

    @property
    def error(self) -> str:
        """The last line that it complained with."""
        lines = [line for line in self.stderr.decode(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip() if lines else f"exit code {self.exit_code}"


def configured_host(alias: str) -> str | None:
    """The HostName that ~/.ssh/config has for an alias, or None."""
    found = _ssh_config().lookup(alias).get("hostname")
    return found if found != alias else None


@contextmanager
def connect(agent: Agent, *, timeout: float = 15.0) -> Iterator[Connection]:
    """A connection to an agent, closed at the end.

    Args:
        agent: host and credentials; what it lacks comes from ~/.ssh/config.
        timeout: seconds, for each of TCP connect, banner and authentication.

    Raises:
        Unreachable: no connection after three tries.
        HostKeyRefused: the host's key is unknown, or another one than known; never tried again.
        LoginRefused: no key and no password was accepted; never tried again.
    """
    way = _way(agent, agent.host or agent.name)
    with ExitStack() as stack:
        sock = None
        for hop in way.jump:
            through = _open(agent, _hop(agent, hop), sock, timeout)
            stack.callback(through.close)
            following = way.jump[way.jump.index(hop) + 1 :]
            target = _hop(agent, following[0]) if following else way
            sock = _forward(agent, through, target, timeout)
        client = _open(agent, way, sock, timeout)
        stack.callback(client.close)
        yield Connection(way, client)


class Connection:
    """An open SSH connection; several threads may run commands on it."""

    def __init__(self, way: Way, client: paramiko.SSHClient) -> None:
        self.way, self._client = way, client
        transport = client.get_transport()
        assert transport is not None
        self._transport = transport
        transport.set_keepalive(KEEPALIVE)

    def run(self, script: str, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        """Run a POSIX shell script and wait for its end.

        Args:
            script: for ``sh -c``; whatever the user's login shell is.
            stdin: given to it; small (a password).
            timeout: seconds without any output.

        Raises:
            Unreachable: the connection was lost, or nothing came for that long.
        """
        with self._channel("running a command", script, timeout) as channel:
            # A command that needs no input may be gone before it was offered any.
            if stdin and not channel.exit_status_ready():
                channel.sendall(stdin)
            channel.shutdown_write()
            return _finish(channel)

    def send(
        self, script: str, chunks: Iterable[bytes], on_bytes: Callable[[int], None], *, timeout: float = 600.0
    ) -> Result:
        """Stream chunks into a script's standard input, then wait for its end.

        A script that ends early is not an exception: its Result says why.

        Args:
            timeout: seconds that the script may take after the last byte.

        Raises:
            Unreachable: the connection was lost, or took no byte for 30 s.
        """
        with self._channel("sending", script, STALLED_AFTER) as channel:
            for chunk in chunks:
                if not _sent(channel, chunk):
                    break
                on_bytes(len(chunk))
            channel.shutdown_write()
            channel.settimeout(timeout)
            return _finish(channel)

    @contextmanager
    def _channel(self, doing: str, script: str, timeout: float) -> Iterator[paramiko.Channel]:
        with _translated(self.way, doing):
            channel = self._transport.open_session(timeout=timeout)
            try:
                channel.settimeout(timeout)
                channel.exec_command(f"exec sh -c {shlex.quote(script)}")
                yield channel
            finally:
                channel.close()


def _sent(channel: paramiko.Channel, chunk: bytes) -> bool:
    try:
        channel.sendall(chunk)
    except TimeoutError:
        raise
    except OSError:
        # Either the script has ended, and then its answer is there, or the connection has.
        if not channel.get_transport().is_active():
            raise
        return False
    return True


def _finish(channel: paramiko.Channel) -> Result:
    stdout = b"".join(iter(lambda: channel.recv(65536), b""))
    stderr = b"".join(iter(lambda: channel.recv_stderr(65536), b""))
    code = channel.recv_exit_status()
    if code < 0 and not channel.get_transport().is_active():
        raise EOFError
    return Result(code, stdout, stderr)


# ---- the way in -------------------------------------------------------------------------------------


def _way(agent: Agent, name: str) -> Way:
    config = _ssh_config().lookup(name)
    keys = [agent.private_key_file] if agent.private_key_file else config.get("identityfile", [])
    files = [agent.known_hosts_file] if agent.known_hosts_file else config.get("userknownhostsfile", "").split()
    jump = agent.proxy_jump or config.get("proxyjump", "")
    return Way(
        agent=agent.name,
        host=config["hostname"],
        port=agent.port or int(config.get("port", 22)),
        user=agent.user or config.get("user") or getpass.getuser(),
        key_files=tuple(str(Path(key).expanduser()) for key in keys),
        known_hosts=tuple(Path(file).expanduser() for file in files),
        jump=tuple(hop.strip() for hop in jump.split(",") if hop.strip() and jump != "none"),
    )


def _hop(agent: Agent, text: str) -> Way:
    """``[user@]host[:port]`` of a ProxyJump, with ~/.ssh/config applied to it."""
    user, _, rest = text.rpartition("@")
    host, _, port = rest.partition(":") if not rest.startswith("[") else (rest, "", "")
    bare = Agent(
        agent.name,
        user=user or None,
        port=int(port) if port else None,
        private_key_file=agent.private_key_file,
        known_hosts_file=agent.known_hosts_file,
        proxy_jump="none",
    )
    return _way(bare, host.strip("[]"))


def _ssh_config() -> paramiko.SSHConfig:
    path = Path("~/.ssh/config").expanduser()
    return paramiko.SSHConfig.from_path(str(path)) if path.is_file() else paramiko.SSHConfig()


def _forward(agent: Agent, through: paramiko.SSHClient, target: Way, timeout: float) -> paramiko.Channel:
    transport = through.get_transport()
    assert transport is not None
    with _translated(target, "connecting through the jump host"):
        return transport.open_channel("direct-tcpip", (target.host, target.port), ("127.0.0.1", 0), timeout=timeout)


def _open(agent: Agent, way: Way, sock: Any, timeout: float) -> paramiko.SSHClient:
    """Connect and log in; only what may pass by itself is tried again."""
    for number, wait in enumerate(TRIES_AFTER, start=1):
        time.sleep(wait)
        client = paramiko.SSHClient()
        try:
            with _translated(way, "connecting"):
                _log_in(client, agent, way, sock, timeout)
            return client
        except Unreachable as problem:
            client.close()
            # A jump host's channel is used up by a failed try.
            if number == len(TRIES_AFTER) or sock is not None or "not known" in problem.why:
                raise
        except BaseException:
            client.close()
            raise
    raise AssertionError("unreachable")


def _log_in(client: paramiko.SSHClient, agent: Agent, way: Way, sock: Any, timeout: float) -> None:
    keys = HostKeys(way.agent, way.host, way.port, way.known_hosts, agent.accept_new_host_key)
    keys.install(client, pinned=agent.host_key if way.host == (agent.host or agent.name) else None)
    own_key = _private_key(agent, way)
    files = [key for key in way.key_files if Path(key).is_file()]
    client.connect(
        way.host,
        way.port,
        way.user,
        password=agent.password,
        pkey=own_key,
        key_filename=files or None,  # type: ignore[arg-type]  # a list is documented
        passphrase=agent.passphrase,
        look_for_keys=own_key is None and not agent.private_key_file,
        timeout=timeout,
        banner_timeout=timeout,
        auth_timeout=timeout,
        channel_timeout=timeout,
        sock=sock,
        transport_factory=_transport,
    )


def _transport(*args: Any, **options: Any) -> paramiko.Transport:
    transport = paramiko.Transport(*args, **options)
    security = transport.get_security_options()
    fast = [cipher for cipher in FAST_CIPHERS if cipher in security.ciphers]
    security.ciphers = fast or security.ciphers
    return transport


def _private_key(agent: Agent, way: Way) -> paramiko.PKey | None:
    if agent.private_key_file and not Path(agent.private_key_file).expanduser().is_file():
        raise LoginRefused(
            agent.name,
            f"logging in as {way}",
            f"there is no file {agent.private_key_file}",
            "Check private_key_file",
        )
    if not agent.private_key:
        return None
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(agent.private_key), agent.passphrase)
        except paramiko.PasswordRequiredException:
            raise LoginRefused(
                agent.name, f"logging in as {way}", "private_key is encrypted", "Give its passphrase="
            ) from None
        except (paramiko.SSHException, ValueError):
            continue
    raise LoginRefused(
        agent.name,
        f"logging in as {way}",
        "private_key is no Ed25519, ECDSA or RSA key in PEM, or its passphrase is wrong",
    )


# ---- paramiko's errors into ours ----------------------------------------------------------------------


@contextmanager
def _translated(way: Way, doing: str) -> Iterator[None]:
    try:
        yield
    except (HostKeyRefused, LoginRefused, Unreachable):
        raise
    except paramiko.BadHostKeyException as problem:
        raise HostKeys.changed(way.agent, way.host, way.port, way.known_hosts, problem) from None
    except paramiko.PasswordRequiredException:
        raise LoginRefused(
            way.agent, f"logging in as {way}", "the private key is encrypted", "Give its passphrase="
        ) from None
    except paramiko.AuthenticationException as problem:
        raise _refused(way, problem) from None
    except socket.gaierror as problem:
        why = f"the name {way.host} is not known ({problem.strerror})"
        raise Unreachable(way.agent, f"{doing} ({way.host}:{way.port})", why, "Check host=") from None
    except TimeoutError:
        why = "no answer in time" if doing == "connecting" else "the link has stalled"
        raise _unreachable(way, doing, why) from None
    except paramiko.ssh_exception.NoValidConnectionsError as problem:
        reasons = "; ".join(sorted({_reason(error) for error in problem.errors.values()}))
        raise _unreachable(way, doing, reasons) from None
    except (paramiko.SSHException, EOFError, OSError) as problem:
        raise _unreachable(way, doing, _reason(problem)) from None


def _reason(problem: Exception) -> str:
    said = getattr(problem, "strerror", None)
    return str(said) if said else " ".join(str(problem).split()) or "the connection was lost"


def _unreachable(way: Way, doing: str, why: str) -> Unreachable:
    hint = f"Is the host up, and sshd on port {way.port} reachable from here?"
    if doing != "connecting":
        hint = "Run pulumi up again: it goes on where it stopped"
    return Unreachable(way.agent, f"{doing} ({way.host}:{way.port})", why, hint)


def _refused(way: Way, problem: paramiko.AuthenticationException) -> LoginRefused:
    allowed = getattr(problem, "allowed_types", None)
    offered = f"; the host accepts {', '.join(allowed)}" if allowed else ""
    return LoginRefused(
        way.agent,
        f"logging in as {way}",
        f"neither key, ssh-agent nor password was accepted{offered}",
        f"Check user=, private_key_file= or password=; try: ssh -p {way.port} {way.user}@{way.host}",
    )
