"""Toxicity by alt-profanity-check and VADER, in an environment of their own.

VADER's compound score, in [-1, 1], says how friendly a text is; its authors call -0.05 and less negative. It becomes
(1 - compound) / 2. alt-profanity-check gives a probability, and predicts profanity from one half on.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inferwatch.detectors.base import F32
from tests.bench.environment import environment

HERE = Path(__file__).parent
THRESHOLDS = {"alt-profanity-check": 0.5, "VADER": 0.525}


class Rivals:
    """Their scores. Where they do not install, ``missing`` says why, and there are none."""

    def __init__(self) -> None:
        self.missing = ""
        self.versions: dict[str, str] = {}
        try:
            self._python = environment("quality-rivals", HERE / "rivals.txt", "some 250 MB")
        except RuntimeError as error:
            self.missing = str(error)

    def score(self, texts: Sequence[str]) -> dict[str, F32]:
        """Return name -> (n,) scores in [0, 1], higher is worse."""
        if self.missing:
            return {}
        command = [self._python, "-W", "ignore", HERE / "rival_process.py"]
        done = subprocess.run(command, input=json.dumps(list(texts)), capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout.splitlines()[-1])
        self.versions = answer["versions"]
        return {name: np.array(values, np.float32) for name, values in answer["scores"].items()}
