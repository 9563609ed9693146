"""The credentials that docker keeps: config.json and credential helpers, which here are real programs."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pulumi_iofog.adapters.registry import docker_config
from pulumi_iofog.adapters.registry.docker_config import DOCKER_HUB, TOKEN_USER, credentials, default_paths, first
from pulumi_iofog.errors import RegistryError
from pulumi_iofog.inputs.spec import RegistryAuth

HOST = "registry.test:5000"
CI = RegistryAuth("ci", "hidden")
Helper = Callable[..., None]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


ENTRY = {"auth": _base64("ci:hidden")}
FOUND = json.dumps({"ServerURL": HOST, "Username": "ci", "Secret": "hidden"})


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Helper:
    """Puts a helper on PATH, which notes the server that it is asked for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def make(name: str, output: str = FOUND, *, code: int = 0) -> None:
        program = folder / f"docker-credential-{name}"
        asked = tmp_path / f"asked-{name}"
        program.write_text(f"#!/bin/sh\n{{ echo $1; cat; }} >{asked}\ncat <<'END'\n{output}\nEND\nexit {code}\n")
        program.chmod(0o755)

    return make


def _config(tmp_path: Path, config: Any) -> Path:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    return file


# ---- the file ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "domain"),
    [
        (HOST, HOST),
        (f"https://{HOST}", HOST),
        (f"http://{HOST}/v2/", HOST),
        (f"https://{HOST}/v1/", HOST),
        (DOCKER_HUB, "docker.io"),
    ],
)
def test_a_registrys_entry(tmp_path: Path, key: str, domain: str) -> None:
    file = _config(tmp_path, {"auths": {"other.test": {"auth": _base64("x:y")}, key: ENTRY}})
    assert credentials(file, domain) == CI


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({"auth": _base64("ci:a:b\0\0")}, RegistryAuth("ci", "a:b")),
        ({"auth": f" {_base64('ci:hidden')}\n"}, CI),
        ({"username": "ci", "password": "hidden"}, CI),
        (
            {"auth": _base64("00000000-0000-0000-0000-000000000000:"), "identitytoken": "t"},
            RegistryAuth(TOKEN_USER, "t"),
        ),
        ({}, None),
        (None, None),
        ({"email": "ci@example"}, None),
    ],
)
def test_forms_of_an_entry(tmp_path: Path, entry: Any, found: RegistryAuth | None) -> None:
    assert credentials(_config(tmp_path, {"auths": {HOST: entry}}), HOST) == found


def test_another_port_is_another_registry(tmp_path: Path) -> None:
    assert credentials(_config(tmp_path, {"auths": {"registry.test": ENTRY}}), HOST) is None


def test_its_own_key_is_preferred(tmp_path: Path) -> None:
    other = {"auth": _base64("other:other")}
    file = _config(tmp_path, {"auths": {f"https://{HOST}/v1/": other, HOST: ENTRY, f"http://{HOST}": other}})
    assert credentials(file, HOST) == CI


@pytest.mark.parametrize("config", [{}, {"auths": None}, {"auths": {}, "credHelpers": None, "credsStore": ""}])
def test_a_file_that_says_nothing(tmp_path: Path, config: Any) -> None:
    assert credentials(_config(tmp_path, config), HOST) is None


def test_no_file(tmp_path: Path) -> None:
    assert credentials(tmp_path / "absent.json", HOST) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"auths": hidden', "it is not JSON"),
        ("\xff", "it is not JSON|it is not UTF-8"),
        ("[]", "it is not a JSON object"),
        ('{"auths": 7}', "auths is not an object"),
        ('{"auths": [["a", "b"]]}', "auths is not an object"),
        ('{"credHelpers": [1]}', "credHelpers is not an object"),
        ('{"credsStore": {"a": 1}}', "the credential helper for .* is not a program's name"),
        ('{"credsStore": "../sh"}', "the credential helper for .* is not a program's name"),
        ("[" * 100_000, "it is nested more than 64 deep"),
        (json.dumps({"auths": {HOST: {"auth": "hidden!!"}}}), f"auth of {HOST} is not base64"),
        (json.dumps({"auths": {HOST: {"auth": f"!{ENTRY['auth']}"}}}), f"auth of {HOST} is not base64"),
        (json.dumps({"auths": {HOST: {"auth": "/////w=="}}}), f"auth of {HOST} is not base64"),
        (json.dumps({"auths": {HOST: {"auth": _base64("hidden")}}}), f"auth of {HOST} is not base64 of user:password"),
    ],
)
def test_a_broken_file(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(RegistryError, match=rf"^{file}: reading docker's configuration: ({why}).*set auth=$") as caught:
        credentials(file, HOST)
    assert "hidden" not in str(caught.value)
    assert _base64("hidden") not in str(caught.value)


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="reading docker's configuration: Is a directory"):
        credentials(tmp_path, HOST)


def test_where_the_files_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert default_paths() == [tmp_path / ".docker" / "config.json"]
    monkeypatch.setenv("DOCKER_CONFIG", "/etc/ci")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "/etc/auth.json")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    podmans = [Path("/etc/auth.json"), Path("/run/user/7/containers/auth.json")]
    assert default_paths() == [Path("/etc/ci/config.json"), *podmans]


