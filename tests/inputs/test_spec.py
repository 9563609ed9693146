"""Inputs: every failure at once, each with its path; unknowns; secrets out of sight."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pulumi_iofog.errors import InputError
from pulumi_iofog.inputs.reader import UNKNOWN
from pulumi_iofog.inputs.spec import Agent, ControllerSettings, agent_inputs, parse, secrets

BAD = json.loads((Path(__file__).parents[1] / "cases" / "spec" / "bad.json").read_text())


@pytest.mark.parametrize("case", BAD, ids=[case["name"] for case in BAD])
def test_bad_inputs_are_refused_all_at_once(case: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        parse(case["inputs"])
    assert [f"{f.path}: {f.reason}" for f in caught.value.failures] == case["failures"]


def test_defaults() -> None:
    spec = parse({"name": "gateway", "arm": "r.example/app:1", "agents": ["edge-1"]})
    assert spec.agents == (Agent("edge-1"),)
    assert list(spec.references) == ["arm"]
    assert spec.description == "Offline image bundle gateway"
    assert (spec.transfer_pool, spec.cache, spec.pull_policy, spec.max_unavailable) == (2, True, "always", 0)
    assert spec.rebuild is True
    assert (spec.prune, spec.adopt, spec.namespace, spec.auth, spec.controller) == (
        False,
        False,
        "default",
        None,
        None,
    )


def test_numbers_come_from_pulumi_as_floats() -> None:
    spec = parse({"name": "g", "x86": "a", "agents": [{"name": "e", "port": 2222.0}], "transfer_pool": 4.0})
    assert (spec.agents[0].port, spec.transfer_pool) == (2222, 4)


def test_what_is_not_known_yet_is_noted_by_path() -> None:
    spec = parse(
        {
            "name": "g",
            "x86": UNKNOWN,
            "agents": [{"name": "e1", "host": UNKNOWN}, {"name": UNKNOWN}, UNKNOWN],
            "controller": {"endpoint": UNKNOWN},
        }
    )
    assert spec.unknown == {"x86", "agents[0].host", "agents[1].name", "agents[2]", "controller.endpoint"}
    assert [agent.name for agent in spec.agents] == ["e1"]
    assert not spec.agents_known
    assert parse({"name": "g", "x86": "a", "agents": [{"name": "e", "host": UNKNOWN}]}).agents_known
    assert not parse({"name": "g", "x86": "a", "agents": UNKNOWN}).agents_known


def test_no_secret_in_a_repr_or_a_failure() -> None:
    secret = "hunter2-hunter2"
    agent = {"name": "e", "password": secret, "private_key": secret, "passphrase": secret}
    spec = parse(
        {
            "name": "g",
            "x86": "a",
            "agents": [agent],
            "auth": {"username": "u", "password": secret},
            "controller": {"endpoint": "https://c", "password": secret, "token": secret},
        }
    )
    assert secret not in repr(spec)
    with pytest.raises(InputError) as caught:
        parse({"name": "g", "x86": "a", "agents": ["e"], "auth": secret, "controller": {"password": [secret]}})
    assert secret not in str(caught.value)


def test_every_secret_can_be_told() -> None:
    agents = [{"name": "e", "private_key": "1", "passphrase": "2", "password": "3"}, "f"]
    auth, controller = {"username": "u", "password": "4"}, {"endpoint": "https://c", "password": "5", "token": "6"}
    spec = parse({"name": "g", "x86": "a", "agents": agents, "auth": auth, "controller": controller})
    assert sorted(secrets(spec)) == ["1", "2", "3", "4", "5", "6"]
    assert list(secrets(ControllerSettings("https://c", refresh_token="7"))) == ["7"]


def test_an_agent_goes_back_to_inputs_without_its_defaults() -> None:
    assert agent_inputs(Agent("e", host="h", port=22)) == {"name": "e", "host": "h", "port": 22}
    assert agent_inputs(Agent("e", sudo=False)) == {"name": "e", "sudo": False}
