"""Which Pulumi backend the stack's state is in, as a text that no other backend has.

Found as Pulumi's command line does (pkg/v3 3.259, workspace/creds.go, GetCurrentCloudURL): PULUMI_BACKEND_URL, else
``backend.url`` of Pulumi.yaml, else what ``pulumi login`` has kept.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import yaml

PULUMI_CLOUD = "https://api.pulumi.com"


def backend_of(environment: Mapping[str, str], folder: Path, home: Path) -> str:
    """The URL; of a folder, when that was first used as a backend.

    A folder's path says little: ``file://~`` is on every machine. The second in which its ``.pulumi/meta.yaml`` was
    made stays the same where the folder is moved, or kept by a build from one runner to the next.

    Args:
        folder: the program's.
        home: the user's.
    """
    url = environment.get("PULUMI_BACKEND_URL") or next(_configured(environment, folder, home), PULUMI_CLOUD)
    url = url.partition("?")[0].rstrip("/")
    if not url.startswith("file:"):
        return url
    path = url.removeprefix("file:").removeprefix("//")
    root = home / path.lstrip("~/") if path.startswith("~") else folder / path
    try:
        return f"file since {int((root / '.pulumi' / 'meta.yaml').stat().st_mtime)}"
    except OSError:
        return f"{url} on {socket.gethostname()}"


def _configured(environment: Mapping[str, str], folder: Path, home: Path) -> Iterator[str]:
    """What the files say, as far as they can be read."""
    for path in (parent / name for parent in (folder, *folder.parents) for name in ("Pulumi.yaml", "Pulumi.yml")):
        if path.is_file():
            with suppress(OSError, yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError):
                yield str(yaml.safe_load(path.read_text())["backend"]["url"])
            break
    credentials = Path(environment.get("PULUMI_HOME") or home / ".pulumi") / "credentials.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        yield str(json.loads(credentials.read_text())["current"])
