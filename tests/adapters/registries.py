"""Registry adapters for tests: in no hurry to wait, and strangers to this machine's docker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pulumi_iofog.adapters.registry.http import Patience
from pulumi_iofog.adapters.registry.registry import Registry

MakeRegistry = Callable[..., Registry]


@contextmanager
def registries(folder: Path) -> Iterator[MakeRegistry]:
    """A function that makes them, for the length of a ``with``."""
    with ExitStack() as stack:

        def make(*args: Any, **options: Any) -> Registry:
            options = {"docker_config": folder / "absent.json", "patience": Patience(back_off=0), **options}
            registry = Registry(*args, **options)
            stack.callback(registry.close)
            return registry

        yield make
