"""``python -m lab.controller --port P --dialect 3.7.3 [--state FILE]``: until it is stopped."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

from lab.controller.dialect import DIALECTS
from lab.controller.server import EMAIL, PASSWORD, ControllerStandIn


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(prog="lab.controller")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dialect", default="3.7.3", choices=list(DIALECTS))
    parser.add_argument("--state", type=Path)
    parser.add_argument("--email", default=EMAIL)
    parser.add_argument("--password", default=PASSWORD)
    args = parser.parse_args()
    stand_in = ControllerStandIn(
        args.dialect, port=args.port, state=args.state, email=args.email, password=args.password
    )
    with stand_in:
        print(stand_in.endpoint, flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
