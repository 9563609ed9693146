"""One rollout against hosts that really hold, lose and refuse layers, but in memory."""

from __future__ import annotations

import dataclasses
import pickle
import random
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from pulumi_iofog import log
from pulumi_iofog.errors import INTERRUPTED, AgentError, InputError, RolloutFailed, Unreachable
from pulumi_iofog.inputs.spec import Agent
from pulumi_iofog.oci.image import AMD64, ARM64, ARM_V7, Image, Pin, Platform
from pulumi_iofog.rollout import rollout
from pulumi_iofog.rollout.outcome import Outcome, pending
from pulumi_iofog.rollout.rollout import Job, bring, roll_out
from pulumi_iofog.transfer.encodings import AsIs, Delta
from tests.images import make_image
from tests.rollout.memory_hosts import ForgetfulHost, MemoryHost, Site, SwiftHost

V1 = make_image({"base": b"b" * 5000}, {"app": b"1"})
V2 = make_image({"base": b"b" * 5000}, {"app": b"2"})


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, V1, V2)


def job(name: str = "edge-1", image: Image = V1.image, replaced: Pin | None = None) -> Job:
    return Job(Agent(name, host=name), image, replaced)


def test_first_time_everything_is_sent_and_nothing_is_left_in_the_spool(site: Site) -> None:
    outcome = bring(job(), site.tools())
    size = sum(layer.blob.size for layer in V1.image.layers)
    assert outcome == Outcome("edge-1", updated=True, sent=size, total=V1.image.manifest.size)
    host = site.hosts["edge-1"]
    assert [call for call in host.calls if call != "prove"] == [
        *("inventory", "room", "receive", "receive", "load", "verify")
    ]
    assert host.spool == {}


def test_what_is_there_already_is_proven_and_not_sent(site: Site) -> None:
    bring(job(), site.tools())
    site.pulled.clear()
    assert bring(job(), site.tools()) == Outcome("edge-1", total=V1.image.manifest.size)
    assert site.hosts["edge-1"].calls[-2:] == ["inventory", "verify"]
    assert site.hosts["edge-1"].tidied == 2, "also after a transfer that was interrupted"
    assert site.pulled == []


def test_an_image_that_only_looks_right_is_sent_again_whole(site: Site) -> None:
    bring(job(), site.tools())
    host = site.hosts["edge-1"]
    host.broken.add(V1.image.reference.full_name)
    outcome = bring(job(), site.tools())
    assert outcome.updated
    assert outcome.sent == sum(layer.blob.size for layer in V1.image.layers)


def test_what_the_engine_keeps_unpacked_is_removed_once_and_all_is_sent_again(site: Site) -> None:
    bring(job(), site.tools())
    host, size = site.hosts["edge-1"], sum(layer.blob.size for layer in V1.image.layers)
    host.stale = True
    outcome = bring(job(), site.tools())
    assert (outcome.error, outcome.updated, outcome.sent) == (None, True, size), "it is in the spool still"
    assert host.calls.count("renew") == 1


def test_an_engine_that_keeps_it_all_the_same_is_not_sent_to_for_ever(site: Site) -> None:
    bring(job(), site.tools())
    host = site.hosts["edge-1"]
    host.stale, host.broken = True, {"another"}
    outcome = bring(job(), site.tools())
    assert outcome.error
    assert "stays in the engine's store. Check the agent's disk" in outcome.error
    assert host.calls.count("renew") == 1


def test_a_damaged_layer_that_others_share_is_not_removed(site: Site) -> None:
    bring(job(), site.tools())
    host = site.hosts["edge-1"]
    host.stale = host.shared = True
    assert bring(job(), site.tools()).error == "edge: loading: another shares the damaged layer. Remove it"


def test_only_the_changed_layer_is_pulled_and_sent(site: Site) -> None:
    bring(job(), site.tools())
    site.pulled.clear()
    outcome = bring(job(image=V2.image), site.tools())
    assert site.pulled == [V2.image.layers[1].blob.digest]
    assert outcome.sent == V2.image.layers[1].blob.size


def test_a_layer_that_was_not_there_after_all_is_sent_afterwards(site: Site) -> None:
    site.hosts["edge-1"] = MemoryHost(claims={V1.image.layers[0].diff_id})
    outcome = bring(job(), site.tools())
    assert outcome.error is None
    assert site.hosts["edge-1"].calls.count("verify") == 1
    assert outcome.sent == sum(layer.blob.size for layer in V1.image.layers)
    assert site.hosts["edge-1"].calls.count("load") == 2


