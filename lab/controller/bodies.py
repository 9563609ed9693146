"""Request bodies as body-parser takes them, before any route or token is looked at.

It is what the Controllers read bodies with (1.20, with Express 4); its answers were seen of it alone, by
the Controllers' own settings.
"""

from __future__ import annotations

import json
from typing import Any

from lab.controller.answers import HTML, Answer, Refused, page

MOST = 100 * 1024
"""Bytes of a body; body-parser's own limit, which no Controller raises."""


def parsed(text: bytes, content_type: str) -> Any:
    """The JSON object or array that a body is; ``{}`` where there is none, or none that says it is JSON.

    Raises Refused: 413 for too much, 400 for anything else, as pages for people.
    """
    if not text or content_type.partition(";")[0].strip().lower() != "application/json":
        return {}
    if len(text) > MOST:
        raise _Unreadable(413, "PayloadTooLargeError: request entity too large")
    try:
        body = json.loads(text)
    except ValueError as problem:  # bytes that are no UTF-8 too
        raise _Unreadable(400, f"SyntaxError: {problem}") from None
    if not isinstance(body, (dict, list)):
        raise _Unreadable(400, "SyntaxError: neither an object nor an array")
    return body


class _Unreadable(Refused):
    def __init__(self, status: int, words: str) -> None:
        super().__init__(status, "", words)
        self.answer = Answer(status, page(words), HTML)
