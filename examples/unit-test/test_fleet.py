"""Unit tests with Pulumi's mocks: no engine, no registry, no Controller and no edge host.

What a mock returns stands for the outputs of the provider.
"""

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest
from pulumi.runtime import MockCallArgs, MockResourceArgs


class Mocks(pulumi.runtime.Mocks):
    def __init__(self) -> None:
        self.made: dict[str, MockResourceArgs] = {}

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.made[args.name] = args
        if args.typ.endswith("iofog:OfflineImage"):
            outputs = {"catalog_item_id": 6, "pending_agents": [], "agent_digests": {}, "images": {}}
            return "6", {**args.inputs, **outputs}
        return args.name, args.inputs

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], None]:
        return {}, None


mocks = Mocks()
pulumi.runtime.set_mocks(mocks, project="unit-test", stack="test")

from fleet import images_of  # noqa: E402 - after the mocks


@pulumi.runtime.test
def test_every_image_of_a_version_goes_to_all_agents() -> pulumi.Output[None]:
    fleet = images_of("1.4", ["canary-1", "edge-1"])

    def check(ids: Mapping[str, int]) -> None:
        assert ids == {"gateway": 6, "reader": 6}
        reader = mocks.made["plant-reader"].inputs
        assert reader["x86"] == "registry.example/plant/reader:1.4"
        assert reader["name"] == "reader"
        assert reader["agents"] == ["canary-1", "edge-1"]
        assert reader["max_unavailable"] == 1

    return fleet.catalog_item_ids.apply(check)


def test_a_fleet_without_a_canary_is_refused() -> None:
    with pytest.raises(ValueError, match="no canary"):
        images_of("1.4", ["edge-1"])
