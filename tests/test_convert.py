"""The program that replaces iofogctl's document."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pulumi_iofog.__main__ import main
from pulumi_iofog.convert import Flags, program
from pulumi_iofog.inputs.iofogctl_document import Document

CASES = Path(__file__).parent / "cases" / "manifest"
LONG = "a-very-long-name-of-an-image-that-somebody-has-given-it-for-reasons-of-their-own"


def document(name: str, **inputs: object) -> Document:
    return Document("site.yaml:1", name, {"name": name, "x86": "a:1", "agents": ["edge-1"], **inputs})


def auth(password: str) -> dict[str, str]:
    return {"username": "ci", "password": password}


def laid_out(text: str) -> bool:
    """Whether ruff would leave it as it is, and finds nothing wrong."""
    run = [sys.executable, "-m", "ruff"]
    commands = (
        ["format", "--isolated", "--check", "-"],
        ["check", "--isolated", "--select=E,F,I,W,UP,B", "--ignore=E501", "-"],
    )
    done = [subprocess.run([*run, *command], input=text, text=True, capture_output=True) for command in commands]
    assert all(each.returncode == 0 for each in done), "".join(each.stdout + each.stderr for each in done) + text
    return True


def test_the_program_for_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(CASES / "gateway.yaml")]) == 0
    said = capsys.readouterr()
    assert said.out == (CASES / "gateway.py.txt").read_text()
    assert said.err == ""
    assert laid_out(said.out)


def test_iofogctls_flags_have_their_place(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["-f", str(CASES / "gateway.yaml"), "-n", "site-a", "--transfer-pool", "4", "--no-cache", "--adopt"]
    assert main(["convert", *flags]) == 0
    text = capsys.readouterr().out
    for line in ('namespace="site-a",', "transfer_pool=4,", "cache=False,", "adopt=True,"):
        assert text.count(f"    {line}\n") == 2
    assert laid_out(text)


@pytest.mark.parametrize(
    "documents",
    [
        [document("gateway", riscv64="b:1", armv7="c:1", arm="d:1", namespace="default")],
        [document("class"), document("config"), document("2nd.image"), document("a-b"), document("a.b")],
        [document("one", auth=auth("p")), document("two", auth=auth("p")), document("three", auth=auth("q"))],
        [document("quoted", auth={"username": 'a"b', "password": "p"}), document("both", auth=auth("q"))],
        [document("o", auth={"username": 'it\'s "a" \\ b\n\u200b', "password": "p"})],
        [document(LONG, auth=auth("p")), document(f"{LONG}-2", auth=auth("q"))],
    ],
)
def test_ruff_would_lay_it_out_alike(documents: list[Document]) -> None:
    text = program(documents)
    assert laid_out(text)
    compile(text, "program", "exec")


def test_secrets_are_asked_of_the_config() -> None:
    text = program([document("one", auth=auth("hunter2")), document("two", auth=auth("hunter3"))])
    assert "hunter" not in text
    for name in ("one", "two"):
        assert f"# pulumi config set --secret {name}RegistryPassword\n{name} = iofog.OfflineImage(" in text
        assert f'password=config.require_secret("{name}RegistryPassword"),' in text
    assert program([document("one", auth=auth("p")), document("two", auth=auth("p"))]).count("registryPassword") == 4


def test_what_iofogctl_takes_its_default_for_is_left_away() -> None:
    for pool in (2, 0, -1):
        assert "transfer_pool" not in program([document("g")], Flags(transfer_pool=pool))
    assert "namespace" not in program([document("g", namespace="default")])


def test_bad_input_goes_to_stderr_with_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("apiVersion: iofog.org/v3\nkind: OfflineImage\nmetadata: {name: g}\nspec: {auth: {username: u}}\n")
    assert main(["convert", str(bad)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        f"{bad}:1: agents: no agent: give at least one, by name or as AgentArgs",
        f"{bad}:1: x86: no image: give at least one of x86=, arm=, riscv64=, armv7=",
        f"{bad}:1: auth.password: is required",
    ]
    assert main(["convert", str(CASES / "misspelt.yaml")]) == 2
    assert "misspelt.yaml:6: unknown field spec.x68; did you mean x86?\n" in capsys.readouterr().err
    assert main(["convert", "-n", "site-b", str(CASES / "gateway.yaml")]) == 2
    assert capsys.readouterr().err.endswith("gateway.yaml:2: it is for namespace site-a, not site-b\n")


@pytest.mark.parametrize("arguments", [[], ["convert"], ["convert", "--transfer-pool", "x", "f"], ["deploy"]])
def test_a_command_that_is_none(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m pulumi_iofog" in capsys.readouterr().err
