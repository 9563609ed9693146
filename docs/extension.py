"""Gives the arguments in the reference's tables and signatures the defaults that their descriptions name."""

from __future__ import annotations

from typing import Any

import griffe

from docs.defaults import DEFAULT, value, without


class Defaults(griffe.Extension):
    """See the module."""

    def on_function_instance(self, *, func: griffe.Function, **_: Any) -> None:
        if func.name != "__init__" or func.docstring is None:
            return
        for section in func.docstring.parse("google"):
            if section.kind is griffe.DocstringSectionKind.parameters:
                for described in section.value:
                    if found := DEFAULT.search(described.description):
                        func.parameters[described.name].default = value(found)
        func.docstring.value = without(func.docstring.value)
