"""paramiko's errors, and the network's, translated into ours."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import paramiko

from pulumi_iofog import log, text
from pulumi_iofog.adapters.ssh.destination import Destination
from pulumi_iofog.adapters.ssh.output import TooMuch
from pulumi_iofog.adapters.ssh.transport import NothingInCommon
from pulumi_iofog.errors import AgentError, IofogError, LoginRefused, Unreachable

CONNECTING, NO_ANSWER = "connecting", "no answer in time"


class Stalled(TimeoutError):
    """It goes on, but so slowly that it will not end; the message says how slowly."""


@contextmanager
def translated(destination: Destination, doing: str, stalled: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Raise what goes wrong inside as an AgentError.

    Args:
        stalled: whether we closed the connection ourselves, because the host was silent.
    """
    try:
        yield
    except IofogError:
        raise
    except NothingInCommon as problem:
        hint = f"Have its sshd offer one of {problem.ours}"
        raise AgentError(destination.agent, f"{doing} ({destination.address})", problem.why, hint) from None
    except socket.gaierror as problem:
        why = f"the name {destination.host} cannot be resolved ({problem.strerror})"
        hint = "Check ProxyJump and HostName in ~/.ssh/config, or proxy_jump=" if destination.hop else "Check host="
        raise Unreachable(destination.agent, f"{doing} ({destination.address})", why, hint) from None
    except Stalled as problem:
        raise unreachable(destination, doing, str(problem)) from None
    except TimeoutError:
        raise unreachable(destination, doing, NO_ANSWER) from None
    except (paramiko.SSHException, EOFError, OSError) as problem:
        why = "the link has stalled" if stalled() else _reason(problem)
        raise unreachable(destination, doing, why) from None
    except TooMuch as problem:
        raise AgentError(destination.agent, f"{doing} ({destination.address})", str(problem)) from None
    except Exception as problem:
        if not doing.startswith(CONNECTING):
            raise
        # What a server of bad manners or intentions sends makes paramiko raise whatever its code runs into: ValueError,
        # UnicodeDecodeError, IndexError, struct.error and more were seen.
        log.failed("connect")
        said = f"{type(problem).__name__}: {text.excerpt(problem, 160)}"
        why = f"what answers there does not speak SSH as it should ({said})"
        raise Unreachable(destination.agent, f"{doing} ({destination.address})", why, "Is it an SSH server?") from None


def connecting(destination: Destination, through: Destination | None) -> str:
    """What is being done, for messages: connecting to which jump host, through which."""
    to = f" to {destination.hop}" if destination.hop else ""
    return f"{CONNECTING}{to}" + (f" through the jump host {through}" if through else "")


def _reason(problem: Exception) -> str:
    if isinstance(problem, paramiko.ChannelException):
        return text.excerpt(problem.text)
    said = getattr(problem, "strerror", None)
    return str(said) if said else text.excerpt(problem) or "the connection was lost"


def unreachable(destination: Destination, doing: str, why: str) -> Unreachable:
    """The host cannot be reached, or can no longer be."""
    hint = f"Is the host up, and sshd on port {destination.port} reachable from here?"
    if "through the jump host" in doing:
        hint = f"Is the host up, and sshd on port {destination.port} reachable from the jump host?"
    elif destination.proxy_command and doing.startswith(CONNECTING):
        hint = "Check ProxyCommand in ~/.ssh/config"
    elif not doing.startswith(CONNECTING):
        hint = "Run pulumi up again: it resumes where it stopped"
    return Unreachable(destination.agent, f"{doing} ({destination.address})", why, hint)


@dataclass(slots=True)
class Tried:
    """What a login has tried.

    Attributes:
        names: what was tried in vain, or could not be tried, and why.
        enough: what the host accepted; the last of it may have been enough to log in.
        accepted: what the host accepts next.
        unanswered: prompts of the host that a password does not answer.
        closed: the host has closed the connection.
    """

    names: list[str] = field(default_factory=list)
    enough: list[str] = field(default_factory=list)
    accepted: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()
    closed: bool = False

    def has(self, name: str) -> bool:
        """Whether that has been tried."""
        return name in self.names or name in self.enough


def refused(destination: Destination, tried: Tried) -> LoginRefused:
    """No key and no password was accepted, or not enough of them."""
    doing = f"logging in as {destination}" + (f" ({destination.hop})" if destination.hop else "")
    names = ", ".join(tried.names)
    why = f"the host accepted none of: {names}" if names else "there is no key, ssh-agent or password to try"
    if tried.enough:
        refusing = f"; it refused: {names}" if names else ""
        why = f"the host accepted {' and '.join(tried.enough)}, but wants more{refusing}"
    if tried.unanswered:
        why += f"; it asks for {' and '.join(map(repr, tried.unanswered))}"
    if tried.accepted:
        why += f"; it accepts {', '.join(tried.accepted)}"
    attempt = f"try: ssh -p {destination.port} {destination.user}@{destination.host}"
    hint = f"Check user=, private_key_file= or password=; {attempt}"
    if tried.closed:
        why = f"the host closed the connection after {len(tried.names)} attempts: {names}"
        hint = "Many keys may use up its MaxAuthTries: set IdentityFile and IdentitiesOnly in ~/.ssh/config"
    elif destination.hop:
        hint = f"A jump host needs a key or an ssh-agent, and never gets password=; {attempt}"
    elif "it expired" in names:
        hint = "Renew the certificate"
    return LoginRefused(destination.agent, doing, why, hint)
