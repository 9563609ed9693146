"""Whose a catalog item is: a mark that the item itself carries, in its ``publisher``. Pure.

An item that was made, and of which nobody has learned since pulumi, the plugin or the answer was lost, is in no state.
Its mark says that it is the resource's own all the same, on whatever machine the next run happens. Of the item's
fields, the publisher is free: iofogctl leaves it empty, and Controllers keep and list it (src/schemas/catalog.js).
The description is the user's.
"""

from __future__ import annotations

import hashlib
import re

_MARK = re.compile(r"pulumi-iofog (\S+) [0-9a-f]{16}")


def mark_of(backend: str, organization: str, urn: str) -> str:
    """``pulumi-iofog plant/prod/gateway 0123456789abcdef``: project, stack and resource for people, and a digest.

    Args:
        backend: what no other backend has; two people may well have stacks of one name in backends of their own.
        organization: that the stack belongs to; it is not in the URN.
        urn: ``urn:pulumi:STACK::PROJECT::TYPE::NAME``
    """
    _, stack, project, *_, name = re.split("(?<=^urn:pulumi):|::", urn)
    digest = hashlib.sha256("\n".join((backend, organization, urn)).encode()).hexdigest()
    where = re.sub(r"\s", "_", f"{project}/{stack}/{name}")
    return f"pulumi-iofog {where} {digest[:16]}"


def marked_for(mark: str | None) -> str | None:
    """``plant/prod/gateway``; None if it is no mark."""
    found = _MARK.fullmatch(mark or "")
    return found[1] if found else None
