"""An interrupted program without its traceback.

Language hosts since Pulumi 3.229 interrupt the program (SIGINT) whenever something fails, or at Ctrl-C, and their
launcher lets the KeyboardInterrupt through: 50 lines about its event loop, often above the error that matters.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType

LAUNCHER = "pulumi-language-python-exec"
"""What runs programs. While one runs, ``__main__`` and sys.argv are the program's."""


def end_interrupts_silently() -> None:
    """Say nothing of a KeyboardInterrupt that ends a program of Pulumi's. The exit code stays what it was.

    Nothing is done in other processes (Automation API, tests), or where somebody has a hook already; one that is set
    later takes this one's place.
    """
    launched = any(Path(argument).name == LAUNCHER for argument in sys.orig_argv)
    if launched and sys.excepthook is sys.__excepthook__:
        sys.excepthook = _without_interrupts


def _without_interrupts(kind: type[BaseException], problem: BaseException, where: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, problem, where)
