"""The documentation and the code say the same: errors, messages, settings, measured numbers."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import pulumi_iofog
from bench import readme
from docs.defaults import DEFAULT, value
from pulumi_iofog import errors
from pulumi_iofog.inputs import spec

TOP = Path(__file__).parent.parent
DOCS = TOP / "docs"
PACKAGE = TOP / "provider" / "pulumi_iofog"
CLASSES = [name for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.IofogError)]
TROUBLESHOOTING = (DOCS / "troubleshooting.md").read_text()
QUOTED = sorted(
    {
        quote
        for row in re.findall(r"^\| (`.*?) \| ", TROUBLESHOOTING, re.MULTILINE)
        for quote in re.findall(r"`([^`]+)`", row)
    }
)
SETTINGS = (DOCS / "reference/settings.md").read_text()


def strings(path: Path) -> Iterator[str]:
    """Every piece of text in a module but its docstrings."""
    tree = ast.parse(path.read_text())
    docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            yield node.value


@cache
def texts() -> list[str]:
    return [text for path in [*PACKAGE.rglob("*.py"), TOP / "__main__.py"] for text in strings(path)]


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_has_its_entry(name: str) -> None:
    assert f"\n## {name} {{ #{name} }}\n" in TROUBLESHOOTING


@pytest.mark.parametrize("quote", QUOTED)
def test_what_troubleshooting_quotes_is_said_somewhere(quote: str) -> None:
    """``…`` stands for what is filled in."""
    unsaid = [part for part in re.split(r"\s*…\s*", quote) if not any(part in text for text in texts())]
    assert not unsaid


def test_every_setting_of_the_stack_is_documented() -> None:
    """Also those whose keys are put together: ``iofog:`` and a name that is given to a ``get``."""
    keys = {match for text in texts() for match in re.findall(r"iofog:[a-zA-Z]+(?![a-zA-Z:])", text)}
    keys |= {f"iofog:{key}" for key in ("endpoint", "email", "password", "token", "caFile", "insecure", "manifests")}
    assert keys <= set(re.findall(r"`(iofog:\w+)`", SETTINGS))


def test_every_variable_of_the_environment_is_documented() -> None:
    read = set()
    for path in PACKAGE.rglob("*.py"):
        read |= set(re.findall(r'environ(?:\.get\(|\[)"(\w+)"', path.read_text()))
    assert read
    assert read <= set(re.findall(r"`(\w+)`", SETTINGS))


def test_the_readme_has_what_was_measured() -> None:
    """``python -m bench.readme`` mends it."""
    assert readme.table(readme.RESULTS.read_text()) in readme.README.read_text()


def test_the_code_map_leads_to_every_file() -> None:
    """The rooms under adapters/ as one each."""
    stages = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    files = [path for path in stages if path.parts[0] != "adapters" and not path.name.startswith("__")]
    rooms = [path for path in (PACKAGE / "adapters").iterdir() if path.name[0] != "_"]
    names = [path.name for path in files] + [f"{path.name}/" if path.is_dir() else path.name for path in rooms]
    text = (DOCS / "code-map.md").read_text()
    assert [name for name in names if name not in text] == []


PAGES = [TOP / "README.md", *sorted(DOCS.rglob("*.md"))]
PYTHON = re.compile(r"^```python[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = [
    pytest.param(code, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, code in enumerate(PYTHON.findall(page.read_text()))
]


@pytest.mark.parametrize("code", PROGRAMS)
def test_programs_in_pages_use_what_there_is(code: str) -> None:
    """Classes of the package by their names, with arguments that they take."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Call(ast.Attribute(ast.Name("iofog"), name), arguments, keywords):
                given = {keyword.arg: None for keyword in keywords if keyword.arg}
                inspect.signature(getattr(pulumi_iofog, name)).bind(*arguments, **given)


ARGUMENTS = {
    name: list(inspect.signature(getattr(pulumi_iofog, name)).parameters)
    for name in pulumi_iofog.__all__
    if name.endswith("Args") or name.startswith("OfflineImage")
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_argument_is_used_in_an_example_of_the_reference(name: str) -> None:
    pages = "".join(path.read_text() for path in (DOCS / "reference").glob("*.md"))
    used: set[str | None] = {"resource_name"}
    for code in PYTHON.findall(pages):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == f"iofog.{name}":
                used |= {keyword.arg for keyword in node.keywords}
    assert set(ARGUMENTS[name]) <= used


def test_the_reference_has_the_real_defaults() -> None:
    """Of an image for which nothing is said but what must be; an agent's and a Controller's too."""
    whole = spec.parse({"name": "app", "x86": "registry.example/app:1", "agents": ["edge-1"], "controller": {}})
    said = {**described("OfflineImage"), **described("ControllerArgs"), **described("AgentArgs")}
    assert said.pop("port") == 22  # where ~/.ssh/config says no other
    assert {"transfer_pool", "rebuild", "agent_pruning", "insecure", "accept_new_host_key"} <= set(said)
    for name, default in said.items():
        holder = next(each for each in (whole, whole.controller, whole.agents[0]) if hasattr(each, name))
        assert getattr(holder, name) == default, name
    assert {name: said[name] for name in described("OfflineImageSet")} == described("OfflineImageSet")


def described(name: str) -> dict[str, Any]:
    """Argument → what the reference's table says that it is if it is omitted, as far as that is a value."""
    text = inspect.getdoc(getattr(pulumi_iofog, name).__init__) or ""
    arguments = re.findall(r"^ {4}(\w+): (.*\n(?: {8}.*\n)*)", text.partition("Args:\n")[2] + "\n", re.MULTILINE)
    found = {argument: DEFAULT.search(" ".join(said.split())) for argument, said in arguments}
    return {argument: ast.literal_eval(value(match)) for argument, match in found.items() if match}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_name_settings_that_there_are(page: Path) -> None:
    named = set(re.findall(r"iofog:[a-z]\w*(?!:)\b", page.read_text()))
    assert named <= set(re.findall(r"`(iofog:\w+)`", SETTINGS))
