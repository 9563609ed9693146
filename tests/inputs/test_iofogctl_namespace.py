"""iofogctl's and potctl's namespace files."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from pulumi_iofog.inputs.iofogctl_namespace import Namespace, parse_namespace

CASES = Path(__file__).parents[1] / "cases" / "manifest"


def parsed(text: str) -> Namespace:
    return parse_namespace(textwrap.dedent(text), Path("ns.yaml"))


def test_a_remote_control_plane_gives_controller_and_agents() -> None:
    found = parsed((CASES / "namespace.yaml").read_text())
    assert (found.endpoint, found.email, found.password) == ("http://10.0.0.5:51121", "ops@example.com", "hunter2")
    assert (found.token, found.refresh_token) == (None, None)
    assert found.agents == {
        "edge-1": {"host": "10.0.0.11", "user": "pi", "port": 2222, "private_key_file": "~/.ssh/edge"},
        "edge-2": {"host": "10.0.0.12"},
    }


def test_its_own_endpoint_goes_before_its_controllers() -> None:
    text = (
        "spec: {remoteControlPlane: {endpoint: https://lb, controllers: [{name: a}, {name: b, endpoint: 'http://b'}]}}"
    )
    assert parsed(text).endpoint == "https://lb"
    assert parsed(text.replace("endpoint: https://lb, ", "")).endpoint == "http://b"


@pytest.mark.parametrize(
    ("plane", "endpoint"),
    [
        ("{endpoint: 'http://10.1.0.9:51121'}", "http://10.1.0.9:51121"),
        ("{endpoint: 'http://10.1.0.9:51121', controller: {https: true}}", "https://10.1.0.9:51121"),
        ("{endpoint: 10.1.0.9, controller: {https: true}}", "https://10.1.0.9:51121"),
        ("{endpoint: 'https://iofog.example', controller: {https: true}}", "https://iofog.example"),
        ("{controllerPods: [{podName: a, endpoint: 'http://pod:51121'}]}", "http://pod:51121"),
    ],
)
def test_a_control_plane_on_kubernetes(plane: str, endpoint: str) -> None:
    assert parsed(f"spec: {{k8sControlPlane: {plane}}}").endpoint == endpoint


def test_a_local_control_plane_and_tokens() -> None:
    found = parsed(
        """
        apiVersion: potctl/v3
        kind: Namespace
        metadata: {name: default, namespace: ""}
        spec:
          name: default
          localControlPlane:
            iofogUser:
              email: ops@example.com
              password: aHVudGVyMg==
              accessToken: header.payload.signature
              refreshToken: header.other.signature
            controller: {name: local, endpoint: localhost, container: {image: x}}
            auth: {}
          localAgents: [{name: local, host: localhost}]
          created: 2026-11-23T18:57:34Z
        """
    )
    assert (found.endpoint, found.token, found.refresh_token) == (
        "localhost",
        "header.payload.signature",
        "header.other.signature",
    )
    assert found.agents == {}
    assert not any(secret in repr(found) for secret in ("hunter2", "payload", "other"))


def test_a_password_written_by_hand_is_taken_as_it_is() -> None:
    assert parsed("spec: {remoteControlPlane: {iofogUser: {password: no base64!}}}").password == "no base64!"


def test_an_empty_file_is_an_empty_namespace() -> None:
    assert parsed("") == Namespace(path=Path("ns.yaml"))


@pytest.mark.parametrize("text", ["a: [", "- x", "spec: {remoteAgents: [{host: h}]}", "spec: {remoteControlPlane: x}"])
def test_what_is_no_namespace_is_said_so(text: str) -> None:
    with pytest.raises(ValueError, match="not an iofogctl namespace"):
        parsed(text)
