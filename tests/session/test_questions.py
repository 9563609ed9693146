"""Questions of many refreshes to a host: how many visits they make, and what becomes of one that fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from pulumi_iofog.errors import Unreachable
from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.oci.image import Pin
from pulumi_iofog.session.questions import Questions
from tests.images import make_image

PINS = [make_image({"app": f"{number}".encode()}).image.pin for number in range(8)]


class Host:
    """Holds every second image; the first visit lasts until all questions have come."""

    def __init__(self) -> None:
        self.visits: list[tuple[str, int]] = []
        self.began, self.may_end = threading.Event(), threading.Event()
        self.fails = False

    def visit(self, agent: Agent, pins: Sequence[Pin]) -> Mapping[Pin, bool]:
        self.visits.append((agent.name, len(pins)))
        self.began.set()
        assert self.may_end.wait(10)
        if self.fails:
            raise Unreachable(agent.name, "connecting", "Connection refused")
        return {pin: PINS.index(pin) % 2 == 0 for pin in pins}


def test_a_visit_answers_all_that_have_come_by_then() -> None:
    host, questions, agents = Host(), Questions(), [Agent("a"), Agent("b")]
    with ThreadPoolExecutor(32) as threads:
        first = threads.submit(questions.holds, agents[0], PINS[0], host.visit)
        assert host.began.wait(10)
        rest = {
            (agent.name, pin): threads.submit(questions.holds, agent, pin, host.visit)
            for agent in agents
            for pin in PINS[1:]
        }
        time.sleep(0.3)
        host.may_end.set()
        answers = {pin: each.result(10) for (_, pin), each in rest.items()}
    assert first.result()
    assert answers == {pin: PINS.index(pin) % 2 == 0 for pin in PINS[1:]}
    # One, or as many as had come before it set out.
    (a, first_of_a), (_, rest_of_a), (b, first_of_b), *rest_of_b = sorted(host.visits, key=lambda visit: visit[0])
    assert (a, b) == ("a", "b")
    assert first_of_a + rest_of_a == 8
    assert first_of_b + sum(count for _, count in rest_of_b) == 7
    assert len(rest_of_b) <= 1


def test_a_visit_that_fails_fails_all_its_questions_and_no_later_ones() -> None:
    host, questions, agent = Host(), Questions(), Agent("a")
    host.fails = True
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(questions.holds, agent, pin, host.visit) for pin in PINS]
        host.may_end.set()
        for each in asked:
            with pytest.raises(Unreachable):
                each.result(10)
    host.fails = False
    assert questions.holds(agent, PINS[0], host.visit)
