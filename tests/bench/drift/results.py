"""Where the raw results of the drift benchmark lie."""

from __future__ import annotations

from tests.bench.machine import RESULTS

FOLDER = RESULTS / "drift"
