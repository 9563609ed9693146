"""Engine commands as the user or as root."""

from __future__ import annotations

import shlex
from typing import Protocol

from pulumi_iofog.adapters.engine.answers import Result


class Shell(Protocol):
    """A connection that runs scripts on the host."""

    def run(self, script: str, *, stdin: bytes = b"", timeout: float = 60.0) -> Result: ...


class Runner:
    """Runs scripts on an agent.

    Args:
        sudo: as root: by sudo, unless the user is root, where sudo need not even be installed.
        password: for sudo; it goes by standard input only, and so is in no process list.
    """

    def __init__(self, shell: Shell, *, sudo: bool, password: str | None = None) -> None:
        self._shell, self._sudo, self._password = shell, sudo, password

    def run(self, script: str, *, timeout: float = 60.0) -> Result:
        # What may be left of standard input is not the script's.
        script = f"export LC_ALL=C; exec </dev/null; {script}"
        if not self._sudo:
            return self._shell.run(script, timeout=timeout)
        sudo = "sudo -n" if self._password is None else "sudo -S -p ''"
        become = f"""[ "$(id -u)" = 0 ] || set -- {sudo} "$@"; exec "$@" """
        script = f"export LC_ALL=C; set -- sh -c {shlex.quote(script)}; {become}"
        stdin = b"" if self._password is None else self._password.encode() + b"\n"
        return self._shell.run(script, stdin=stdin, timeout=timeout)
