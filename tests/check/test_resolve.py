"""One check, with a registry of canned manifests and a Controller of canned agents."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from pulumi_iofog.check.diff import Desired, Placement
from pulumi_iofog.check.lookups import Lookups
from pulumi_iofog.check.owner import mark_of
from pulumi_iofog.check.resolve import Resolution, resolve
from pulumi_iofog.check.state import Recorded
from pulumi_iofog.errors import AgentError, ControllerError, Failure, InputError, RegistryError, Unreachable
from pulumi_iofog.inputs.catalog import CatalogRules, FoundItem, KnownAgent, Microservice
from pulumi_iofog.inputs.iofogctl_namespace import Namespace
from pulumi_iofog.inputs.spec import ARCHES, Agent, Arch, CatalogItem, parse
from pulumi_iofog.oci.image import (
    AMD64,
    ARM64,
    ARM_V7,
    OCI_INDEX,
    OCI_MANIFEST,
    RISCV64,
    Descriptor,
    Digest,
    Pin,
    Platform,
    Reference,
    sha256,
)
from tests.images import MadeImage, make_image

AMD = make_image({"app": b"amd64"}, platform=AMD64)
ARM = make_image({"app": b"arm64"}, platform=ARM64)
ARM7 = make_image({"app": b"armv7"}, platform=ARM_V7)
OTHER_ARM7 = make_image({"app": b"another armv7"}, platform=ARM_V7)
RISCV = make_image({"app": b"riscv64"}, platform=RISCV64)
MADE = (AMD, ARM, ARM7, OTHER_ARM7, RISCV)
NEW = CatalogRules("3.9.0", ARCHES, frozen=False)
OLD = CatalogRules("3.7.3", ("x86", "arm"), frozen=False)


def index(*made: MadeImage) -> bytes:
    return json.dumps(
        {
            "mediaType": OCI_INDEX,
            "manifests": [
                {
                    "digest": m.image.manifest.manifest_digest,
                    "size": len(m.image.manifest.raw),
                    "platform": {
                        "os": m.image.platform.os,
                        "architecture": m.image.platform.architecture,
                        "variant": m.image.platform.variant,
                    },
                }
                for m in made
            ],
        }
    ).encode()


MARK = mark_of("https://api.example", "team", "urn:pulumi:prod::plant::iofog:OfflineImage::gateway")


@dataclass
class World:
    """Everything that a check can ask, and what it did ask."""

    tags: dict[str, bytes] = field(default_factory=dict)
    endpoint: str = "https://c.example"
    controller: Sequence[KnownAgent] | Exception | None = ()
    namespace: Namespace = field(default_factory=Namespace)
    hosts: dict[str, str] = field(default_factory=dict)
    platforms: dict[str, Platform] = field(default_factory=dict)
    previewed: Digest | None = None
    key_problems: dict[str, str] = field(default_factory=dict)
    rules: CatalogRules | Exception = NEW
    items: Sequence[FoundItem] = ()
    users: Sequence[Microservice] = ()
    replaced: int | None = None
    remembered: dict[Platform, Pin] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    inside: str = ""

    def named(self, reference: Reference) -> Reference:
        self.asked += [] if reference.named else ["name"]
        return reference.complete(self.inside)

    def fetch_manifest(self, reference: Reference, target: str | None = None) -> tuple[bytes, str]:
        self.asked.append("registry")
        raws = [*self.tags.values(), *(m.image.manifest.raw for m in MADE)]
        raw = next((r for r in raws if sha256(r) == target), None) if target else self.tags.get(reference.text)
        if raw is None:
            raise RegistryError(str(reference), "resolving", "no route to host", "Check the network.")
        return raw, OCI_INDEX if b'"manifests"' in raw else OCI_MANIFEST

    def small_blob(self, reference: Reference, blob: Descriptor) -> bytes:
        return next(m.blobs[blob.digest] for m in MADE if blob.digest in m.blobs)

    def agents(self) -> Sequence[KnownAgent]:
        self.asked.append("controller")
        if isinstance(self.controller, Exception):
            raise self.controller
        return self.controller or ()

    def catalog_rules(self) -> CatalogRules:
        self.asked.append("version")
        if isinstance(self.rules, Exception):
            raise self.rules
        return self.rules

    def find_item(self, name: str) -> FoundItem | None:
        self.asked.append(f"item {name}")
        if isinstance(self.controller, Exception):
            raise self.controller
        return next((found for found in self.items if found.item.name == name), None)

    def microservices(self, item_id: int) -> Sequence[Microservice]:
        self.asked.append(f"users of {item_id}")
        return self.users

    def probe(self, agent: Agent) -> Platform:
        self.asked.append(f"probe {agent.name}")
        if agent.name not in self.platforms:
            raise Unreachable(agent.name, "connecting", "connection refused", "Is sshd running?")
        return self.platforms[agent.name]

    def lookups(self) -> Lookups:
        return Lookups(
            manifests=self,
            endpoint=lambda: self.endpoint,
            controller=None if self.controller is None else lambda: self,
            mark=MARK,
            replaced=lambda endpoint: self.replaced,
            namespace=lambda: self.namespace,
            ssh_host=self.hosts.get,
            key_problem=self.key_problems.get,
            probe=self.probe,
            previewed=lambda reference: self.previewed,
            recall=lambda reference, platform: self.remembered.get(platform),
        )


def run(world: World, last: Recorded | None = None, **inputs: Any) -> Resolution:
    inputs = {"name": "g", "agents": [{"name": "e", "host": "h"}], **inputs}
    return resolve(parse(inputs), last, world.lookups())


def recorded(pins: Mapping[Arch, Pin], *placements: Placement) -> Recorded:
    spec = parse({"name": "g", "x86": "a:1", "agents": ["e"]})
    return Recorded(spec, Desired({each.agent.name: each for each in placements}, None, None), pins)


def remembered(found: Resolution, **inputs: Any) -> Recorded:
    """What the state says after that was carried out."""
    spec = parse({"name": "g", "x86": "a:1", "agents": ["e"], **inputs})
    placements = {}
    for agent in found.agents:
        pin = next((pin for pin in found.pins.values() if pin.image_id == found.digests[agent.name]), None)
        placements[agent.name] = Placement(agent, *((pin.image_id, pin.reference.full_name) if pin else (None, None)))
    item = CatalogItem("g", "Offline image bundle g", tuple(sorted(found.catalog.items())))
    return Recorded(spec, Desired(placements, item, World.endpoint), found.pins)


def failures(world: World, last: Recorded | None = None, **inputs: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        run(world, last, **inputs)
    return [f"{f.path}: {f.reason}" for f in caught.value.failures]


BOTH = {"a:1": index(AMD, ARM)}
ALL = {"a:1": index(AMD, ARM, ARM7)}


def test_an_archives_image_has_the_name_that_it_has_there() -> None:
    world = World({"oci:usb/app:r.example/app:1": index(AMD)}, inside="r.example/app:1")
    found = run(world, x86="oci:usb/app")
    assert found.catalog["x86"] == "r.example/app:1"
    assert found.pins["x86"].reference.text == "oci:usb/app:r.example/app:1"
    # Known already, it is not looked into.
    world = World({}, inside="other:1")
    again = run(world, recorded(found.pins), x86="oci:usb/app", pull_policy="missing")
    assert (again.pins, again.catalog) == (found.pins, found.catalog)
    assert not {"name", "registry"} & {*world.asked}


def test_an_image_for_one_architecture_needs_to_ask_no_agent() -> None:
    world = World(BOTH)
    found = run(world, x86="a:1")
    assert found.digests == {"e": AMD.image.image_id}
    assert found.pins["x86"].manifest_digest == AMD.image.manifest.manifest_digest
    assert found.pins["x86"].size == AMD.image.manifest.size
    assert world.asked == ["registry", "controller", "registry", "item g", "version"]


def test_arch_chooses() -> None:
    agents = [{"name": "e", "host": "h", "arch": "arm"}, {"name": "f", "host": "h", "arch": "x86"}]
    found = run(World(BOTH), x86="a:1", arm="a:1", agents=agents)
    assert found.digests == {"e": ARM.image.image_id, "f": AMD.image.image_id}


def test_the_controller_knows_architecture_and_host() -> None:
    world = World(BOTH, controller=[KnownAgent("e", "uuid", "10.0.0.1", ("arm", "armv7"), "podman")])
    found = run(world, x86="a:1", arm="a:1", agents=["e"])
    assert found.agents == (Agent("e", host="10.0.0.1", engine="podman"),)
    assert found.digests == {"e": ARM.image.image_id}


def test_what_the_user_says_goes_before_namespace_and_controller_and_ssh_config() -> None:
    world = World(
        BOTH,
        controller=[KnownAgent("c", "", "from-controller", (), None)],
        namespace=Namespace(agents={"n": {"host": "from-namespace", "user": "pi"}}),
        hosts={"s": "from-ssh-config", "c": "x"},
    )
    agents = [{"name": "n", "user": "me"}, "c", "s", {"name": "own", "host": "own"}]
    found = run(world, x86="a:1", agents=agents)
    assert [agent.host for agent in found.agents] == [
        "from-namespace",
        "from-controller",
        "from-ssh-config",
        "own",
    ]
    assert found.agents[0].user == "me"


def test_an_agent_that_nobody_knows_is_refused() -> None:
    assert failures(World(BOTH), x86="a:1", agents=["nobody"])[0].startswith(
        "agents[0].host: no host known for agent nobody"
    )


def test_an_ssh_config_that_cannot_be_read_is_a_failure_of_its_agent() -> None:
    def unreadable(alias: str) -> str:
        raise AgentError(alias, "reading ~/.ssh/config", "line 3")

    world = World()
    lookups = dataclasses.replace(world.lookups(), ssh_host=unreadable)
    inputs = {"name": "g", "x86": "r.example/app:1", "agents": ["edge-1", "edge-2"]}
    with pytest.raises(InputError) as caught:
        resolve(parse(inputs), None, lookups)
    assert [(failure.path, failure.reason) for failure in caught.value.failures if "host" in failure.path] == [
        (f"agents[{index}].host", f"edge-{index + 1}: reading ~/.ssh/config: line 3") for index in (0, 1)
    ]


def test_a_controller_that_cannot_be_asked_is_one_failure_not_one_an_agent() -> None:
    world = World(BOTH, controller=ControllerError("https://c", "listing agents", "connection refused"))
    refused = ": https://c: listing agents: connection refused"
    assert failures(world, x86="a:1", agents=["e", "f"]) == [refused]
    assert failures(world, x86="a:1") == [refused]
    world = World({}, controller=world.controller)
    assert [each.partition(":")[0] for each in failures(world, x86="a:1", arm="b:1", armv7="c:1")] == [
        *("x86", "arm", "armv7", "")
    ]


def test_a_32_bit_agent_is_asked_and_gets_its_own_image() -> None:
    world = World(ALL, platforms={"e": ARM_V7, "f": ARM64})
    found = run(world, arm="a:1", agents=[{"name": "e", "host": "h"}, {"name": "f", "host": "h"}])
    assert found.digests == {"e": ARM7.image.image_id, "f": ARM.image.image_id}
    assert set(found.pins) == {"arm", "armv7"}


def test_a_32_bit_agent_is_not_asked_where_the_controller_tells() -> None:
    agents = [KnownAgent("e", "", "h", ("armv7",), None), KnownAgent("f", "", "h", ("arm",), None)]
    world = World(ALL, controller=agents)
    found = run(world, arm="a:1", agents=["e", "f"])
    assert found.digests == {"e": ARM7.image.image_id, "f": ARM.image.image_id}
    assert not [asked for asked in world.asked if asked.startswith("probe")]


# ---- riscv64 and armv7 ------------------------------------------------------------------------------


def test_riscv64_and_armv7_have_images_of_their_own() -> None:
    world = World(
        {"a:1": index(AMD, ARM, ARM7, RISCV), "v7:1": OTHER_ARM7.image.manifest.raw},
        platforms={"r": RISCV64, "v": ARM_V7, "a": ARM64},
    )
    agents = [{"name": name, "host": "h"} for name in ("r", "v", "a")]
    found = run(world, arm="a:1", riscv64="a:1", armv7="v7:1", agents=agents)
    assert found.digests == {"r": RISCV.image.image_id, "v": OTHER_ARM7.image.image_id, "a": ARM.image.image_id}
    assert found.catalog == {"arm": "a:1", "riscv64": "a:1", "armv7": "v7:1"}


def test_arch_chooses_among_all_four() -> None:
    agents = [{"name": arch, "host": "h", "arch": arch} for arch in ARCHES]
    tags = {"a:1": index(AMD, ARM, ARM7, RISCV)}
    found = run(World(tags), x86="a:1", arm="a:1", riscv64="a:1", agents=agents)
    made = {"x86": AMD, "arm": ARM, "riscv64": RISCV, "armv7": ARM7}
    assert found.digests == {arch: made[arch].image.image_id for arch in ARCHES}
    assert failures(World(tags), armv7="a:1", agents=[{"name": "e", "host": "h", "arch": "arm"}]) == [
        "agents[0].arch: is arm, but there is no arm= image"
    ]


def test_an_older_controllers_catalog_refuses_them() -> None:
    world = World({"a:1": index(ARM7, RISCV)}, rules=OLD)
    agents = [{"name": "e", "host": "h", "arch": "riscv64"}]
    assert failures(world, riscv64="a:1", armv7="a:1", agents=agents) == [
        "riscv64: the catalog of Controller 3.7.3 has no riscv64: it came with 3.8. Omit riscv64=",
        "armv7: the catalog of Controller 3.7.3 has no armv7: it came with 3.8. Omit armv7=",
    ]
    world = World({"a:1": index(RISCV)}, rules=ControllerError("https://c", "asking for its version", "refused"))
    assert failures(world, riscv64="a:1") == [": https://c: asking for its version: refused"]
    assert run(World({"a:1": index(RISCV)}, controller=None), riscv64="a:1").catalog == {"riscv64": "a:1"}


@pytest.mark.parametrize(("rules", "named"), [(NEW, True), (OLD, False)])
def test_a_32_bit_agent_that_arm_serves_is_named_where_the_catalog_can(rules: CatalogRules, named: bool) -> None:
    found = run(World(ALL, rules=rules, platforms={"e": ARM_V7}), arm="a:1")
    assert found.digests == {"e": ARM7.image.image_id}
    assert found.catalog == {"arm": "a:1", **({"armv7": "a:1"} if named else {})}


@pytest.mark.parametrize(("rules", "arch"), [(NEW, "armv7"), (OLD, "arm")])
@pytest.mark.parametrize("raw", [index(AMD, ARM7), ARM7.image.manifest.raw], ids=["index", "manifest"])
def test_what_arm_has_for_32_bits_only_is_named_as_that(rules: CatalogRules, arch: Arch, raw: bytes) -> None:
    """Before 3.8 a catalog has one entry for both."""
    assert run(World({"a:1": raw}, rules=rules), arm="a:1").catalog == {arch: "a:1"}


def test_what_every_catalog_has_needs_no_asking() -> None:
    world = World(ALL, platforms={"e": ARM64})
    found = run(world, x86="a:1", arm="a:1")
    world.asked.clear()
    run(world, remembered(found), x86="a:1", arm="a:1")
    assert {*world.asked} == {"registry", "controller"}


def test_an_agent_is_not_asked_again_what_the_state_knows() -> None:
    world = World(ALL)
    held = Placement(Agent("e", host="h"), ARM7.image.image_id, "docker.io/library/a:1")
    last = recorded({"armv7": ARM7.image.pin, "x86": AMD.image.pin}, held)
    assert run(world, last, arm="a:1").digests == {"e": ARM7.image.image_id}
    assert "probe e" not in world.asked


def test_an_agent_that_cannot_be_asked_needs_its_arch() -> None:
    (failure,) = failures(World(BOTH), x86="a:1", arm="a:1")
    assert failure.startswith(": agents[0].arch: cannot be detected, so set arch=. e: connecting")


def test_the_wrong_architecture_is_refused_by_name() -> None:
    assert failures(World({"a:1": ARM.image.manifest.raw}), x86="a:1") == [
        "x86: a:1 is for linux/arm64 only, not for linux/amd64"
    ]
    assert failures(World({"a:1": index(ARM, ARM7)}), x86="a:1") == [
        "x86: a:1 is not for linux/amd64; its index has linux/arm/v7, linux/arm64"
    ]
    assert failures(World(BOTH), x86="a:1", agents=[{"name": "e", "host": "h", "arch": "arm"}]) == [
        "agents[0].arch: is arm, but there is no arm= image"
    ]


def test_a_manifest_may_be_unreadable() -> None:
    (failure,) = failures(World({"a:1": b"<html>"}), x86="a:1")
    assert failure.startswith("x86: a:1: looking it up: its manifest or config cannot be read: ")


def test_failures_of_both_registries_and_agents_come_together() -> None:
    assert [f.split(":")[0] for f in failures(World({}), x86="a:1", arm="b:1", agents=["e"])] == [
        "x86",
        "arm",
        "agents[0].host",
    ]


def test_no_controller_is_a_failure_among_others_and_only_once() -> None:
    def nowhere() -> Any:
        raise InputError([Failure("controller.endpoint", "no Controller given")])

    world = World({})
    lookups = dataclasses.replace(world.lookups(), endpoint=nowhere, controller=nowhere, namespace=nowhere)
    inputs = {"name": "g", "x86": "a:1", "agents": ["e", "f"]}
    with pytest.raises(InputError) as caught:
        resolve(parse(inputs), None, lookups)
    assert [failure.path for failure in caught.value.failures] == ["controller.endpoint", "x86"]


def test_what_another_resource_makes_is_not_known_yet() -> None:
    from pulumi_iofog.inputs.reader import UNKNOWN

    world = World(BOTH)
    agents = [{"name": "vm", "host": UNKNOWN}, {"name": "e", "host": "h", "arch": "x86"}]
    found = run(world, x86="a:1", arm="a:1", agents=agents)
    assert found.digests == {"vm": None, "e": AMD.image.image_id}
    assert not [asked for asked in world.asked if asked.startswith("probe")]
    assert run(world, x86=UNKNOWN).digests == {"e": None}


def test_what_the_preview_showed_is_kept_when_the_tag_moves() -> None:
    newer = make_image({"app": b"newer"})
    world = World({"a:1": index(newer), "old": index(AMD)}, previewed=sha256(index(AMD)))
    found = run(world, x86="a:1")
    assert found.digests == {"e": AMD.image.image_id}
    assert found.warnings[0].startswith("a:1 has moved since the preview, from sha256:")


@pytest.mark.parametrize("policy", ["missing", "never"])
def test_a_known_tag_is_not_looked_up(policy: str) -> None:
    pin = Pin(
        Reference.parse("a:1"),
        AMD.image.manifest.manifest_digest,
        AMD.image.image_id,
        AMD64,
        AMD.image.pin.size,
    )
    world = World({})
    assert run(world, recorded({"x86": pin}), x86="a:1", pull_policy=policy).pins == {"x86": pin}
    assert run(World({}, remembered={AMD64: pin}), x86="a:1", pull_policy=policy).pins == {"x86": pin}
    assert "registry" not in world.asked


def test_never_means_never() -> None:
    (failure,) = failures(World(BOTH), x86="a:1", pull_policy="never")
    assert failure.startswith("x86: pull_policy is never, and a:1 was not resolved before")


def test_a_private_key_that_cannot_be_read_is_refused_where_it_is_needed() -> None:
    world = World({"a:1": index(AMD)}, key_problems={"~/.ssh/none": "No such file or directory"})
    agents: list[dict[str, Any]] = [
        {"name": "e", "host": "h", "private_key_file": "~/.ssh/none"},
        {"name": "f", "host": "h", "private_key_file": "~/.ssh/none", "private_key": "the key itself"},
        {"name": "g", "host": "h", "private_key_file": "~/.ssh/there"},
    ]
    assert failures(world, x86="a:1", agents=agents) == [
        "agents[0].private_key_file: ~/.ssh/none cannot be read: No such file or directory"
    ]
    last = remembered(run(World({"a:1": index(AMD)}), x86="a:1"))
    assert run(world, last, x86="a:1", agents=agents[:1]).digests, "an agent that nobody visits"
