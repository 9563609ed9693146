"""What runs where, and how well."""

from __future__ import annotations

import pytest

from pulumi_iofog.oci.platform import Platform, fitness


@pytest.mark.parametrize(
    ("host", "image", "rank"),
    [
        ("linux/amd64", "linux/amd64", 0),
        ("linux/amd64", "linux/amd64/v1", 0),
        ("linux/amd64", "linux/amd64/v2", None),
        ("linux/amd64/v3", "linux/amd64/v2", 1),
        ("linux/amd64/v3", "linux/amd64", 2),
        ("linux/amd64", "linux/arm64", None),
        ("linux/amd64", "windows/amd64", None),
        ("linux/arm64", "linux/arm64/v8", 0),
        ("linux/arm64/v8", "linux/arm64", 0),
        ("linux/arm64", "linux/arm64/v9", None),
        ("linux/arm64", "linux/arm/v7", 11),
        ("linux/arm64", "linux/arm/v6", 12),
        ("linux/arm/v7", "linux/arm/v7", 0),
        ("linux/arm/v7", "linux/arm", 0),
        ("linux/arm/v7", "linux/arm/v6", 1),
        ("linux/arm/v6", "linux/arm/v7", None),
        ("linux/arm/v7", "linux/arm64", None),
        ("linux/arm/soft", "linux/arm/v7", 0),
        ("linux/riscv64", "linux/riscv64", 0),
        ("linux/mips64/r6", "linux/mips64/r2", None),
    ],
)
def test_what_runs_where_and_how_well(host: str, image: str, rank: int | None) -> None:
    assert Platform.parse(host).rank(Platform.parse(image)) == rank
    assert Platform.parse(host).runs(Platform.parse(image)) is (rank is not None)


@pytest.mark.parametrize(
    ("image", "wanted", "rank"),
    [
        ("linux/amd64", "linux/amd64", 0),
        ("linux/amd64/v3", "linux/amd64", 103),
        ("windows/amd64/v3", "linux/amd64", None),
        ("linux/arm/v7", "linux/arm64", None),
        ("linux/arm/v6", "linux/arm/v7", 1),
    ],
)
def test_what_is_taken_of_one_architecture(image: str, wanted: str, rank: int | None) -> None:
    assert fitness(Platform.parse(image), Platform.parse(wanted)) == rank
