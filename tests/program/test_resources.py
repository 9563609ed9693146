"""What the resources hand to Pulumi, seen by its mocks: secrets apart, the set's parts, what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pulumi
import pytest
from pulumi.runtime import MockCallArgs, MockResourceArgs, rpc

import pulumi_iofog as iofog
from pulumi_iofog.check.properties import chosen
from pulumi_iofog.check.state import parse_inputs
from pulumi_iofog.errors import InputError
from pulumi_iofog.inputs.reader import UNKNOWN


class Recorder(pulumi.runtime.Mocks):
    """Remembers what is made, and gives each image an id of its own."""

    def __init__(self) -> None:
        self.made: dict[str, dict[str, Any]] = {}

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.made[args.name] = {k: v for k, v in args.inputs.items() if not k.startswith("__")}
        if not args.typ.endswith("iofog:OfflineImage"):
            return args.name, dict(args.inputs)
        number = len(self.made)
        pending = ["edge-2"] if args.name.endswith("-reader") else []
        return str(number), {**args.inputs, "catalog_item_id": number, "pending_agents": pending}

    def call(self, args: MockCallArgs) -> dict[str, Any]:
        return {}


@pytest.fixture
def mocks() -> Iterator[Recorder]:
    mocks, loop = Recorder(), asyncio.new_event_loop()
    # From Python 3.14 on, there is none unless somebody makes it.
    asyncio.set_event_loop(loop)
    pulumi.runtime.set_mocks(mocks, preview=False)
    yield mocks
    asyncio.set_event_loop(None)
    loop.close()


def settled(output: pulumi.Output[Any]) -> Any:
    """An output's value, after all that was registered."""
    values: list[Any] = []
    pulumi.runtime.test(lambda: output.apply(values.append))()
    return values[0]


def secrets_in(value: Any) -> Any:
    return value["value"] if isinstance(value, dict) and rpc._special_sig_key in value else value


def test_secrets_of_agents_are_sent_apart(mocks: Recorder) -> None:
    late = pulumi.Output.from_input("edge-4")
    image = iofog.OfflineImage(
        "gateway",
        x86="app:1",
        agents=[
            "edge-1",
            iofog.AgentArgs(name="edge-2", host="10.0.0.2", password="hidden-2"),
            {"name": "edge-3", "private_key": "hidden-3", "passphrase": pulumi.Output.secret("hidden-4")},
            {"name": late, "password": "hidden-5"},
            pulumi.Output.from_input({"name": "edge-5", "password": "hidden-6"}),
        ],
    )
    settled(image.catalog_item_id)
    sent = mocks.made["gateway"]
    assert sent["agents"] == [
        "edge-1",
        {"name": "edge-2", "host": "10.0.0.2"},
        {"name": "edge-3"},
        {"name": "edge-4"},
        {"name": "edge-5"},
    ]
    secrets = {name: secrets_in(own) for name, own in secrets_in(sent["agent_secrets"]).items()}
    assert secrets == {
        "edge-2": {"password": "hidden-2"},
        "edge-3": {"private_key": "hidden-3", "passphrase": "hidden-4"},
        "#3": {"password": "hidden-5"},
        "#4": {"password": "hidden-6"},
    }
    # Put together again they are what the user wrote.
    spec = parse_inputs({**sent, "agent_secrets": secrets})
    assert [agent.password for agent in spec.agents] == [None, "hidden-2", None, "hidden-5", "hidden-6"]
    assert spec.agents[2].private_key == "hidden-3"


def test_without_secrets_there_is_nothing_apart(mocks: Recorder) -> None:
    settled(iofog.OfflineImage("gateway", x86="app:1", agents=["edge-1", {"name": "edge-2"}]).catalog_item_id)
    assert "agent_secrets" not in mocks.made["gateway"]


def test_all_agents_as_one_output(mocks: Recorder) -> None:
    agents = pulumi.Output.from_input([{"name": "edge-1", "password": "hidden"}])
    settled(iofog.OfflineImage("gateway", x86="app:1", agents=agents).catalog_item_id)
    assert mocks.made["gateway"]["agents"] == [{"name": "edge-1"}]
    assert secrets_in(mocks.made["gateway"]["agent_secrets"]) == {"edge-1": {"password": "hidden"}}


