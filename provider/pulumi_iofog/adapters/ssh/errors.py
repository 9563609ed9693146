"""paramiko's errors, and the network's, into ours."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import paramiko

from pulumi_iofog.adapters.ssh.config import Way
from pulumi_iofog.errors import AgentError, LoginRefused, Unreachable


@contextmanager
def translated(way: Way, doing: str, stalled: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Raise what goes wrong inside as an AgentError.

    Args:
        stalled: whether we have closed the connection ourselves, as the host was silent.
    """
    try:
        yield
    except AgentError:
        raise
    except socket.gaierror as problem:
        why = f"the name {way.host} is not known ({problem.strerror})"
        raise Unreachable(way.agent, f"{doing} ({way.host}:{way.port})", why, "Check host=") from None
    except TimeoutError:
        raise _unreachable(way, doing, "no answer in time") from None
    except paramiko.ssh_exception.NoValidConnectionsError as problem:
        reasons = "; ".join(sorted({_reason(error) for error in problem.errors.values()}))
        raise _unreachable(way, doing, reasons) from None
    except (paramiko.SSHException, EOFError, OSError) as problem:
        why = "the link has stalled" if stalled() else _reason(problem)
        raise _unreachable(way, doing, why) from None


def _reason(problem: Exception) -> str:
    if isinstance(problem, paramiko.ChannelException):
        return str(problem.text)
    said = getattr(problem, "strerror", None)
    return str(said) if said else " ".join(str(problem).split()) or "the connection was lost"


def _unreachable(way: Way, doing: str, why: str) -> Unreachable:
    hint = f"Is the host up, and sshd on port {way.port} reachable from here?"
    if doing == "connecting through the jump host":
        hint = f"Is the host up, and sshd on port {way.port} reachable from the jump host?"
    elif doing != "connecting":
        hint = "Run pulumi up again: it goes on where it stopped"
    return Unreachable(way.agent, f"{doing} ({way.host}:{way.port})", why, hint)


def refused(way: Way, problem: paramiko.SSHException, *, closed: bool) -> LoginRefused:
    """No key and no password was accepted; ``closed``: and the host has closed the connection."""
    allowed = ", ".join(getattr(problem, "allowed_types", None) or ())
    why = "neither key, ssh-agent nor password was accepted" + (f"; the host accepts {allowed}" if allowed else "")
    hint = f"Check user=, private_key_file= or password=; try: ssh -p {way.port} {way.user}@{way.host}"
    if isinstance(problem, paramiko.PasswordRequiredException):
        why, hint = "the private key is encrypted", "Give its passphrase="
    elif closed:
        why = "the host closed the connection before any key or password was accepted"
        hint = "An ssh-agent with many keys may use up the host's MaxAuthTries: set IdentitiesOnly in ~/.ssh/config"
    return LoginRefused(way.agent, f"logging in as {way}", why, hint)
