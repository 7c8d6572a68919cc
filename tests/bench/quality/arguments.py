"""What the parts of the quality benchmark are told."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from tests.bench.quality.results import DATA, FOLDER, WORK


def arguments(about: str | None) -> argparse.Namespace:
    """Return the options of a part, whose docstring is ``about``."""
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the data sets")
    parser.add_argument("--work", type=Path, default=WORK, help="keeps fitted detectors between runs")
    parser.add_argument("--public", type=Path, help="folder of the public pairs that the cross-encoder learns from")
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--rows", type=int, default=3000, help="most rows of a family")
    parser.add_argument("--draws", type=int, default=1000, help="of the bootstrap")
    parser.add_argument("--madlibs", type=int, default=12_000, help="sentences that name an identity")
    parser.add_argument("--answers-share", type=int, default=3, help="every so-manieth benign answer")
    parser.add_argument("--rounds", type=int, default=5, help="of timing")
    return parser.parse_args()


def plain(value: Any) -> Any:
    """Return a dataclass as JSON takes it: rounded, null in the place of NaN."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value
