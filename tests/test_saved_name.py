"""What of the provider is in every state that it has made: never to be changed."""

from __future__ import annotations

import base64
import pickle
import subprocess
import sys

from pulumi.dynamic.dynamic import serialize_provider

from pulumi_iofog.provider import OfflineImageProvider, provider
from pulumi_iofog.saved_name import SavedProvider

SAVED = "gASVQQAAAAAAAACMB3BrZ3V0aWyUjAxyZXNvbHZlX25hbWWUk5SMHnB1bHVtaV9pb2ZvZy5wcm92aWRlcjpwcm92aWRlcpSFlFKULg=="
"""Seen in a state; the same from Python 3.10 to 3.13, as it holds a name and no code."""


def test_the_provider_in_the_state_is_a_short_name_that_never_changes() -> None:
    assert serialize_provider(SavedProvider()) == serialize_provider(provider) == SAVED
    assert len(SAVED) < 200
    assert b"pulumi_iofog.provider:provider" in base64.b64decode(SAVED)


def test_a_state_of_long_ago_leads_to_todays_provider() -> None:
    assert pickle.loads(base64.b64decode(SAVED)) is provider  # noqa: S301
    assert isinstance(provider, OfflineImageProvider)


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
