"""Recorded answers of the three engines, played back: what becomes of them. Needs no lab."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from pulumi_iofog.adapters.host.engines.answers import (
    UNREADABLE,
    Disk,
    Listing,
    parse_about,
    parse_df,
    parse_id,
    parse_images,
    parse_names,
)
from pulumi_iofog.adapters.host.engines.candidates import Candidate, parse_candidates
from pulumi_iofog.adapters.host.engines.detect import find
from pulumi_iofog.adapters.ssh.connect import Result
from pulumi_iofog.errors import EngineError
from pulumi_iofog.inputs.spec import Agent, EngineName
from pulumi_iofog.oci.image import Digest, Platform
from pulumi_iofog.transfer.inventory import HeldImage
from tests.adapters.host.record_engines import FOLDER, HOSTS, calls, outcome


class Player:
    """A connection that answers what was recorded, in order."""

    def __init__(self, answers: list[dict[str, Any]]) -> None:
        self._answers: Iterator[dict[str, Any]] = iter(answers)

    def run(self, script: str, **options: Any) -> Result:
        answer = next(self._answers)
        return Result(answer["exit_code"], answer["stdout"].encode(), answer["stderr"].encode())


def cases() -> Iterator[Any]:
    for name in HOSTS:
        recorded = json.loads((FOLDER / f"{name}.json").read_text())
        for case in recorded:
            yield pytest.param(recorded[0], case, id=f"{name}: {case['call']} when {case['when']}")


@pytest.mark.parametrize(("found", "case"), list(cases()))
def test_a_recorded_answer(found: dict[str, Any], case: dict[str, Any]) -> None:
    player = Player(found["answers"] + (case["answers"] if case is not found else []))
    engine = find(player, Agent("edge"))
    got = engine.kind if case["call"] == "find" else outcome(calls(engine)[case["call"]])
    assert got == case["outcome"]


@pytest.mark.parametrize(
    ("machine", "arch", "platform"),
    [
        ("x86_64", "amd64", "linux/amd64"),
        ("aarch64", "arm64", "linux/arm64"),
        ("aarch64", "arm", "linux/arm/v7"),
        ("armv7l", "arm", "linux/arm/v7"),
        ("armv6l", "arm", "linux/arm/v6"),
        ("riscv64", "riscv64", "linux/riscv64"),
    ],
)
def test_the_architecture_is_the_engines_own(machine: str, arch: str, platform: str) -> None:
    about = parse_about("docker", f'{machine}\n{arch}\n"/mnt/docker" [["Backing Filesystem","extfs"]]\n', "edge")
    assert (about.platform, about.kind, about.root) == (Platform.parse(platform), "docker", "/mnt/docker")


V2 = "fpu cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3"
V3 = f"{V2} abm avx avx2 bmi1 bmi2 f16c fma movbe"


@pytest.mark.parametrize(
    ("flags", "platform"),
    [
        ("", "linux/amd64"),
        ("flags : fpu sse4_1", "linux/amd64"),
        (f"flags : {V2}", "linux/amd64/v2"),
        (f"flags : {V3}", "linux/amd64/v3"),
        (f"flags : {V3} avx512f", "linux/amd64/v3"),
        (f"flags : {V3} avx512bw avx512cd avx512dq avx512f avx512vl", "linux/amd64/v4"),
        ("flags : fpu avx2", "linux/amd64"),
    ],
)
def test_what_an_x86_takes_is_told_from_its_features(flags: str, platform: str) -> None:
    about = parse_about("docker", f'x86_64 {flags}\namd64 1\n"/d" []\n', "edge")
    assert about.platform == Platform.parse(platform)


def test_the_version_is_the_engines_own() -> None:
    text = 'x86_64\namd64 29.0.1\n"/var/lib/docker" [["driver-type","io.containerd.snapshotter.v1"]]\n'
    about = parse_about("docker", text, "edge")
    assert (about.kind, about.version, about.platform) == ("docker-containerd", "29.0.1", Platform("linux", "amd64"))


@pytest.mark.parametrize(
    ("text", "wanted", "found"),
    [
        ("docker /var/run/docker.sock\n", None, [Candidate("docker", "/var/run/docker.sock")]),
        ("docker /run/docker.sock\ndocker /var/run/docker.sock\n", None, [Candidate("docker", "/var/run/docker.sock")]),
        ("docker\n", None, [Candidate("docker")]),
        ("docker\ndocker /run/user/7/docker.sock\n", None, [Candidate("docker", "/run/user/7/docker.sock")]),
        ("docker\npodman\n", None, [Candidate("docker"), Candidate("podman")]),
        ("docker\npodman\n", "podman", [Candidate("podman")]),
        ("nonsense /x\n\n", None, []),
    ],
)
def test_the_engines_that_a_host_has(text: str, wanted: EngineName | None, found: list[Candidate]) -> None:
    assert list(parse_candidates(text, wanted)) == found


@pytest.mark.parametrize(
    "text",
    [
        *("", "x86_64\namd64\n", "x86_64\namd64\nnothing\n", "a\nb\nc\nd\n"),
        *("x86_64\namd64 1\n[1] []\n", 'x86_64\namd64 1\n"relative" []\n', 'x86_64\n\033[2J 1\n"/var" []\n'),
        f"x86_64\namd64\n{'[' * 100_000} []\n",
    ],
)
def test_an_answer_that_cannot_be_read(text: str) -> None:
    with pytest.raises(EngineError, match="edge: asking docker about itself: its answer cannot be read"):
        parse_about("docker", text, "edge")


ONE, TWO, THREE, A, B = (Digest("sha256:" + each * 64) for each in "123ab")


def test_ids_and_images() -> None:
    assert parse_id(f"{ONE.hex}\n") == parse_id(ONE) == ONE
    lower = "pulumi-iofog.local/prefix:0123-1"
    text = (
        f'{ONE} ["app:1","{lower}"] ["{A}","{B}"]\n'
        f'{TWO.hex} ["registry.example/app:1","<none>:<none>"] null\nError: no such\n{THREE} null []\n'
    )
    held = tuple(HeldImage(id_, layers) for id_, layers in ((ONE, (A, B)), (TWO, ()), (THREE, ())))
    assert parse_images(text, "registry.example/app:1") == Listing(TWO, held, (lower,))
    assert parse_images(text, "docker.io/library/app:1").named == ONE
    assert parse_images("\n", "app:1") == Listing(None, (), ())


@pytest.mark.parametrize(
    "row",
    [
        "sha256:aa [1,2] [3]",
        f"{ONE} [1,2] []",
        f"{ONE} [] [3]",
        f'{ONE} ["x" []',
        f"{ONE} [] {'[' * 100_000}",
        f'{ONE} [] ["sha256:a"]',
    ],
    ids=["numbers", "names", "layers", "cut", "deep", "short"],
)
def test_images_that_cannot_be_read_are_no_images(row: str) -> None:
    with pytest.raises(UNREADABLE):
        parse_images(row, "app:1")


@pytest.mark.parametrize("text", ["", "\n", "sha256:", "sha256:0123", "rm -rf /", "\033[2J" + ONE])
def test_an_id_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match="not a sha256 digest"):
        parse_id(text)


@pytest.mark.parametrize("text", ["", "1", '"abc"', "[1]", "[" * 100_000, "{}"])
def test_names_that_cannot_be_read_are_none(text: str) -> None:
    assert parse_names(text) == ()


def test_file_systems() -> None:
    text = (
        "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
        "/dev/mapper/my disk 1000 900 100 90% /var/lib/docker\n"
        "/dev/mapper/my disk 1000 900 100 90% /home of mine\n"
        "tmpfs 50 60 -10 100% /run\n"
    )
    disks = parse_df(f"{text}{'x' * 2000} 1 1 1 1% /\nx {'9' * 5000} 1 1 1% /\n")
    assert disks == [Disk("/dev/mapper/my disk", 1000, 102400)] * 2 + [Disk("tmpfs", 50, -10240)]
