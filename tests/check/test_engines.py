"""Which engine an agent's images go to, by what the program and the Controller's record say."""

from __future__ import annotations

import pytest

from pulumi_iofog.check.engines import differences, moved, with_engine
from pulumi_iofog.errors import Failures
from pulumi_iofog.inputs.catalog import KnownAgent
from pulumi_iofog.inputs.spec import Agent, EngineName

DOCKERS, ROOTLESS, PODMANS = "/var/run/docker.sock", "/run/user/1000/docker.sock", "/run/podman/podman.sock"


def known(engine: str | None, socket: str | None = f"unix://{DOCKERS}") -> KnownAgent:
    return KnownAgent("e", "uuid", "h", (), engine, socket)


def decided(agent: Agent, record: KnownAgent | None) -> tuple[EngineName | None, str | None, list[str]]:
    failures = Failures()
    found = with_engine(agent, record, "agents[0]", failures)
    return found.engine, found.engine_socket, [f"{each.path}: {each.reason}" for each in failures]


@pytest.mark.parametrize(
    ("record", "engine", "socket"),
    [
        pytest.param(known("docker"), "docker", DOCKERS, id="docker"),
        pytest.param(known("docker", f"unix://{ROOTLESS}"), "docker", ROOTLESS, id="a second daemon"),
        pytest.param(known("Docker", DOCKERS), "docker", DOCKERS, id="a bare path"),
        pytest.param(known("docker", None), "docker", None, id="no socket"),
        pytest.param(known("podman"), "podman", None, id="podman, with the socket that every new record has"),
        pytest.param(known("podman", f"unix://{PODMANS}"), "podman", PODMANS, id="podman with its own"),
        pytest.param(known(None), "docker", DOCKERS, id="a Controller of 3.0, whose agents know Docker's API only"),
        pytest.param(known(None, f"unix://{PODMANS}"), "podman", PODMANS, id="which podman has too"),
        pytest.param(known(None, None), None, None, id="nothing is said"),
        pytest.param(None, None, None, id="the Controller does not know the agent"),
    ],
)
def test_the_record_says_it(record: KnownAgent | None, engine: str | None, socket: str | None) -> None:
    assert decided(Agent("e", host="h"), record) == (engine, socket, [])
    assert differences(Agent("e", host="h"), record) == []


def test_the_program_goes_before_the_record_and_is_warned() -> None:
    agent = Agent("e", engine="podman")
    assert decided(agent, known("docker")) == ("podman", None, [])
    assert differences(agent, known("docker")) == [
        "e: the program says engine=podman, the Controller says that the ioFog agent uses docker;"
        " the agent sees no image that is brought elsewhere"
    ]
    agent = Agent("e", engine_socket=ROOTLESS)
    assert decided(agent, known("docker")) == ("docker", ROOTLESS, [])
    (line,) = differences(agent, known("docker"))
    said = f"the program says engine_socket={ROOTLESS}, the Controller says that the ioFog agent uses {DOCKERS};"
    assert said in line
    assert differences(Agent("e", engine="docker", engine_socket=DOCKERS), known("docker")) == []


def test_an_engine_that_is_not_known_here_is_refused_by_name() -> None:
    engine, _, (failure,) = decided(Agent("e"), known("cri-o"))
    assert engine is None
    assert failure.startswith(
        "agents[0].engine: the Controller says that agent e uses the engine 'cri-o', which is not supported: those that"
        " are: docker, podman"
    )
    assert decided(Agent("e", engine="docker"), known("cri-o")) == ("docker", None, []), "the user knows better"


def test_a_socket_of_another_machine_is_refused() -> None:
    _, socket, (failure,) = decided(Agent("e"), known("docker", "tcp://10.0.0.1:2375"))
    assert socket is None
    assert failure.startswith("agents[0].engine_socket: the Controller says that the engine of agent e listens at tcp:")


def test_a_refresh_says_where_the_record_has_moved_from_the_state() -> None:
    agent = Agent("e", engine="docker", engine_socket="/run/old.sock")
    line = "The state's socket is /run/old.sock, the Controller's record now says /run/new.sock"
    assert moved(agent, known("docker", "unix:///run/new.sock")) == f"{line}: run pulumi up to go by that. "
    assert moved(agent, known("docker", "unix:///run/old.sock")) == ""
    line = "The state's engine is docker, the Controller's record now says podman: "
    assert moved(agent, known("podman")).startswith(line)
    assert moved(agent, None) == moved(agent, known(None, None)) == ""