def test_a_held_layer_that_is_damaged_is_sent_once_and_what_has_arrived_is_not_sent_again(site: Site) -> None:
    base, app = V1.image.layers
    site.hosts["edge-1"] = MemoryHost(layers={base.diff_id}, damaged={base.diff_id})
    outcome = bring(job(), site.tools())
    assert (outcome.error, outcome.sent) == (None, base.blob.size + app.blob.size)
    assert site.hosts["edge-1"].calls.count("load") == 1, "not before all is proven"
    assert outcome.note == "edge-1 had 1 damaged blob in its engine's store, replaced now: check its disk"


def test_a_lost_link_is_taken_up_where_it_was(site: Site) -> None:
    site.hosts["edge-1"] = MemoryHost(cuts=[10, 20, 30])
    outcome = bring(job(), site.tools())
    size = sum(layer.blob.size for layer in V1.image.layers)
    assert (outcome.error, outcome.sent) == (None, size)
    assert site.waited == [2.0, 2.0, 2.0], "each visit made progress"


def test_what_has_arrived_before_is_not_pulled_again(site: Site) -> None:
    base, app = V1.image.layers
    site.hosts["edge-1"] = MemoryHost(spool={base.blob.digest.hex: V1.blobs[base.blob.digest]})
    assert bring(job(), site.tools()).error is None
    assert site.announced == [[app.blob.digest]]


def test_a_host_that_is_away_for_a_while_is_waited_for(site: Site) -> None:
    site.hosts["edge-1"] = MemoryHost(cuts=[10], away=3)
    assert bring(job(), site.tools()).error is None
    assert site.waited == list(rollout.LOST_TRIES[:4])


def test_an_interrupted_transfer_says_where_it_was(site: Site) -> None:
    site.hosts["edge-1"] = MemoryHost(cuts=[10])
    refused = AgentError("edge-1", "connecting", INTERRUPTED, "Run pulumi up again.")

    def interrupted(seconds: float) -> None:
        raise refused

    tools = dataclasses.replace(site.tools(), wait=interrupted)
    size = V1.image.manifest.size
    sent = f"edge-1: 10 B of at most {size} B had been sent"
    assert bring(job(), tools).error == f"{sent}: pulumi was interrupted. Run pulumi up again."
    assert bring(job(), dataclasses.replace(tools, connect=lambda agent: interrupted(0))).error == str(refused)


def test_a_link_that_stays_lost_is_given_up_after_a_while(site: Site) -> None:
    site.hosts["edge-1"] = MemoryHost(cuts=[0] * 100)
    outcome = bring(job(), site.tools())
    assert outcome.error == "edge: sending: the connection was lost"
    assert site.waited == list(rollout.LOST_TRIES)


def test_an_agent_that_never_answered_is_not_waited_for(site: Site) -> None:
    site.hosts["edge-1"] = MemoryHost(down=True)
    assert bring(job(), site.tools()).error is not None
    assert site.waited == []


def test_another_failure_of_a_thin_load_is_not_repeated(site: Site) -> None:
    site.hosts["edge-1"] = MemoryHost(layers={V1.image.layers[0].diff_id}, load_fails=True)
    outcome = bring(job(), site.tools())
    assert outcome.error == "edge: loading: the daemon went away"
    assert site.hosts["edge-1"].calls.count("load") == 1


def noise(seed: int, size: int = 17_000_000) -> bytes:
    return random.Random(seed).randbytes(size)


BIG1 = make_image({"base": noise(1)}, {"app": noise(2, 2_000_000)}, level=0)
BIG2 = make_image({"base": noise(3)}, {"app": noise(2, 2_000_000)}, level=0)
BIG3 = make_image({"base": noise(1)}, {"more": noise(4)}, level=0)


@pytest.fixture
def big(tmp_path: Path) -> Site:
    site = Site(tmp_path, BIG1, BIG2, BIG3)
    site.known = {layer.diff_id: layer.blob for layer in BIG1.image.layers}
    return site


def test_on_a_slow_link_lower_layers_are_loaded_while_the_rest_is_on_its_way(big: Site) -> None:
    host = big.hosts["edge-1"] = SwiftHost(speed=1e6)
    assert bring(job(image=BIG1.image), big.tools()).error is None
    assert "load 1" in host.calls
    assert host.calls.index("load 1") < host.calls.index("load")
    assert "rate" in host.calls
    assert host.discarded == {BIG1.image.layers[0].blob.digest}, "not given twice"


