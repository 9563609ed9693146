"""The stand-in's agents: the settings that decide where an image goes, and whether it stays there.

What is listed is recorded; how it is changed is not, and is held to the Controllers' public sources
(src/schemas/iofog.js, src/services/iofog-service.js, src/data/models/fog.js).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.client import DIALECTS, Client, client, refusal

ENGINES = {"3.0.4": (), "3.7.3": ("docker", "podman"), "3.9.0": ("edgelet", "docker", "podman")}
URL = {"3.0.4": "dockerUrl", "3.7.3": "dockerUrl", "3.9.0": "containerEngineUrl"}
PRUNING = {"3.0.4": "dockerPruningFrequency", "3.7.3": "dockerPruningFrequency", "3.9.0": "pruningFrequency"}
LESS = {"3.0.4": "must have a minimum value of 0", "3.7.3": "must be greater than or equal to 0"}
LESS["3.9.0"] = LESS["3.7.3"]


def _listed(user: Client, name: str = "edge-1") -> dict[str, Any]:
    fogs = user.ask("GET", "/iofog-list").json()["fogs"]
    return next(dict(fog) for fog in fogs if fog["name"] == name)


def _engine(dialect: str, which: int) -> dict[str, str]:
    """One of the engines that the Controller knows; nothing where it knows of none."""
    return {"containerEngine": ENGINES[dialect][which]} if ENGINES[dialect] else {}


@pytest.mark.parametrize(
    ("dialect", "hours", "engine", "url"),
    [
        ("3.0.4", 1, None, "unix:///var/run/docker.sock"),
        ("3.7.3", 0, "docker", "unix:///var/run/docker.sock"),
        # Misspelt in the source (src/data/models/fog.js): edgelet's socket is containerd.sock.
        ("3.9.0", 0, "edgelet", "unix:///run/edgelet/contaienrd.sock"),
    ],
)
def test_what_a_new_agent_is_listed_with(dialect: str, hours: int, engine: str | None, url: str) -> None:
    with client(dialect) as user:
        user.agent()
        agent = _listed(user)
        assert agent[PRUNING[dialect]] == hours
        assert agent["availableDiskThreshold"] == 20
        assert agent[URL[dialect]] == url
        assert agent.get("containerEngine") == engine
        assert ("containerEngine" in agent) is (engine is not None)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_agent_is_made_with_settings_and_changed(dialect: str) -> None:
    with client(dialect) as user:
        first = {
            **_engine(dialect, -1),
            URL[dialect]: "unix:///run/one.sock",
            PRUNING[dialect]: 12,
            "availableDiskThreshold": 30,
        }
        uuid = user.agent(**first)
        user.agent("edge-2")
        assert first.items() <= _listed(user).items()
        then = {**_engine(dialect, 0), URL[dialect]: "unix:///run/two.sock", PRUNING[dialect]: 0}
        answer = user.ask("PATCH", f"/iofog/{uuid}", then)
        assert (answer.status_code, answer.content, answer.headers.get("Content-Type")) == (204, b"", None)
        assert {**first, **then}.items() <= _listed(user).items()
        assert user.ask("GET", f"/iofog/{uuid}").json() == _listed(user)
        assert _listed(user, "edge-2")[URL[dialect]] != "unix:///run/two.sock"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_settings_that_are_refused(dialect: str) -> None:
    with client(dialect) as user:
        uuid, key = user.agent(), PRUNING[dialect]
        before = _listed(user)

        def refused(body: Any, agent: str = uuid) -> tuple[int, str, str]:
            return refusal(user.ask("PATCH", f"/iofog/{agent}", body))

        assert refused({key: -1}) == (400, "ValidationError", f"{key} {LESS[dialect]}")
        assert refused({key: 0.5}) == (400, "ValidationError", f"Field '{key}' is not of a type(s) integer")
        assert refused({URL[dialect]: None}) == (
            400,
            "ValidationError",
            f"Field '{URL[dialect]}' is not of a type(s) string",
        )
        assert refused({key: 1}, "nope") == (404, "NotFoundError", "Invalid ioFog UUID 'nope'")
        assert _listed(user) == before


@pytest.mark.parametrize("dialect", DIALECTS)
def test_engines_that_a_controller_knows(dialect: str) -> None:
    """3.0.4 does not know that there are several: it takes the word, and forgets it."""
    with client(dialect) as user:
        uuid = user.agent()
        for engine in ("docker", "podman", "edgelet", "lxc"):
            answer = user.ask("PATCH", f"/iofog/{uuid}", {"containerEngine": engine})
            if dialect == "3.0.4":
                assert answer.status_code == 204
                assert "containerEngine" not in _listed(user)
            elif engine in ENGINES[dialect]:
                assert answer.status_code == 204
                assert _listed(user)["containerEngine"] == engine
            else:
                message = f"Field containerEngine is not one of enum values: {','.join(ENGINES[dialect])}"
                assert refusal(answer) == (400, "ValidationError", message)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_agents_name(dialect: str) -> None:
    with client(dialect) as user:
        uuid = user.agent()
        user.agent("edge-2")
        assert user.ask("PATCH", f"/iofog/{uuid}", {"name": "edge-1", "host": "10.0.0.99"}).status_code == 204
        assert _listed(user)["host"] == "10.0.0.99"
        answer = user.ask("PATCH", f"/iofog/{uuid}", {"name": "edge-2"})
        why = "Duplicate name 'edge-2'" if dialect == "3.0.4" else "Agent Resource Name is immutable"
        assert refusal(answer) == (400, "ValidationError", why)
        told = user.stand_in.api.dialect.arch_told
        assert refusal(user.ask("POST", "/iofog", {"name": "edge-1", told: 1}))[0] == 400


@pytest.mark.parametrize(("dialect", "field"), [("3.0.4", "fogType"), ("3.7.3", "fogType"), ("3.9.0", "arch")])
def test_an_agent_needs_an_architecture(dialect: str, field: str) -> None:
    with client(dialect) as user:
        answer = user.ask("POST", "/iofog", {"name": "edge-1", "host": "10.0.0.11"})
        assert refusal(answer) == (400, "ValidationError", f"Required field '{field}' is missing")
        assert user.ask("GET", "/iofog-list").json() == {"fogs": []}
        assert user.ask("POST", "/iofog", {"name": "edge-1", field: 5}).status_code == 400


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_default_router(dialect: str) -> None:
    """Recorded of the first ``PUT``; by the source (updateOrCreate) a further one answers with the whole row."""
    with client(dialect) as user:
        first = user.ask("PUT", "/router", {"host": "10.0.0.1", "messagingPort": 5673}).json()
        assert "iofogUuid" not in first
        assert first.items() >= {"host": "10.0.0.1", "messagingPort": 5673, "edgeRouterPort": 56722}.items()
        second = user.ask("PUT", "/router", {"host": "10.0.0.2"}).json()
        assert second == {
            **first,
            "host": "10.0.0.2",
            "messagingPort": 5672,
            "iofogUuid": None,
            "updatedAt": second["updatedAt"],
        }
        answer = user.ask("PUT", "/router", {"messagingPort": 5673})
        assert refusal(answer) == (400, "ValidationError", "Required field 'host' is missing")