def test_what_is_not_known_yet_stays_unknown() -> None:
    inputs = {"name": "app", "x86": "app:1", "agents": [{"name": "edge-1"}, UNKNOWN]}
    spec = parse_inputs({**inputs, "agent_secrets": {"edge-1": {"password": UNKNOWN}, "#1": UNKNOWN}})
    assert {"agents[0].password", "agents[1]"} <= spec.unknown
    assert parse_inputs({**inputs, "agent_secrets": UNKNOWN}).agents[0].password is None


def test_a_state_with_secrets_at_the_agents_can_be_read() -> None:
    spec = parse_inputs({"name": "app", "x86": "app:1", "agents": [{"name": "edge-1", "password": "hidden"}]})
    assert spec.agents[0].password == "hidden"


def test_an_import_is_refused_with_what_to_do_instead(mocks: Recorder) -> None:
    with pytest.raises(InputError, match="set adopt=True, and pulumi up takes the catalog item over"):
        iofog.OfflineImage("gateway", x86="app:1", agents=["e"], opts=pulumi.ResourceOptions(import_="6"))


# ---- sets ----------------------------------------------------------------------------------------------


def test_a_set_is_an_image_each_for_the_same_agents(mocks: Recorder) -> None:
    fleet = iofog.OfflineImageSet(
        "plant",
        images={
            "gateway": iofog.ImageArgs(x86="gateway:1", arm="gateway:1", auth={"username": "own", "password": "p"}),
            "reader": {"x86": pulumi.Output.from_input("reader:2"), "name": "plant-reader", "description": "reads"},
            "writer": iofog.ImageArgs(x86="writer:3", rebuild=True),
        },
        rebuild=False,
        agents=["edge-1", "edge-2"],
        auth=iofog.RegistryAuthArgs(username="shared", password="p"),
        max_unavailable=1,
    )
    ids, pending = settled(pulumi.Output.all(fleet.catalog_item_ids, fleet.pending_agents))
    assert set(ids) == {"gateway", "reader", "writer"}
    assert pending == {"reader": ["edge-2"]}
    assert settled(fleet.images["gateway"].catalog_item_id) == ids["gateway"]
    gateway, reader = mocks.made["plant-gateway"], mocks.made["plant-reader"]
    assert gateway["agents"] == reader["agents"] == ["edge-1", "edge-2"]
    assert (gateway["name"], reader["name"], reader["description"]) == ("gateway", "plant-reader", "reads")
    assert [secrets_in(each["auth"])["username"] for each in (gateway, reader)] == ["own", "shared"]
    assert [mocks.made[f"plant-{key}"]["rebuild"] for key in fleet.images] == [False, False, True]
    assert (gateway["arm"], reader["x86"], reader["max_unavailable"]) == ("gateway:1", "reader:2", 1)


def test_what_a_set_cannot_use_is_refused_all_at_once(mocks: Recorder) -> None:
    with pytest.raises(InputError) as caught:
        iofog.OfflineImageSet(
            "plant",
            images={"a": {"x86": "a:1", "amd": "a:1"}, "b": {"x86": "b:1", "name": "a"}, "h": "alpine:1"},  # type: ignore[typeddict-unknown-key, dict-item]
            agents=["edge-1"],
        )
    assert [failure.path for failure in caught.value.failures] == ["images['a'].amd", "images['b'].name", "images['h']"]
    assert isinstance(caught.value, pulumi.RunError), "Pulumi shows the message alone"
    with pytest.raises(InputError, match="no image"):
        iofog.OfflineImageSet("plant", images={}, agents=["edge-1"])


# ---- replace_on_changes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paths", "replaced"),
    [
        (None, set()),
        (["prune"], set()),
        (["x86"], {"x86"}),
        (["controller.endpoint", "agents[0].host"], {"agents"}),
        (["*"], {"x86", "agents"}),
    ],
)
def test_replace_on_changes_names_properties_by_their_first_part(paths: list[str] | None, replaced: set[str]) -> None:
    assert chosen({"x86", "agents"}, paths) == replaced
