"""What the stack's config says of registries."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pulumi_iofog.errors import InputError
from pulumi_iofog.inputs.registry_settings import Mirror, RegistryOptions, registries


def config(value: Any, insecure: str | None = None) -> Any:
    text = value if isinstance(value, str) or value is None else json.dumps(value)
    return {"iofog:registries": text, "iofog:insecureRegistries": insecure}.get


def test_nothing_is_said() -> None:
    assert registries(config(None)) == {}


def test_mirrors_certificates_and_plain_http() -> None:
    value = {
        "docker.io": {"mirrors": ["mirror.example:5000/hub", "https://other.example/", "localhost:5000", "mirror"]},
        "r.example": {"caFile": "ca.pem"},
        "10.0.0.5:5000": {"insecure": True},
        "plant": {},
    }
    mirrors = (
        Mirror("mirror.example:5000", "hub"),
        Mirror("other.example"),
        Mirror("localhost:5000"),
        Mirror("mirror"),
    )
    assert registries(config(value, "r.example, b.example")) == {
        "docker.io": RegistryOptions(mirrors),
        "r.example": RegistryOptions(ca_file="ca.pem", insecure=True),
        "10.0.0.5:5000": RegistryOptions(insecure=True),
        "plant": RegistryOptions(),
        "b.example": RegistryOptions(insecure=True),
    }


@pytest.mark.parametrize("value", ["no json", "[]", "7"])
def test_what_is_no_object(value: str) -> None:
    with pytest.raises(InputError, match="iofog:registries: must be an object"):
        registries(config(value))


def test_every_failure_with_its_path() -> None:
    value = {
        "https://r.example": {},
        "a.example": {"mirrors": ["http://m.example", "M/x", 7], "insecure": "yes", "mirror": "x"},
        "b.example": ["m.example"],
        "c.example": {"mirrors": "m.example"},
    }
    with pytest.raises(InputError) as caught:
        registries(config(value))
    assert [f"{failure.path}: {failure.reason}" for failure in caught.value.failures] == [
        "iofog:registries.https://r.example: is not a registry: write HOST or HOST:PORT",
        "iofog:registries.a.example.mirrors: 'http://m.example' is not a registry: write HOST, HOST:PORT or HOST/PATH",
        "iofog:registries.a.example.mirrors: 7 is not a registry: write HOST, HOST:PORT or HOST/PATH",
        "iofog:registries.a.example.insecure: must be true or false, not text",
        "iofog:registries.a.example.mirror: there is no such field; did you mean mirrors?",
        "iofog:registries.b.example: must be an object, not a list",
        "iofog:registries.c.example.mirrors: must be a list, not text",
    ]
