"""Logging in: what the host accepts is tried in OpenSSH's order; the error says what was tried.

    Login.authenticate
    ├── none                    learns what the host accepts; RFC 4252, 5.2
    ├── identities              keys and certificates (identities.py)
    └── password                or, if the host prompts for it, keyboard-interactive

A host may require several steps: the answer to each says what it accepts next.

Sources: RFC 4252; RFC 4256.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import paramiko

from pulumi_iofog.adapters.ssh.destination import Destination
from pulumi_iofog.adapters.ssh.errors import Tried, refused
from pulumi_iofog.adapters.ssh.identities import identities


class Login:
    """Logs in to one host, once; stands in for paramiko's AuthStrategy."""

    def __init__(self, destination: Destination) -> None:
        self._destination, self._tried = destination, Tried()
        self._shown: set[bytes] = set()

    @property
    def by(self) -> str:
        """What the host took."""
        return " and ".join(name or "nothing" for name in self._tried.enough)

    def authenticate(self, transport: paramiko.Transport) -> Any:
        """Log in.

        Raises:
            LoginRefused: nothing was enough.
            TimeoutError, EOFError, paramiko.SSHException: the host no longer answers.
        """
        self._transport, user = transport, self._destination.user
        if self._step("", lambda: transport.auth_none(user)):
            return None
        steps = -1
        while steps < len(self._tried.enough):
            steps = len(self._tried.enough)
            if self._by_keys() or self._by_password():
                return None
        raise refused(self._destination, self._tried)

    def _by_keys(self) -> bool:
        if not self._may("publickey"):
            return False
        with identities(self._destination) as found:
            for identity in found:
                if identity.key is None:
                    self._cannot(identity.name)
                elif self._show(identity.name, identity.key):
                    return True
                if not self._may("publickey"):
                    return False
        return False

    def _cannot(self, name: str) -> None:
        if name not in self._tried.names:
            self._tried.names.append(name)

    def _show(self, name: str, key: paramiko.PKey) -> bool:
        """Offer a key or certificate, unless it was offered before: by its content, as several may share a name."""
        blob = key.public_blob.key_blob if key.public_blob else key.asbytes()
        if blob in self._shown:
            return False
        self._shown.add(blob)
        return self._step(name, partial(self._transport.auth_publickey, self._destination.user, key))

    def _by_password(self) -> bool:
        password, user = self._destination.login.password, self._destination.user
        if password is None:
            return False
        if self._may("password") and not self._tried.has("password"):
            return self._step("password", lambda: self._transport.auth_password(user, password, fallback=False))
        if self._may("keyboard-interactive") and not self._tried.has("keyboard-interactive"):
            answers = _Answers(password)
            done = self._step("keyboard-interactive", lambda: self._transport.auth_interactive(user, answers))
            if answers.unanswered and not done:
                self._tried.unanswered = tuple(answers.unanswered)
            return done
        return False

    def _may(self, method: str) -> bool:
        return method in self._destination.methods and method in self._tried.accepted

    def _step(self, name: str, act: Callable[[], Sequence[str]]) -> bool:
        """Whether the step completes the login; if not, what the host accepts next is noted."""
        try:
            next_ = act()
        except paramiko.BadAuthenticationType as problem:
            self._tried.accepted = tuple(problem.allowed_types)
        except paramiko.SSHException as problem:
            if "timeout" in str(problem).lower():
                raise TimeoutError from None
            if not self._transport.is_active():
                if not name:
                    raise
                self._tried.closed = True
                self._tried.names.append(name)
                raise refused(self._destination, self._tried) from None
        else:
            self._tried.enough.append(name)
            self._tried.accepted = tuple(next_)
            return not next_
        if name:
            self._tried.names.append(name)
        return False


class _Answers:
    """Answers the first prompt that hides its input with the password, and no other."""

    def __init__(self, password: str) -> None:
        self._password: str | None = password
        self.unanswered: list[str] = []

    def __call__(self, title: str, instructions: str, prompts: Sequence[tuple[str, bool]]) -> list[str]:
        return [self._answer(text, shown) for text, shown in prompts]

    def _answer(self, text: str, shown: bool) -> str:
        if shown or self._password is None:
            self.unanswered.append(text.strip())
            return ""
        answer, self._password = self._password, None
        return answer
