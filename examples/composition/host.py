"""A stand-in for what creates a host: once created, it only passes on its address."""

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider


class HostProvider(ResourceProvider):
    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("host", {"address": props["given"]})


class Host(Resource):
    address: pulumi.Output[str]

    def __init__(self, name: str, *, address: str) -> None:
        super().__init__(HostProvider(), name, {"given": address, "address": None})
