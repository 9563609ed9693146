"""YAML as nodes, which know their lines; within bounds, whoever wrote it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

LARGEST = 4 << 20
"""Bytes; a namespace of 1,000 agents has 500 kB."""
DEEPEST = 64
"""Levels of nesting, aliases followed."""
MOST_NODES = 200_000
"""Nodes, each counted as often as an alias or merge repeats it."""

# In C where that was built in, 10 times as fast.
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def compose(raw: bytes | str) -> list[Any]:
    """The documents of a YAML text as nodes; None for an empty one. ValueError, in words for people, if it is not YAML
    or is out of bounds, nested in itself included."""
    if len(raw) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST >> 20} MiB")
    try:
        # First as a flat list of events, since composing nodes calls itself at each level, in C too.
        _check_depth(yaml.parse(raw, Loader=Loader))
        nodes = list(yaml.compose_all(raw, Loader=Loader))
    except yaml.YAMLError as problem:
        raise ValueError(" ".join(str(problem).split())[:500]) from None
    except (RecursionError, OverflowError):
        raise ValueError(_TOO_DEEP) from None
    for node in nodes:
        _measure(node, {}, 0)
    return nodes


def load(raw: bytes | str) -> Any:
    """The first document's value: as ``yaml.safe_load``, within bounds. ValueError."""
    nodes = compose(raw)
    if not nodes or nodes[0] is None:
        return None
    # The constructors of numbers and dates raise what they like for something that only looks like one.
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(nodes[0])
    except yaml.YAMLError as problem:
        raise ValueError(" ".join(str(problem).split())[:500]) from None
    except (TypeError, AttributeError, LookupError, ArithmeticError) as problem:
        raise ValueError(f"it has a value that cannot be read ({type(problem).__name__})") from None
    finally:
        loader.dispose()


_TOO_DEEP = f"it is nested more than {DEEPEST} deep"


def _check_depth(events: Iterator[Any]) -> None:
    depth = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise ValueError(f"line {event.start_mark.line + 1}: {_TOO_DEEP}")


def _measure(node: yaml.Node | None, known: dict[int, tuple[int, int] | None], depth: int) -> tuple[int, int]:
    """How many nodes it is, and how many levels, with all its aliases written out; each node is looked at once."""
    if not isinstance(node, yaml.CollectionNode):
        return 1, 0
    if id(node) not in known:
        known[id(node)] = None
        inner = (each for pair in node.value for each in pair) if isinstance(node, yaml.MappingNode) else node.value
        count, height = 1, 0
        for each in inner:
            more, levels = _measure(each, known, depth + 1)
            count, height = count + more, max(height, levels)
            if count > MOST_NODES:
                raise ValueError(f"with its aliases written out, it has more than {MOST_NODES} values")
        known[id(node)] = count, height + 1
    found = known[id(node)]
    if found is None:
        raise ValueError(f"line {node.start_mark.line + 1}: it is nested in itself")
    if depth + found[1] > DEEPEST:
        raise ValueError(_TOO_DEEP)
    return found
