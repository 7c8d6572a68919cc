"""Where the data and the raw results of the quality benchmark lie."""

from __future__ import annotations

import os
from pathlib import Path

from tests.bench.machine import RESULTS

FOLDER = RESULTS / "quality"
DATA = Path(__file__).parents[3].parent / "shared" / "data"
WORK = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferwatch" / "bench-quality"
"""What the detectors fitted without a family are kept in, between runs."""
OWN = "inferwatch"
FEATURES, CROSS, BOTH = "features", "cross-encoder", "both"
"""The two judgements of ``entailment``, and what they say together."""
WRITTEN_HERE = frozenset({"support", "contrasts"})
"""Families that this project wrote itself: shown, but in no mean."""
