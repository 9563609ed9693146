"""The user's login shell, which is given every command: how a script gets through any of them, and what if none does.

Sources: csh(1) and tcsh(1), where quotes do not span lines and ``!`` is special in all of them; fish(1); POSIX, printf.
"""

from __future__ import annotations

import re
import shlex

from pulumi_iofog.adapters.ssh.destination import Destination
from pulumi_iofog.errors import AgentError

BEGIN = "pulumi-iofog: begin"
"""What a script says first; before it comes what the login shell's startup files print."""
WORD = 900
"""Bytes of an argument; csh takes words of 1,024."""
USUAL_PLACES = (
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
    "/snap/bin",
    "/opt/bin",
    "/opt/*/bin",
    "/var/packages/*/target/usr/bin",
    "/var/packages/*/target/bin",
)
"""Where programs are that a login without a terminal, or sudo, need not have on PATH: of snaps, Entware, Homebrew, and
Synology's packages."""
WIDER_PATH = (
    f"for each in {' '.join(USUAL_PLACES)}; do"
    ' case ":$PATH:" in *":$each:"*) ;; *) [ -d "$each" ] && PATH="$PATH:$each";; esac; done\n'
)
"""A script's first line, by which it finds them, after what is on PATH."""

_UNSAFE = re.compile(rb"[^ -~]|['\\!]")
_UNIT = re.compile(r"\\0[0-7]{3}|.")


def command(script: str) -> str:
    """A command line for any login shell, by which ``sh`` runs the script, and says BEGIN before.

    Nothing stands in quotes that a shell would look at: printf(1) makes the script of it again.
    """
    whole = f"echo {shlex.quote(BEGIN)}; {WIDER_PATH}{script}".encode()
    packed = _UNSAFE.sub(lambda found: b"\\0%03o" % found[0][0], whole).decode()
    words, length = [""], 0
    for unit in _UNIT.findall(packed):
        if length + len(unit) > WORD:
            words.append("")
            length = 0
        words[-1] += unit
        length += len(unit)
    return f"""exec /bin/sh -c 'eval "$(IFS=; printf %b "$*")"' sh {" ".join(f"'{word}'" for word in words)}"""


def nothing_run(destination: Destination, doing: str, said: bytes, waited: float | None) -> AgentError:
    """The login shell has not begun with the script: after so many seconds, or before it ended (None)."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    words = f"; it said: {lines[-1][:200]}" if lines else ""
    how = "ended without running a command" if waited is None else f"has run no command within {waited:.0f} s"
    by_hand = f"ssh -p {destination.port} {destination.user}@{destination.host} true"
    return AgentError(
        destination.agent,
        f"{doing} ({destination.address})",
        f"the login shell of {destination.user} {how}{words}",
        "It may be nologin, sshd or the key may force another command (ForceCommand, command=), or a startup file such"
        f" as ~/.bashrc may wait for something; try: {by_hand}",
    )
