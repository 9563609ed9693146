"""What a program hands to Pulumi in the provider's place: the name that a state has of it, and nothing that it does.

A program declares resources and runs no verb. With the provider itself it would load every adapter, paramiko, docker
and requests included, at each command of Pulumi: 0.95 s of a core instead of 0.52 s (Python 3.11).
"""

from __future__ import annotations

import base64
import pickle  # nosec B403: it writes one, and reads none
import pkgutil
from typing import Any

from pulumi.dynamic import ResourceProvider

RUN = "__run"
"""A property that the program passes to check only: whether this is a preview, and of what."""

REPLACE = "__replace_on_changes"
"""The resource option of that name. The engine cannot follow it by itself, as the SDK (3.272) does not tell it
which properties of a dynamic resource have changed."""


class SavedProvider(ResourceProvider):
    """Pickled as ``pulumi_iofog.provider:provider``, and so unpickled as that one, wherever it is needed.

    It has no attributes: whatever it had would be in state.
    """

    serialize_as_secret_always = False

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (pkgutil.resolve_name, ("pulumi_iofog.provider:provider",))


SAVED = base64.b64encode(pickle.dumps(SavedProvider(), protocol=4)).decode()
"""The provider as it is in every state. The SDK would pickle it anew for each resource, by the default protocol of the
Python at work, which is another one from 3.14 on: a state would change with who ran ``pulumi up`` last."""
