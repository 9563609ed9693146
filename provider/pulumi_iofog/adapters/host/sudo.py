"""Engine commands as the user or as root."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from itertools import chain

from pulumi_iofog import log
from pulumi_iofog.adapters.host.shell import Result, Shell
from pulumi_iofog.adapters.ssh.login_shell import WIDER_PATH
from pulumi_iofog.adapters.ssh.output import ANSWER


class Runner:
    """Runs scripts on an agent.

    Args:
        sudo: as root: by sudo, unless the user is root, where sudo need not even be installed.
        password: for sudo; it goes by standard input only, and so is in no process list.
        first: a script before each; it ends with a newline.
        alone: the script runs as the user, and only this command in it by sudo, which allows no more.
    """

    def __init__(
        self, shell: Shell, *, sudo: bool, password: str | None = None, first: str = "", alone: str = ""
    ) -> None:
        self._shell, self._sudo, self._password, self._alone = shell, sudo and not alone, password, alone
        self._given, self._first = first, f"{first}{_by_sudo(alone)}" if alone else first

    def over(self, shell: Shell) -> Runner:
        """The same over another shell."""
        return Runner(shell, sudo=self._sudo, password=self._password, first=self._given, alone=self._alone)

    def run(self, script: str, *, timeout: float = 60.0, most: int = ANSWER) -> Result:
        # What may be left of standard input is not the script's.
        whole = self._as_whom(f"exec </dev/null; {script}")
        return log.command(script, lambda: self._shell.run(whole, stdin=self._for_sudo(), timeout=timeout, most=most))

    def tell(self, script: str, lines: Iterable[bytes], *, timeout: float = 60.0) -> Result:
        """Run a script that is told lines while it runs; one that it does not know may come first."""
        # Where sudo asks for no password, that is left for the script.
        return self._shell.send(self._as_whom(script), chain([self._for_sudo()], lines), timeout=timeout)

    def _for_sudo(self) -> bytes:
        return self._password.encode() + b"\n" if self._sudo and self._password is not None else b""

    def _as_whom(self, script: str) -> str:
        script = f"export LC_ALL=C; {self._first}{script}"
        if not self._sudo:
            return script
        # sudo has a PATH of its own (sudoers(5), secure_path).
        script = f"{WIDER_PATH}{script}"
        sudo = "sudo -n" if self._password is None else "sudo -S -p ''"
        become = f"""[ "$(id -u)" = 0 ] || set -- {sudo} "$@"; exec "$@" """
        return f"export LC_ALL=C; set -- sh -c {shlex.quote(script)}; {become}"


def _by_sudo(command: str) -> str:
    """A shell function in place of a command. sudo keeps no environment, so Docker is told its socket by an option."""
    socket = ' -H "$DOCKER_HOST"' if command == "docker" else ""
    return f'program=$(command -v {command})\n{command}() {{ sudo -n "$program"{socket} "$@"; }}\n'
