"""What the verbs of one process share, and what each has for itself."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from pulumi_iofog.adapters.http import Transient
from pulumi_iofog.check.owner import marked_for
from pulumi_iofog.errors import RegistryError
from pulumi_iofog.inputs.spec import ControllerSettings, RegistryAuth
from pulumi_iofog.session.adapters import Shared

URN = "urn:pulumi:prod::plant::pulumi-python:dynamic/iofog:OfflineImage::gateway"


def config(key: str) -> str | None:
    return None


def test_servers_are_talked_to_over_the_same_connections_with_the_same_tokens() -> None:
    shared, settings = Shared(), ControllerSettings("https://c.example", token="t")
    first, second = (shared.registry(RegistryAuth("u", "p"), config) for _ in range(2))
    assert first._http is second._http
    assert first._auth is second._auth
    assert first._handed_out is not second._handed_out, "what mirrors have served is a verb's own"
    assert shared.registry(None, config)._http is not first._http
    assert shared.controller(settings, None) is shared.controller(settings, None)
    others = ControllerSettings("https://c.example", token="other")
    assert shared.controller(others, None) is not shared.controller(settings, None)


def test_what_the_system_trusts_is_not_loaded_for_each_verb(mocker: MockerFixture) -> None:
    shared = Shared()
    loads = mocker.spy(ssl.SSLContext, "load_default_certs")
    for _ in range(3):
        registry = shared.registry(None, config)
        assert registry._hosts.base("registry.example") == "https://registry.example"
    assert loads.call_count == 0, "requests has loaded its own"


def test_a_resource_that_has_been_checked_has_a_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    shared = Shared()
    assert shared.mark(URN) is None
    shared.checked(URN, "team", preview=False)
    mark = shared.mark(URN)
    assert marked_for(mark) == "plant/prod/gateway"
    shared.checked(URN, "others", preview=False)
    assert shared.mark(URN) != mark
    assert shared.mark(None) is None


def test_the_item_of_what_is_replaced_is_known_by_its_controller() -> None:
    shared = Shared()
    shared.has_item(URN, "https://c.example", 17)
    assert shared.item(URN, "https://c.example") == 17
    assert shared.item(URN, "https://other.example") is None
    assert shared.item(None, "https://c.example") is None


def test_all_rows_at_work_say_what_is_waited_for(mocker: MockerFixture) -> None:
    shared, rows = Shared(), [mocker.Mock(), mocker.Mock()]
    shared.rows += rows
    shared.connections.interrupt()  # as by Ctrl-C, which ends the wait at once
    shared.backoff.wait(0, Transient(RegistryError("r.example", "looking up", "too many requests"), 1000))
    for row in rows:
        row.status.assert_called_once_with("waiting 1 min 0 s, as r.example asks for it: too many requests")


def test_a_warning_about_this_machine_is_said_once(mocker: MockerFixture) -> None:
    shared, rows = Shared(), [mocker.Mock(), mocker.Mock()]
    shared.rows += rows
    for _ in range(3):
        shared.warn("docker-credential-x is not installed")
    assert [len(row.warn.mock_calls) for row in rows] == [1, 0]


def test_the_second_check_of_a_replacement_does_not_warn_again() -> None:
    shared = Shared()
    assert shared.unsaid("urn", ["a", "b"], again=False) == ["a", "b"]
    assert shared.unsaid("urn", ["b", "c"], again=True) == ["c"]
    assert shared.unsaid("urn", ["b", "c"], again=True) == ["b", "c"], "the first of another update"
    assert shared.unsaid("other", ["a"], again=False) == ["a"]
    assert shared.unsaid("urn", ["a"], again=False) == ["a"]
