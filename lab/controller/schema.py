"""Bodies checked as the Controllers check them: by JSON schema, the first error only, in their words.

Both use npm's jsonschema; its messages, and which of them are passed on as JSON, are taken from the
recordings and from src/schemas/index.js of the Controller.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lab.controller.answers import Body, Refused
from lab.controller.dialect import Dialect

TEXT: Body = {"type": "string"}
NAME: Body = {"type": "string", "minLength": 1}
WHOLE: Body = {"type": "integer"}
EMAIL: Body = {"type": "string", "pattern": r"[^@\s]+@([A-Za-z0-9-]+\.)+[A-Za-z]{2,}"}
"""Stricter than the standard, as the Controllers are: a domain needs a dot and ends in letters."""
SHARED: Mapping[str, Body] = {
    "/image": {
        "type": "object",
        "properties": {"containerImage": TEXT, "fogTypeId": {"type": "integer", "minimum": 1, "maximum": 2}},
        "required": ["containerImage", "fogTypeId"],
    },
    "/archImage": {
        "type": "object",
        "properties": {"containerImage": TEXT, "archId": {"type": "integer", "minimum": 1, "maximum": 4}},
        "required": ["containerImage", "archId"],
    },
}
_ITEM: Body = {"name": NAME, "description": TEXT, "registryId": WHOLE, "publisher": TEXT}
_IMAGES: Body = {"type": "array", "minItems": 1, "maxItems": 2, "items": {"$ref": "/image"}}
_ARCH_IMAGES: Body = {"type": "array", "minItems": 1, "maxItems": 4, "items": {"$ref": "/archImage"}}
SIGN_UP: Body = {
    "type": "object",
    "properties": {
        "firstName": {"type": "string", "minLength": 3},
        "lastName": {"type": "string", "minLength": 3},
        "email": EMAIL,
        "password": {"type": "string", "minLength": 8},
    },
    "required": ["email", "password", "firstName", "lastName"],
}
LOG_IN: Body = {
    "type": "object",
    "properties": {"email": EMAIL, "password": TEXT},
    "required": ["email", "password"],
}
REFRESH: Body = {"type": "object", "properties": {"refreshToken": TEXT}, "required": ["refreshToken"]}
_COUNT: Body = {"type": "integer", "minimum": 0}
_PORT: Body = {"type": "integer", "minimum": 1, "maximum": 65535}
ROUTER: Body = {
    "type": "object",
    "properties": {"messagingPort": _PORT, "interRouterPort": _PORT, "edgeRouterPort": _PORT, "host": TEXT},
    "required": ["host"],
}
APPLICATION: Body = {"type": "object", "properties": {"name": NAME}, "required": ["name"]}
MICROSERVICE: Body = {
    "type": "object",
    "properties": {"name": NAME, "application": TEXT, "catalogItemId": WHOLE, "iofogUuid": TEXT, "config": TEXT},
    "required": ["name", "application", "catalogItemId", "iofogUuid"],
}
"""The Controllers have more ways to say where a microservice belongs; the stand-in has these."""


def create_item(*, arch_ids: bool) -> Body:
    """A new catalog item; ``arch_ids`` for 3.8 and newer."""
    images = _ARCH_IMAGES if arch_ids else _IMAGES
    return {
        "type": "object",
        "properties": {**_ITEM, "images": images},
        "required": ["name", "registryId", "images"],
    }


def update_item(*, arch_ids: bool) -> Body:
    """Changes to one; ``arch_ids`` for 3.8 and newer."""
    images = {key: value for key, value in (_ARCH_IMAGES if arch_ids else _IMAGES).items() if key != "minItems"}
    return {"type": "object", "properties": {**_ITEM, "images": images}}


def agent(dialect: Dialect, *, new: bool) -> Body:
    """A new agent, or changes to one: the settings that the stand-in keeps. More may be said, and is not kept."""
    engine = {
        "containerEngine": {"type": "string", "enum": list(dialect.engines)},
        "deploymentType": {"type": "string", "enum": ["native", "container"]},
    }
    settings: Body = {
        "name": NAME,
        "description": TEXT,
        dialect.engine_url: TEXT,
        **(engine if dialect.engines else {}),
        dialect.arch_told: {"type": "integer", "minimum": 0, "maximum": 4 if dialect.arch_ids else 2},
        dialect.pruning: _COUNT,
        "availableDiskThreshold": _COUNT,
        "host": TEXT,
    }
    return {"type": "object", "properties": settings, "required": ["name", dialect.arch_told] if new else []}


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def check(value: Any, schema: Body, *, old: bool) -> None:
    """Raise Refused (400, ValidationError) with the first error; ``old`` for 3.0.4's wording."""
    error = next(_errors(value, schema, [], old), None)
    if error is None:
        return
    stack = error["stack"].replace("instance.", "", 1)
    prop = error["property"].replace("instance.", "", 1)
    in_words = {
        "required": f"Required field '{error['argument']}' is missing",
        "minLength": f"Field {stack}",
        "enum": f"Field {stack}",
        "type": f"Field '{prop}' {error['message']}",
        "pattern": f"Invalid format for field '{prop}'",
        "minimum": stack,
    }
    if old:
        del error["path"]
    message = in_words.get(error["name"]) or json.dumps(error, separators=(",", ":"))
    raise Refused(400, "ValidationError", message)


def _errors(value: Any, schema: Body, path: list[str | int], old: bool) -> Iterator[Body]:
    schema = SHARED[schema["$ref"]] if "$ref" in schema else schema
    if not _TYPES[schema["type"]](value):
        yield _error(value, schema, path, "type", [schema["type"]], f"is not of a type(s) {schema['type']}")
        return
    for name, wrong, words in _limits(value, old):
        if name in schema and wrong(schema[name]):
            yield _error(value, schema, path, name, schema[name], f"{words} {schema[name]}")
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        yield _error(value, schema, path, "pattern", schema["pattern"], "does not match the pattern")
    if value not in schema.get("enum", [value]):
        words = f"is not one of enum values: {','.join(schema['enum'])}"
        yield _error(value, schema, path, "enum", schema["enum"], words)
    if schema["type"] == "array":
        for index, item in enumerate(value):
            yield from _errors(item, schema["items"], [*path, index], old)
    if schema["type"] == "object":
        for name, inner in schema["properties"].items():
            if name in value:
                yield from _errors(value[name], inner, [*path, name], old)
        for name in schema.get("required", ()):
            if name not in value:
                yield _error(value, schema, path, "required", name, f'requires property "{name}"')


def _limits(value: Any, old: bool) -> list[tuple[str, Callable[[int], bool], str]]:
    """Keyword, whether its limit is broken, and how that is said."""
    if isinstance(value, int):
        most = "must have a maximum value of" if old else "must be less than or equal to"
        least = "must have a minimum value of" if old else "must be greater than or equal to"
        return [("minimum", lambda limit: value < limit, least), ("maximum", lambda limit: value > limit, most)]
    if isinstance(value, str):
        return [("minLength", lambda limit: len(value) < limit, "does not meet minimum length of")]
    return [
        ("minItems", lambda limit: len(value) < limit, "does not meet minimum length of"),
        ("maxItems", lambda limit: len(value) > limit, "does not meet maximum length of"),
    ]


def _error(instance: Any, schema: Body, path: list[str | int], name: str, argument: Any, words: str) -> Body:
    prop = "instance" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    head = {"path": path, "property": prop, "message": words, "schema": schema, "instance": instance}
    return {**head, "name": name, "argument": argument, "stack": f"{prop} {words}"}
