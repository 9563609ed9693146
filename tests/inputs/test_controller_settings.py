"""Which Controller, and as whom."""

from __future__ import annotations

from pulumi_iofog.errors import Failure
from pulumi_iofog.inputs.controller_settings import NOBODY, NOWHERE, controller_settings
from pulumi_iofog.inputs.iofogctl_namespace import Namespace
from pulumi_iofog.inputs.spec import ControllerSettings

NAMESPACE = Namespace("https://ns", "ns@example", "ns-secret")


def find(
    given: ControllerSettings | None = None,
    config: dict[str, str] | None = None,
    environment: dict[str, str] | None = None,
    namespace: Namespace | None = None,
) -> ControllerSettings | Failure:
    return controller_settings(given, (config or {}).get, environment or {}, namespace or Namespace())


def test_arguments_go_before_config_before_environment_before_namespace() -> None:
    given = ControllerSettings("https://args", token="t")
    config = {"iofog:endpoint": "https://config", "iofog:email": "c@x", "iofog:password": "p"}
    environment = {"IOFOG_ENDPOINT": "https://env", "IOFOG_TOKEN": "e", "IOFOG_CA_FILE": "/ca.pem"}
    found = find(given, config, environment, NAMESPACE)
    assert found == ControllerSettings("https://args", token="t", ca_file="/ca.pem")
    found = find(None, config, environment, NAMESPACE)
    assert found == ControllerSettings("https://config", "c@x", "p", ca_file="/ca.pem")
    found = find(None, {}, environment, NAMESPACE)
    assert found == ControllerSettings("https://env", token="e", ca_file="/ca.pem")
    assert find(namespace=NAMESPACE) == ControllerSettings("https://ns", "ns@example", "ns-secret")


def test_an_endpoint_alone_takes_its_credentials_from_further_down() -> None:
    found = find(ControllerSettings("https://args"), {"iofog:email": "c@x", "iofog:password": "p"})
    assert found == ControllerSettings("https://args", "c@x", "p")


def test_the_namespaces_credentials_go_to_its_own_controller_only() -> None:
    assert find(ControllerSettings("https://args"), namespace=NAMESPACE) == NOBODY
    found = find(ControllerSettings("https://ns/api/v3"), namespace=NAMESPACE)
    assert found == ControllerSettings("https://ns/api/v3", "ns@example", "ns-secret")


def test_nothing_at_all() -> None:
    assert find() == NOWHERE


def test_the_namespaces_refresh_token_goes_with_it() -> None:
    namespace = Namespace("https://ns", refresh_token="r")
    assert find(namespace=namespace) == ControllerSettings("https://ns", refresh_token="r")
    assert find(ControllerSettings("https://ns", token="t"), namespace=namespace) == ControllerSettings(
        "https://ns", token="t"
    )
    assert find(ControllerSettings("https://other"), namespace=namespace) == NOBODY
