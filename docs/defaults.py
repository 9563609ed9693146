"""What an omitted argument means, as the docstrings say it: Python's own default is None for nearly all of them.

It is written once: ``(default: 2)``, or a word as ``(default: ``always``)`` or as ````warn`` (default)``.
tests/test_docs.py holds that it is what the package takes, and extension.py has the reference show it.
"""

from __future__ import annotations

import re

DEFAULT = re.compile(r"\s*\(default: (?:``(?P<word>\w+)``|(?P<value>True|False|\d+))\)|``(?P<first>\w+)`` \(default\)")


def value(found: re.Match[str]) -> str:
    """As Python writes it."""
    word = found["word"] or found["first"]
    return repr(word) if word else str(found["value"])


def without(docstring: str) -> str:
    """The same text where a column has the defaults. Where it is one of several words, that is said there too."""
    return DEFAULT.sub(lambda found: f"``{found['first']}``" if found["first"] else "", docstring)
