"""What of the provider is in every state that it has made: never to be changed."""

from __future__ import annotations

import base64
import pickle
import subprocess
import sys

import pytest
from pulumi.dynamic.dynamic import serialize_provider

from pulumi_iofog import saved_name
from pulumi_iofog.provider import OfflineImageProvider, provider
from pulumi_iofog.saved_name import SavedProvider
from tests import pythons

SAVED = "gASVQQAAAAAAAACMB3BrZ3V0aWyUjAxyZXNvbHZlX25hbWWUk5SMHnB1bHVtaV9pb2ZvZy5wcm92aWRlcjpwcm92aWRlcpSFlFKULg=="
"""Seen in a state; the same from Python 3.10 to 3.14, as it holds a name and no code."""
OF_3_14 = "gAWVQQAAAAAAAACMB3BrZ3V0aWyUjAxyZXNvbHZlX25hbWWUk5SMHnB1bHVtaV9pb2ZvZy5wcm92aWRlcjpwcm92aWRlcpSFlFKULg=="
"""What Pulumi's SDK had made of it on Python 3.14, before it had a protocol of its own."""


def test_the_provider_in_the_state_is_a_short_name_that_never_changes() -> None:
    assert saved_name.SAVED == SAVED
    assert len(SAVED) < 200
    assert b"pulumi_iofog.provider:provider" in base64.b64decode(SAVED)


def test_the_sdk_would_write_the_same_by_the_protocol_of_its_python() -> None:
    for object_ in (SavedProvider(), provider):
        assert serialize_provider(object_) == (SAVED if pickle.DEFAULT_PROTOCOL == 4 else OF_3_14)


@pytest.mark.parametrize("saved", [SAVED, OF_3_14])
def test_a_state_of_long_ago_leads_to_todays_provider(saved: str) -> None:
    assert pickle.loads(base64.b64decode(saved)) is provider  # noqa: S301
    assert isinstance(provider, OfflineImageProvider)


def test_every_python_of_this_machine_writes_the_same() -> None:
    """By the file alone: what it imports from Pulumi is one class."""
    file = saved_name.__file__
    program = f"""
import runpy, sys, types
sys.modules["pulumi"] = types.ModuleType("pulumi")
sys.modules["pulumi.dynamic"] = types.ModuleType("pulumi.dynamic")
sys.modules["pulumi.dynamic"].ResourceProvider = object
print(runpy.run_path({file!r})["SAVED"])
"""
    for python in (sys.executable, *pythons.of_this_machine()):
        said = subprocess.run([python, "-c", program], check=True, capture_output=True, text=True).stdout
        assert said == f"{SAVED}\n", python


def test_nothing_is_kept_in_the_object_that_is_saved() -> None:
    assert vars(OfflineImageProvider()) == vars(SavedProvider()) == {}


def loaded(statement: str) -> list[str]:
    """What a fresh Python has loaded after that."""
    program = f"import sys; {statement}; print(*sys.modules, sep='\\n')"
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()


HEAVY = {"paramiko", "cryptography", "docker", "requests", "urllib3"}


def test_a_program_loads_no_adapter() -> None:
    """It would at each command of Pulumi, and has no use for them."""
    there, modules = loaded("import pulumi"), loaded("import pulumi_iofog")
    assert "pulumi_iofog.program.offline_image" in modules
    assert not {*HEAVY, "pulumi_iofog.adapters", "pulumi_iofog.provider"} & set(modules)
    assert len(modules) - len(there) < 30


def test_the_plugin_loads_what_a_verb_needs_when_it_needs_it() -> None:
    there, modules = loaded("import pulumi.dynamic"), loaded("import pulumi_iofog.provider")
    assert not HEAVY & set(modules)
    assert [name for name in modules if name not in there and not name.startswith("pulumi_iofog")][20:] == []
