"""What the resources of one plugin process say together."""

from __future__ import annotations

from typing import Any

from pulumi_iofog.adapters.http import Transient
from pulumi_iofog.errors import RegistryError
from pulumi_iofog.session.adapters import Shared


def test_all_rows_at_work_say_what_is_waited_for(mocker: Any) -> None:
    shared, rows = Shared(), [mocker.Mock(), mocker.Mock()]
    shared.rows += rows
    shared.connections.interrupt()  # as by Ctrl-C, which ends the wait at once
    shared.backoff.wait(0, Transient(RegistryError("r.example", "looking up", "too many requests"), 1000))
    for row in rows:
        row.status.assert_called_once_with("waiting 1 min 0 s, as r.example asks for it: too many requests")


def test_a_warning_about_this_machine_is_said_once(mocker: Any) -> None:
    shared, rows = Shared(), [mocker.Mock(), mocker.Mock()]
    shared.rows += rows
    for _ in range(3):
        shared.warn("docker-credential-x is not installed")
    assert [len(row.warn.mock_calls) for row in rows] == [1, 0]
