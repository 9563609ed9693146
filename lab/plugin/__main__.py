"""``python -m lab.plugin ENGINE``: the SDK's own plugin process for dynamic providers, which can be halted.

The file ``halt`` in the folder ``LAB_PLUGIN`` has a regular expression. The thread that writes the first line of the
log that it matches renames the file to ``halted``, and waits until that is gone; all others go on.

``LAB_PLUGIN_CLOCK``: seconds by which its clock is wrong, for all but gRPC, which compares it with the kernel's.
(libfaketime would do it to the whole process, but Python's sleep fails with it.)
"""

from __future__ import annotations

import logging
import os
import re
import runpy
import sys
import time
from pathlib import Path


class Halts(logging.Handler):
    """See the module. ``handle`` and not ``emit``, which would keep other threads from the log."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._halt, self._halted = folder / "halt", folder / "halted"

    def handle(self, record: logging.LogRecord) -> bool:
        try:
            if not re.search(self._halt.read_text(), record.getMessage()):
                return False
            self._halt.rename(self._halted)
        except FileNotFoundError:
            return False
        while self._halted.exists():
            time.sleep(0.01)
        return True


def _be_wrong_by(seconds: float) -> None:
    right = time.time

    def wrong() -> float:
        caller = str(sys._getframe(1).f_globals.get("__name__"))
        return right() + (0 if caller.startswith("grpc") else seconds)

    time.time = wrong


if __name__ == "__main__":
    _be_wrong_by(float(os.environ.get("LAB_PLUGIN_CLOCK", "0")))
    logging.getLogger("pulumi_iofog").addHandler(Halts(Path(os.environ["LAB_PLUGIN"])))
    runpy.run_module("pulumi.dynamic", run_name="__main__", alter_sys=True)
