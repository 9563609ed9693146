"""The resource's face, as far as it needs no engine; the rest is in e2e."""

from __future__ import annotations

from pathlib import Path

import pytest

from pulumi_iofog import OfflineImage
from pulumi_iofog.errors import InputError

CASES = Path(__file__).parents[1] / "cases" / "manifest"


@pytest.mark.parametrize("resource_name", [None, "neither"])
def test_of_several_documents_one_must_be_named(resource_name: str | None) -> None:
    with pytest.raises(InputError, match=r"which one\? Set resource_name= to one of gateway, camera"):
        OfflineImage.from_yaml(CASES / "gateway.yaml", resource_name=resource_name)


def test_a_document_that_is_wrong_is_refused_with_its_lines() -> None:
    with pytest.raises(InputError, match=r"misspelt\.yaml:6: unknown field spec\.x68; did you mean x86\?"):
        OfflineImage.from_yaml(CASES / "misspelt.yaml")
