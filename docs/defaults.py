"""What an omitted argument means, in the reference's tables and signatures: Python's own default is None for all of them.

It is written once, in the docstring: ``(default: 2)``, or a word as ``(default: ``always``)`` or as
````warn`` (default)``. tests/test_docs.py holds that it is what the package takes.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

DEFAULT = re.compile(r" ?\(default: (?:``(?P<word>\w+)``|(?P<value>True|False|\d+))\)|``(?P<first>\w+)`` \(default\)")


class Defaults(griffe.Extension):
    """Gives the parameters of ``__init__`` the defaults that their descriptions name."""

    def on_function_instance(self, *, func: griffe.Function, **_: Any) -> None:
        if func.name != "__init__" or func.docstring is None:
            return
        for section in func.docstring.parse("google"):
            if section.kind is griffe.DocstringSectionKind.parameters:
                for described in section.value:
                    if found := DEFAULT.search(described.description):
                        func.parameters[described.name].default = value(found)
        # The column has it; where it is one of several words, it is said there too.
        func.docstring.value = DEFAULT.sub(
            lambda found: f"``{found['first']}``" if found["first"] else "", func.docstring.value
        )


def value(found: re.Match[str]) -> str:
    """As Python writes it."""
    word = found["word"] or found["first"]
    return repr(word) if word else str(found["value"])
