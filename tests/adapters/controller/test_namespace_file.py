"""The namespace's file: found, and its tokens renewed in it, with the Controller's stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab.controller import ControllerStandIn
from pulumi_iofog.adapters.controller.controller import Controller
from pulumi_iofog.adapters.http import Backoff
from pulumi_iofog.adapters.namespace_file import StoredTokens, read_namespace
from pulumi_iofog.errors import ControllerLogin, InputError
from pulumi_iofog.inputs.controller_settings import controller_settings
from pulumi_iofog.inputs.iofogctl_namespace import Namespace
from pulumi_iofog.inputs.spec import ControllerSettings

CASES = Path(__file__).parents[2] / "cases" / "manifest"
LOGIN, REFRESH = "POST /api/v3/user/login", "POST /api/v3/user/refresh"


def write(home: Path, text: str, folder: str = ".iofog", name: str = "default") -> Path:
    file = home / folder / "v3" / "namespaces" / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.mark.parametrize("folder", [".iofog", ".potctl"])
def test_the_file_is_found_in_either_folder(tmp_path: Path, folder: str) -> None:
    file = write(tmp_path, (CASES / "namespace.yaml").read_text(), folder)
    found = read_namespace("default", tmp_path)
    assert (found.path, found.email, set(found.agents)) == (file, "ops@example.com", {"edge-1", "edge-2"})
    assert read_namespace("other", tmp_path) == Namespace()


def test_a_file_that_is_no_namespace_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "a: [")
    with pytest.raises(InputError, match=r"namespace: .*default\.yaml: not an iofogctl namespace"):
        read_namespace("default", tmp_path)


# ---- tokens ------------------------------------------------------------------------------------------


@pytest.fixture(params=["3.7.3", "3.9.0"])
def stand_in(request: pytest.FixtureRequest) -> Iterator[ControllerStandIn]:
    with ControllerStandIn(request.param) as stand_in:
        yield stand_in


def signed_in(home: Path, stand_in: ControllerStandIn, *, password: str = "") -> Path:
    """A namespace in which iofogctl has signed in; its access token has run out since."""
    stand_in.api.state["refresh"].append("refresh-of-iofogctl")
    return write(
        home,
        f"""\
# kept by hand
spec:
  remoteControlPlane:
    iofogUser:
      email: {stand_in.email}
      password: "{password}"
      accessToken: stale
      refreshToken: refresh-of-iofogctl
    endpoint: {stand_in.endpoint}
""",
    )


def controller(home: Path) -> Controller:
    """As a session makes it."""
    namespace = read_namespace("default", home)
    settings = controller_settings(None, lambda key: None, {}, namespace)
    assert isinstance(settings, ControllerSettings)
    assert namespace.path
    return Controller(settings, stored=StoredTokens(namespace.path), backoff=Backoff(first=0))


def test_a_token_that_ran_out_is_renewed_and_written_back(tmp_path: Path, stand_in: ControllerStandIn) -> None:
    file = signed_in(tmp_path, stand_in)
    file.chmod(0o640)
    with ExitStack() as stack:
        first = controller(tmp_path)
        stack.callback(first.close)
        assert first.agents() == ()
        now = read_namespace("default", tmp_path)
        assert now.token in stand_in.api.state["tokens"]
        assert [now.refresh_token] == stand_in.api.state["refresh"]
        assert (file.read_text().splitlines()[0], file.stat().st_mode & 0o777) == ("# kept by hand", 0o640)
        assert [path.name for path in file.parent.iterdir()] == ["default.yaml"]
        # It runs out again, in the same session: the file is still where the refresh token is.
        stand_in.api.expire_tokens()
        assert first.agents() == ()
        # And another process finds one that is good.
        second = controller(tmp_path)
        stack.callback(second.close)
        assert second.agents() == ()
    assert stand_in.requests.count(REFRESH) == 2
    assert LOGIN not in stand_in.requests


def test_what_another_process_renewed_is_taken(tmp_path: Path, stand_in: ControllerStandIn) -> None:
    """A refresh token is good once: of those who start together, one renews and the others find it done."""
    signed_in(tmp_path, stand_in)
    all_of_them = [controller(tmp_path) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(Controller.agents, all_of_them)) == [()] * 4
    for each in all_of_them:
        each.close()
    assert stand_in.requests.count(REFRESH) == 1


def test_a_file_without_an_access_token(tmp_path: Path, stand_in: ControllerStandIn) -> None:
    file = signed_in(tmp_path, stand_in)
    file.write_text(file.read_text().replace("accessToken: stale", 'accessToken: ""'))
    one = controller(tmp_path)
    assert one.agents() == ()
    one.close()
    assert [read_namespace("default", tmp_path).refresh_token] == stand_in.api.state["refresh"]


def test_a_file_that_cannot_be_written_is_no_hindrance(
    tmp_path: Path, stand_in: ControllerStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = signed_in(tmp_path, stand_in)
    before = file.read_text()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    one = controller(tmp_path)
    assert one.agents() == ()
    one.close()
    assert file.read_text() == before


def test_the_password_serves_where_the_refresh_token_ran_out(tmp_path: Path, stand_in: ControllerStandIn) -> None:
    signed_in(tmp_path, stand_in, password=stand_in.password)
    stand_in.api.state["refresh"].clear()
    one = controller(tmp_path)
    assert one.agents() == ()
    one.close()
    assert stand_in.requests.count(LOGIN) == 1


def test_no_secret_is_in_the_error(tmp_path: Path, stand_in: ControllerStandIn) -> None:
    signed_in(tmp_path, stand_in)
    stand_in.api.state["refresh"].clear()
    one = controller(tmp_path)
    with pytest.raises(ControllerLogin, match="the token was refused, and there is no email with a password") as caught:
        one.agents()
    one.close()
    assert "refresh-of-iofogctl" not in str(caught.value)
