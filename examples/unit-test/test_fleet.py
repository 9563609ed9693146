"""Unit tests with Pulumi's mocks: no engine, no registry, no Controller and no edge host.

What a mock returns stands for the outputs of the provider.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import pulumi
import pytest
from fleet import images_of
from pulumi.runtime import MockCallArgs, MockResourceArgs

Settle = Callable[[Callable[[], pulumi.Output[Any]]], Any]
settled = cast(Settle, pulumi.runtime.test)  # pyright: ignore[reportUnknownMemberType]
"""Runs a function until the output that it returns is known."""


class Mocks(pulumi.runtime.Mocks):
    def __init__(self) -> None:
        self.made: dict[str, dict[str, Any]] = {}

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        inputs = cast(dict[str, Any], args.inputs)  # pyright: ignore[reportUnknownMemberType]
        self.made[args.name] = inputs
        if not args.typ.endswith("iofog:OfflineImage"):
            return args.name, inputs
        return "6", {**inputs, "catalog_item_id": 6, "pending_agents": [], "agent_digests": {}, "images": {}}

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], None]:
        return {}, None


@pytest.fixture
def mocks() -> Iterator[Mocks]:
    """Pulumi's, with an event loop: from Python 3.14 on, there is none unless somebody makes it."""
    mocks, loop = Mocks(), asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pulumi.runtime.set_mocks(mocks, project="unit-test", stack="test")
    yield mocks
    asyncio.set_event_loop(None)
    loop.close()


def test_every_image_of_a_version_goes_to_all_agents(mocks: Mocks) -> None:
    def check(ids: Mapping[str, int]) -> None:
        assert ids == {"gateway": 6, "reader": 6}
        reader = mocks.made["plant-reader"]
        assert reader["x86"] == "registry.example/plant/reader:1.4"
        assert reader["name"] == "reader"
        assert reader["agents"] == ["canary-1", "edge-1"]
        assert reader["max_unavailable"] == 1

    settled(lambda: images_of("1.4", ["canary-1", "edge-1"]).catalog_item_ids.apply(check))()


def test_a_fleet_without_a_canary_is_refused() -> None:
    with pytest.raises(ValueError, match="no canary"):
        images_of("1.4", ["edge-1"])
