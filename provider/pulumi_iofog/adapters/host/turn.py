"""A turn at a host: whoever brings images to it is alone there, whatever machine and whatever login they come from.

A lock that the host keeps for as long as a session lives: flock's on a folder that every host has for itself, on no
network and writable to nobody, so that no login can put something else there; where there is no flock, a folder that
only one can make. The session must give signs of life: a link may be gone for hours before a host notices.
"""

from __future__ import annotations

import os
import platform
import secrets
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from pulumi_iofog import log
from pulumi_iofog.adapters.ssh.talk import Talk
from pulumi_iofog.errors import AgentError

Wait = Callable[[str, float | None], None]
"""Told who has the turn and since when (seconds since 1970), it says so and sleeps; it may raise."""
BEAT, LEASE = 15, 60
"""Seconds between signs of life, and after which a session without any has lost its turn. A link that is gone is given
up by this side after 40 (Timeouts)."""
ANSWER_WITHIN = 30.0
"""Seconds for the host to say whether it is free."""
_PROCESS = secrets.token_hex(6)


class Line(Protocol):
    """A connection to the host."""

    def talk(self, script: str) -> AbstractContextManager[Talk]: ...


@contextmanager
def turn(line: Line, agent: str, wait: Wait) -> Iterator[None]:
    """While the body runs, it is this agent's turn at its host. Raises AgentError, and what ``wait`` raises."""
    while True:
        with line.talk(_script(agent)) as talk:
            said = talk.line(ANSWER_WITHIN)
            if not said.startswith("busy"):
                log.step("turn", said)
                yield from _kept(talk, said)
                return
        wait(*parse_busy(said, time.time()))


def parse_busy(said: str, now: float) -> tuple[str, float | None]:
    """``busy NOW PID OPERATOR SINCE …``, by the host's clock: who it is, and since when by ours."""
    match said.split(" "):
        case ["busy", then, pid, operator, since, *_] if _is_number(then, pid, since) and operator.isprintable():
            return f"pid {pid} on {operator}"[:80], now - max(int(then) - int(since), 0)
        case _:
            return "another login of the host", None


def _is_number(*texts: str) -> bool:
    """Of seconds since 1970, or a process: no more digits than those have, as no clock shows others."""
    return all(each.isdecimal() and len(each) <= 10 for each in texts)


def _kept(talk: Talk, said: str) -> Iterator[None]:
    """Give signs of life while the body runs. A host that cannot lock anything is no reason to bring it nothing."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT):
            try:
                talk.say(b".")
            except AgentError:
                return  # whoever works on the connection finds out why

    if said == "held":
        threading.Thread(target=beat, name="turn at a host", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _script(agent: str) -> str:
    operator = "".join(each for each in platform.node() if each.isalnum() or each in "-._") or "unknown"
    return _SCRIPT.format(
        pid=os.getpid(), operator=operator, mine=shlex.quote(f"{_PROCESS}-{agent.replace(' ', '-')}"), lease=LEASE
    )


_SCRIPT = """umask 022
here=/run; [ -d $here ] || here=/tmp
folder=/var/tmp/pulumi-iofog.lock said=/var/tmp/pulumi-iofog-$(id -u).holder
take() {{
    if command -v flock >/dev/null; then flock -n 9; return; fi
    mkdir $folder && return
    [ -n "$(find $folder -prune -mmin +1)" ] || return
    # Nobody has given a sign of life for so long. One of another login may be there to stay.
    mv $folder $folder.$$ && rmdir $folder.$$ && mkdir $folder || [ ! -O $folder ]
}} 2>/dev/null
holder() {{ [ -O $said ] && [ ! -L $said ] && set -- $(cat $said) && [ "$4" = {mine} ] && echo $5; }} 2>/dev/null
exec 9<$here
# One that this very operator has lost on the way is no reason to wait.
again() {{ for try in 1 2 3 4 5; do take && return; sleep 1; done; return 1; }}
take || {{ before=$(holder) && kill "$before" && {{ rmdir $folder 2>/dev/null; again; }}; }} || {{
    newest=$(ls -t /var/tmp/pulumi-iofog-*.holder 2>/dev/null | head -n 1)
    echo "busy $(date +%s) $([ -f "$newest" ] && head -n 1 "$newest" | cut -c 1-200)"
    exit
}}
rm -f $said; ( set -C; echo {pid} {operator} $(date +%s) {mine} $$ > $said ) 2>/dev/null
end() {{ rm -f $said; rmdir $folder; exec 9<&-; exit; }} 2>/dev/null
echo held
if timeout 5 true 2>/dev/null; then
    while [ -n "$(timeout {lease} head -c 1 9<&-)" ]; do touch $folder/. 9<&-; done 2>/dev/null
else
    cat >/dev/null 9<&-
fi
end
"""