@pytest.mark.parametrize("fails", [False, True])
def test_docker_reads_what_arrives_or_loads_it_afterwards(big: Site, fails: bool) -> None:
    host = big.hosts["edge-1"] = SwiftHost(kind="docker", speed=5e6, follow_fails=fails)
    assert bring(job(image=BIG1.image), big.tools()).error is None
    assert [call for call in host.calls if call.startswith(("load", "follow"))] == ["load" if fails else "followed"]


def test_docker_reads_each_load_of_several(big: Site) -> None:
    host = big.hosts["edge-1"] = SwiftHost(kind="docker", speed=5e6)
    assert bring(job(image=BIG3.image), big.tools()).error is None
    assert [call for call in host.calls if call.startswith(("load", "follow"))] == ["followed 1", "followed"]
    assert host.discarded == {BIG3.image.layers[0].blob.digest}, "not given twice"


def test_docker_loads_nothing_of_what_it_reads_when_that_is_wrong(big: Site) -> None:
    host = big.hosts["edge-1"] = SwiftHost(kind="docker", speed=5e6, corrupts={AsIs})
    assert bring(job(image=BIG1.image), big.tools()).error == "edge: proving a layer: what arrived has another sha256"
    assert host.calls.count("given up") == 2
    assert not any(call.startswith(("followed", "load")) for call in host.calls)


def test_lower_layers_that_the_engine_has_lost_again_are_sent_again(big: Site) -> None:
    host = big.hosts["edge-1"] = ForgetfulHost(kind="docker", speed=1e6)
    outcome = bring(job(image=BIG1.image), big.tools())
    assert outcome.error is None
    assert [call for call in host.calls if call.startswith("load")] == ["load 1", "load", "load"]
    assert outcome.sent == BIG1.image.manifest.size - BIG1.image.manifest.config.size + BIG1.image.layers[0].blob.size


def test_a_delta_that_does_not_come_out_right_is_followed_by_the_blob_itself(big: Site) -> None:
    host = big.hosts["edge-1"] = SwiftHost(zstd=True, layers={BIG1.image.diff_ids[0]}, corrupts={Delta})
    outcome = bring(job(image=BIG2.image), big.tools())
    assert outcome.error is None
    assert host.images[BIG2.image.reference.full_name] == BIG2.image.image_id
    assert big.pulled.count(BIG2.image.layers[0].blob.digest) == 2
    said = "edge-1: an image that it holds, sha256:held, seems to be damaged, so layers were sent whole"
    assert outcome.note == f"{said}: what arrived has another sha256; check its disk"


def test_a_blob_that_arrives_damaged_again_and_again_is_an_error(big: Site) -> None:
    big.hosts["edge-1"] = SwiftHost(corrupts={AsIs})
    outcome = bring(job(image=BIG1.image), big.tools())
    assert outcome.error == "edge: proving a layer: what arrived has another sha256"


def test_an_image_for_another_architecture_is_not_sent(site: Site) -> None:
    site.hosts["edge-1"] = MemoryHost(platform=ARM64)
    outcome = bring(job(), site.tools())
    assert outcome.sent == 0
    assert outcome.error is not None
    assert "runs linux/arm64" in outcome.error
    assert "resolved for linux/amd64" in outcome.error


def test_the_host_decides_whether_it_takes_what_is_for_a_newer_cpu(tmp_path: Path) -> None:
    made = make_image({"app": b"v3"}, platform=Platform("linux", "amd64", "v3"))
    site = Site(tmp_path, made)
    old = bring(job(image=made.image), site.tools())
    assert old.sent == 0
    assert "the engine runs linux/amd64, registry.example/app:1 was resolved for linux/amd64/v3" in (old.error or "")
    site.hosts["edge-1"] = MemoryHost(platform=Platform("linux", "amd64", "v4"))
    new = bring(job(image=made.image), site.tools())
    assert (new.error, new.note, new.updated) == (None, "", True)


def test_a_64_bit_arm_takes_what_is_for_32_bits_and_says_so(tmp_path: Path) -> None:
    made = make_image({"app": b"v7"}, platform=ARM_V7)
    site = Site(tmp_path, made)
    site.hosts["edge-1"] = MemoryHost(platform=ARM64)
    outcome = bring(job(image=made.image), site.tools())
    assert outcome.updated
    assert outcome.note == (
        "edge-1 runs linux/arm64 and has registry.example/app:1 for linux/arm/v7: there is none for its own platform"
    )


def test_an_image_that_does_not_say_its_platform_is_not_sent_where_that_is_needed(tmp_path: Path) -> None:
    silent = make_image({"app": b"silent"}, platform=Platform("", ""))
    image = dataclasses.replace(silent.image, platform=AMD64)
    site = Site(tmp_path, silent)
    site.hosts["edge-1"] = MemoryHost("edgelet")
    outcome = bring(job(image=image), site.tools())
    assert (outcome.sent, outcome.updated) == (0, False)
    assert "does not say what it runs on, and edgelet needs that" in (outcome.error or "")
    assert bring(job("edge-2", image), site.tools()).updated