def test_the_first_file_that_has_credentials(tmp_path: Path) -> None:
    docker, podman = tmp_path / "config.json", tmp_path / "auth.json"
    podman.write_text(json.dumps({"auths": {HOST: ENTRY}}))
    assert first([docker, podman], HOST) == CI
    docker.write_text(json.dumps({"auths": {HOST: {"auth": _base64("mine:hidden")}, "other.test": ENTRY}}))
    assert first([docker, podman], HOST) == RegistryAuth("mine", "hidden")
    assert first([docker, podman], "third.test") is None


@pytest.mark.parametrize(
    ("repository", "who"),
    [("team/app", "app"), ("team/app/x", "app"), ("team/application", "team"), ("other", "all"), ("", "all")],
)
def test_entries_for_a_part_of_a_registry(tmp_path: Path, repository: str, who: str) -> None:
    """As podman login writes them for a path; the longest counts."""
    keys = {f"{HOST}/team/app": "app", HOST: "all", f"{HOST}/team": "team", f"{HOST}/team/app/y": "y"}
    auths = {key: {"auth": _base64(f"{name}:hidden")} for key, name in keys.items()}
    assert credentials(_config(tmp_path, {"auths": auths}), HOST, repository) == RegistryAuth(who, "hidden")


def test_an_entry_of_another_part_is_not_used(tmp_path: Path) -> None:
    assert credentials(_config(tmp_path, {"auths": {f"{HOST}/team": ENTRY}}), HOST, "other/app") is None


# ---- helpers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "domain", "server"),
    [
        ({"credsStore": "lab"}, HOST, HOST),
        ({"credHelpers": {HOST: "lab"}}, HOST, HOST),
        ({"credHelpers": {HOST: "lab"}, "credsStore": "absent"}, HOST, HOST),
        ({"credsStore": "lab"}, "docker.io", DOCKER_HUB),
        ({"credHelpers": {DOCKER_HUB: "lab"}}, "docker.io", DOCKER_HUB),
        ({"credHelpers": {"docker.io": "lab"}}, "docker.io", DOCKER_HUB),
        # What lies in the file as well is older: docker itself would not look at it.
        ({"credsStore": "lab", "auths": {HOST: {"auth": _base64("stale:stale")}}}, HOST, HOST),
    ],
)
def test_a_helper_is_asked(tmp_path: Path, helper: Helper, config: Any, domain: str, server: str) -> None:
    helper("lab")
    assert credentials(_config(tmp_path, config), domain) == CI
    assert (tmp_path / "asked-lab").read_text() == f"get\n{server}"


def test_another_registrys_helper_is_not_asked(tmp_path: Path) -> None:
    assert credentials(_config(tmp_path, {"credHelpers": {"other.test": "absent"}}), HOST) is None


@pytest.mark.parametrize(
    ("output", "code"),
    [("credentials not found in native keychain", 1), ('{"ServerURL": "", "Username": "", "Secret": ""}', 0)],
)
def test_a_helper_that_knows_nothing(tmp_path: Path, helper: Helper, output: str, code: int) -> None:
    """The file is looked at then; without an entry, it goes on anonymously."""
    helper("lab", output, code=code)
    assert credentials(_config(tmp_path, {"credsStore": "lab"}), HOST) is None
    assert credentials(_config(tmp_path, {"credsStore": "lab", "auths": {HOST: ENTRY}}), HOST) == CI


def test_a_helper_that_gives_an_identity_token(tmp_path: Path, helper: Helper) -> None:
    helper("lab", json.dumps({"Username": TOKEN_USER, "Secret": "t"}))
    assert credentials(_config(tmp_path, {"credsStore": "lab"}), HOST) == RegistryAuth(TOKEN_USER, "t")


@pytest.mark.parametrize(
    ("output", "code", "why"),
    [
        ("the keychain is locked", 1, r"exit 1: the keychain is locked\."),
        ("", 3, "exit 3"),
        ("hidden", 0, "its answer cannot be read"),
        ('{"Username": "hidden"}', 0, "its answer cannot be read"),
        ("[]", 0, "its answer cannot be read"),
    ],
)
def test_a_helper_that_fails(tmp_path: Path, helper: Helper, output: str, code: int, why: str) -> None:
    helper("lab", output, code=code)
    wanted = rf"^{HOST}: asking docker-credential-lab for credentials: {why}.*Set auth="
    with pytest.raises(RegistryError, match=wanted) as caught:
        credentials(_config(tmp_path, {"credsStore": "lab"}), HOST)
    assert "hidden" not in str(caught.value)


def test_a_helper_that_is_not_there(tmp_path: Path) -> None:
    """It is told, and what the file itself has is used."""
    absent: list[str] = []
    config = _config(tmp_path, {"credsStore": "absent"})
    assert first([config], HOST, absent=absent.append) is None
    assert absent == ["docker-credential-absent"]
    config = _config(tmp_path, {"credsStore": "absent", "auths": {HOST: ENTRY}})
    assert first([tmp_path / "none.json", config], HOST, absent=absent.append) is not None


def test_a_helper_that_does_not_answer(tmp_path: Path, helper: Helper, monkeypatch: pytest.MonkeyPatch) -> None:
    helper("lab")
    (tmp_path / "bin" / "docker-credential-lab").write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(docker_config, "HELPER_TIMEOUT", 0.1)
    with pytest.raises(RegistryError, match=r"it did not answer in time\. Set auth="):
        credentials(_config(tmp_path, {"credsStore": "lab"}), HOST)
