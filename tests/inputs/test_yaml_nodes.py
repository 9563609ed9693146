"""YAML within bounds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pulumi_iofog.errors import InputError
from pulumi_iofog.inputs import yaml_nodes
from pulumi_iofog.inputs.iofogctl_document import read_documents
from pulumi_iofog.inputs.iofogctl_namespace import parse_namespace


def _bomb(begin: str, again: str, levels: int, each: int) -> str:
    """Each level repeats the one before so many times."""
    lines = [f"a0: &a0 {begin}"]
    lines += [f"a{n}: &a{n} " + again.format(", ".join([f"*a{n - 1}"] * each)) for n in range(1, levels)]
    return "\n".join(lines)


BAD = {
    "flow": ("[" * 100_000, "nest"),
    "compact lists": ("- " * 100_000 + "x", "nested more than 64 deep"),
    "mappings": ("{a: " * 100_000, "nested more than 64 deep"),
    "itself": ("a: &a\n  b: *a", "line [12]: it is nested in itself"),
    "list in itself": ("&a [*a]", "nested in itself"),
    "merged with itself": ("&a {<<: *a, kind: OfflineImage}", "nested in itself"),
    "alias bomb": (_bomb("[x, x, x]", "[{}]", 20, 10), "more than 200000 values"),
    "merge bomb": (_bomb("{k: v}", "{{<<: [{}]}}", 20, 10), "more than 200000 values"),
    "alias chain": (_bomb("[x]", "[{}]", 100, 1), "nested more than 64 deep"),
    "merge chain": (_bomb("{k: v}", "{{<<: {}}}", 100, 1), "nested more than 64 deep"),
    "large": ("#" * (5 << 20), "larger than 4 MiB"),
    "a tag of Python's": ("a: !!python/object/apply:os.system [true]", "could not determine|python/object"),
    "a date that is none": ("a: 2020-13-45", "month must be"),
    "a number that is none": ("a: !!int abc", "invalid literal"),
    "a number of digits": ("a: " + "9" * 5000, "Exceeds the limit|value that cannot be read|digits"),
    "an undefined alias": ("a: *b", "undefined alias"),
    "control characters": ("a: \x1b[2J", "not allowed|control characters"),
}


@pytest.mark.parametrize("what", BAD)
def test_it_is_refused_soon_and_in_words(what: str, tmp_path: Path) -> None:
    text, wanted = BAD[what]
    began = time.monotonic()
    with pytest.raises(ValueError, match=f"not an iofogctl namespace: .*({wanted})") as caught:
        parse_namespace(text, tmp_path)
    assert len(str(caught.value)) < 1000
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=str(file)):
        read_documents(file)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "text", ["? [a]\n: b", "kind: [OfflineImage]", "kind: OfflineImage\n? {a: b}\n: c", "", "---\n---"]
)
def test_odd_documents(text: str, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=str(file)):
        read_documents(file)


def test_aliases_and_merges_as_people_write_them(tmp_path: Path) -> None:
    text = "base: &base {host: h, ssh: {user: u}}\nremoteAgents:\n- {<<: *base, name: a}\n- {<<: *base, name: b}\n"
    assert yaml_nodes.load(text)["remoteAgents"][1] == {"host": "h", "ssh": {"user": "u"}, "name": "b"}
    assert set(parse_namespace(text, tmp_path).agents) == {"a", "b"}
