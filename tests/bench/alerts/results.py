"""Where the raw results of the benchmark of alerts lie."""

from __future__ import annotations

from tests.bench.machine import RESULTS

FOLDER = RESULTS / "alerts"
