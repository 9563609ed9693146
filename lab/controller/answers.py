"""What goes in and out of the stand-in, whatever the transport."""

from __future__ import annotations

import datetime
import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Body = dict[str, Any]
JSON, HTML = "application/json; charset=utf-8", "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``path`` is without ``/api/v3``; ``part`` is what its route leaves open (an id, a name)."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    authorization: str = ""
    body: Any = None
    part: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body: a value for JSON, text for anything else, None for none."""

    status: int
    body: Any = None
    content_type: str = JSON


class Refused(Exception):
    """An error answer of the Controller's usual shape."""

    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.answer = Answer(status, {"name": name, "message": message})


def page(words: str) -> str:
    """What Express answers by itself, for people."""
    head = '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Error</title>\n</head>\n'
    return f"{head}<body>\n<pre>{html.escape(words)}</pre>\n</body>\n</html>\n"


def times() -> Body:
    """``createdAt`` and ``updatedAt``, now, as JavaScript writes times."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"createdAt": now, "updatedAt": now}
