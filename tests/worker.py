"""Which of pytest-xdist's workers runs this: names of labs have it, so that each worker has labs of its own."""

from __future__ import annotations

import os

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
"""``gw0``, ``gw1``, …; ``alone`` where one process runs all tests."""
