"""What hosts hold, asked by many refreshes at once: a visit answers all the questions that have come by then.

Pulumi refreshes resources in parallel, and each knows only its own image. Twenty images on a host would be twenty
visits, most of whose time is the host's: it starts a process for each command.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.oci.image import Pin

GATHER = 0.03
"""Seconds that a visit waits for others: the plugin's four threads come with questions at nearly the same time."""
Visit = Callable[[Agent, Sequence[Pin]], Mapping[Pin, bool]]
"""Asks one agent which of the images it holds."""


@dataclass(slots=True, eq=False)
class _Question:
    pin: Pin
    answer: bool | None = None
    problem: Exception | None = None


@dataclass(slots=True)
class _Host:
    """Questions that wait for the end of the visit that is under way, if one is."""

    waiting: list[_Question] = field(default_factory=list)
    visited: bool = False


class Questions:
    """Shared by all verbs of a process; called from any of its threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._hosts: dict[Agent, _Host] = {}

    def holds(self, agent: Agent, pin: Pin, visit: Visit) -> bool:
        """Whether the agent holds the image. Raises what the visit has raised, which was perhaps another thread's."""
        question = _Question(pin)
        with self._changed:
            host = self._hosts.setdefault(agent, _Host())
            host.waiting.append(question)
            self._changed.wait_for(lambda: question not in host.waiting or not host.visited)
            leads = question in host.waiting
            host.visited |= leads
        if leads:
            time.sleep(GATHER)
            self._ask(agent, host, visit)
        else:
            with self._changed:
                self._changed.wait_for(lambda: question.answer is not None or question.problem is not None)
        if question.problem:
            raise question.problem
        return bool(question.answer)

    def _ask(self, agent: Agent, host: _Host, visit: Visit) -> None:
        """Visit the host for all who wait."""
        with self._changed:
            asked, host.waiting = host.waiting, []
        try:
            answers = visit(agent, list(dict.fromkeys(question.pin for question in asked)))
            for question in asked:
                question.answer = answers[question.pin]
        except Exception as problem:
            for question in asked:
                question.problem = problem
        finally:
            with self._changed:
                host.visited = False
                self._changed.notify_all()