def test_every_agent_is_tried_and_no_more_than_the_pool_at_once(site: Site) -> None:
    site.hosts["e3"] = MemoryHost(down=True)
    jobs = [job(f"e{n}") for n in range(12)]
    outcomes = roll_out(jobs, site.recipe(), pool=3)
    assert [outcome.agent for outcome in outcomes] == [f"e{n}" for n in range(12)]
    assert [outcome.agent for outcome in outcomes if outcome.error] == ["e3"]
    assert site.most_at_once <= 3


def test_a_replaced_image_is_removed_unless_a_container_uses_it(site: Site) -> None:
    bring(job(), site.tools())
    assert bring(job(image=V2.image, replaced=V1.image.pin), site.tools()).note == ""
    assert site.hosts["edge-1"].calls[-1] == "remove"
    site.hosts["edge-1"].in_use.add(V2.image.image_id)
    note = bring(job(image=V1.image, replaced=V2.image.pin), site.tools()).note
    assert note == "edge-1 keeps registry.example/app:1: a container still uses it"


def test_a_name_that_stands_in_front_of_the_images_own_is_told(site: Site) -> None:
    bring(job(), site.tools())
    site.hosts["edge-1"].images["another.example/app:1"] = V1.image.image_id
    assert bring(job(), site.tools()).note == (
        "edge-1 lists registry.example/app:1 as another.example/app:1 first, and the ioFog agent's pruning takes it for"
        " unused, even if a microservice uses it. Remove that name there: podman image rm another.example/app:1"
    )


def test_every_step_of_an_agent_is_in_the_log_and_the_traceback_of_one_that_failed(site: Site, tmp_path: Path) -> None:
    site.hosts["edge-2"] = MemoryHost(down=True)
    log.configure({"iofog:log": str(tmp_path / "log")}.get)
    try:
        roll_out([job(), job("edge-2")], site.recipe(), pool=2)
    finally:
        log.configure({}.get)
    lines = (tmp_path / "log").read_text().splitlines()
    steps = [line.split(" agent=edge-1 ")[1].split()[0] for line in lines if " agent=edge-1 " in line]
    assert set(steps) == {"inventory", "plan", "send", "prove", "load", "done"}
    assert steps.count("send") == steps.count("prove") == len(V1.image.layers)
    assert any(f" send layer={V1.image.diff_ids[0]} bytes=" in line for line in lines)
    assert any(" agent=edge-2 visit bytes=0: failed" in line for line in lines)
    assert any("Unreachable" in line for line in lines), "with its traceback"


def test_a_job_and_every_error_can_go_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(job())) == job()  # noqa: S301
    for problem in (
        Unreachable("e", "connecting", "refused", "Try."),
        RolloutFailed("1 of 2", ["x"]),
        InputError([]),
    ):
        again = pickle.loads(pickle.dumps(problem))  # noqa: S301
        assert (type(again), str(again)) == (type(problem), str(problem))


ODD = (
    *(ValueError("not enough values to unpack"), KeyError("\033[2J"), MemoryError(), RecursionError()),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"),
)


@pytest.mark.parametrize("problem", ODD, ids=lambda problem: type(problem).__name__)
@pytest.mark.parametrize("where", ["connect", "inventory", "verify"])
def test_what_nobody_has_foreseen_costs_one_agent(
    site: Site, problem: Exception, where: str, log_file: Path, mocker: MockerFixture
) -> None:
    bad = site.hosts["edge-1"] = MemoryHost()
    connect = site.connect
    if where == "connect":
        mocker.patch.object(
            site, "connect", lambda agent: connect(agent) if agent.name != "edge-1" else _raise(problem)
        )
    else:
        mocker.patch.object(bad, where, side_effect=problem)
    outcomes = roll_out([job(name) for name in ("edge-1", "edge-2")], site.recipe(), pool=2)
    assert [outcome.updated for outcome in outcomes] == [False, True]
    error = outcomes[0].error or ""
    assert error.startswith("edge-1: ")
    assert f"an unexpected {type(problem).__name__}" in error
    assert error.endswith("This is a bug: please report it with the log that iofog:log writes")
    assert error.isprintable()
    assert pending(outcomes, 1) == ["edge-1"]
    assert "Traceback" in log_file.read_text()


def _raise(problem: Exception) -> None:
    raise problem
