"""Which language a text is in: the script decides, then runs of one to four letters by naive Bayes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import F32
from inferwatch.detectors.quality.scripts import LANGUAGES, script_of
from inferwatch.schemas.errors import Misconfigured

PACKAGED = Path(__file__).with_name("languages.npz")
READ_CHARS = 250
_LOOKED_AT = 4_000
LONGEST = 4
# Code, addresses and placeholders are in no language.
_NOT_LANGUAGE = re.compile(
    r"```[^`]{0,4000}(?:```)?|`[^`\n]{1,200}`|https?://\S{1,200}|\S{1,64}@\S{1,64}|\[[A-Z]{2,6}\]"
)
_NO_LETTERS = re.compile(r"[\W\d_]+")


def plain(text: str) -> str:
    """Return the words of ``text`` in lower case with single spaces around, at most 250 characters of them.

    >>> plain("Call `f(x)` -- see https://example.com, PLEASE!")
    ' call see please '
    """
    text = text[:_LOOKED_AT]
    if "`" in text or "://" in text or "@" in text or "[" in text:
        text = _NOT_LANGUAGE.sub(" ", text)
    return f" {_NO_LETTERS.sub(' ', text).strip().lower()[:READ_CHARS]} "


def runs(words: str) -> Iterator[str]:
    """Return every run of one to four characters of what ``plain`` returned; a run may hold spaces."""
    for length in range(1, LONGEST + 1):
        for start in range(len(words) - length + 1):
            yield words[start : start + length]


@dataclass(frozen=True, eq=False)
class Identifier:
    """Naive Bayes over runs of letters.

    Attributes:
        rows: run -> its row in ``weights``.
        weights: (runs, languages) float32 log probabilities of the run, less those of an average language.
        languages: codes of ISO 639-1, in the order of the columns.
        metadata: data, sharpness, measurements.
    """

    rows: dict[str, int]
    weights: F32
    languages: tuple[str, ...]
    metadata: dict[str, Any]

    def __call__(self, text: str) -> dict[str, float]:
        """Return language -> probability, together 1; empty where the text has no letters of a known script."""
        words = plain(text)
        script, letters = script_of(words)
        if not letters:
            return {}
        candidates = LANGUAGES[script]
        if len(candidates) == 1:
            return {candidates[0]: 1.0}
        found = [row for run in runs(words) if (row := self.rows.get(run)) is not None]
        columns = [self.languages.index(one) for one in candidates]
        sums = self.weights[found].sum(axis=0)[columns] if found else np.zeros(len(columns), np.float32)
        sums = sums * float(self.metadata["sharpness"])
        odds = np.exp(sums - sums.max())
        return dict(zip(candidates, (odds / odds.sum()).tolist(), strict=True))

    def save(self, path: Path) -> None:
        """Write the model: weights as bytes with one step for all."""
        step = float(np.abs(self.weights).max()) / 127
        held: npt.NDArray[np.int8] = np.round(self.weights / step).astype(np.int8)
        np.savez_compressed(
            path,
            runs=np.array(json.dumps(list(self.rows), ensure_ascii=False)),
            weights=held,
            step=np.float32(step),
            languages=np.array(json.dumps(self.languages)),
            metadata=np.array(json.dumps(self.metadata)),
        )

    @classmethod
    def load(cls, path: Path = PACKAGED) -> Identifier:
        """Read a model.

        Raises:
            Misconfigured: the file is missing or not a model.
        """
        try:
            with np.load(path, allow_pickle=False) as held:
                weights: F32 = held["weights"].astype(np.float32) * held["step"]
                rows = {run: row for row, run in enumerate(json.loads(str(held["runs"])))}
                return cls(rows, weights, tuple(json.loads(str(held["languages"]))), json.loads(str(held["metadata"])))
        except (OSError, KeyError, ValueError) as error:
            raise Misconfigured(
                f"{path} is not a language model: {error}; make one with quality/identify_train.py"
            ) from error
