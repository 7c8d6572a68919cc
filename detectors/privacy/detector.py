"""Personal data and secrets in what people write and in what the model answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np

from inferwatch.detectors.base import Batch, Detector, Field, Item, Scores
from inferwatch.detectors.privacy.finding import find
from inferwatch.schemas.scores import Evidence

_REDACTED = re.compile(r"\[(EMAIL|PHONE|CARD|IBAN|IP|ID|SECRET)\]")
_SURE = {"EMAIL": 1.0, "PHONE": 0.8, "CARD": 0.9, "IBAN": 1.0, "IP": 0.6, "ID": 0.9, "SECRET": 1.0}
_MOST_SHOWN = 5


class Privacy(Detector):
    """Scores ``pii.input``, ``pii.output``, ``secret.input`` and ``secret.output``.

    A score is how sure the surest finding is (1 where a checksum or a format of its own says so, 0.6 for four numbers
    with dots), and 0 where nothing was found. ``pii`` is email, telephone, card, bank account, IP address and national
    numbers; ``secret`` is keys, tokens, private keys and credentials in assignments. What redaction has replaced
    counts by its placeholder, as ``[EMAIL]``: enable this detector to see how much arrives, whether it is stored or
    not. Evidence is each finding with its offsets, at most five a score.

    Abstains with ``no input`` or ``no output``. Names and postal addresses are not found.
    """

    name: ClassVar[str] = "privacy"
    version: ClassVar[str] = "1"
    reads: ClassVar[frozenset[Field]] = frozenset({Field.INPUT, Field.OUTPUT})
    emits: ClassVar[Mapping[str, float]] = {
        "pii.input": 0.5,
        "pii.output": 0.5,
        "secret.input": 0.5,
        "secret.output": 0.5,
    }

    def texts(self, item: Item) -> Iterable[str]:
        return ()

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        return tuple(
            scores
            for field in (Field.INPUT, Field.OUTPUT)
            for scores in _score(field, [getattr(item, field) for item in batch.items])
        )


def _score(field: Field, texts: Sequence[str]) -> Iterator[Scores]:
    reasons = tuple("" if text.strip() else f"no {field}" for text in texts)
    looked = [[] if reason else _look(field, text) for text, reason in zip(texts, reasons, strict=True)]
    for name, wanted in (("pii", False), ("secret", True)):
        own = [[one for secret, one in row if secret is wanted] for row in looked]
        values = [
            np.nan if reason else max((one.score for one in row), default=0.0)
            for row, reason in zip(own, reasons, strict=True)
        ]
        shown = (tuple(sorted(row, key=lambda one: -one.score)[:_MOST_SHOWN]) for row in own)
        yield Scores(f"{name}.{field}", np.array(values, np.float32), reasons, tuple(shown))


def _look(field: Field, text: str) -> list[tuple[bool, Evidence]]:
    """Return whether it is a secret, and the evidence, of each finding and each placeholder of one."""
    stretches = [(one.kind.name, one.kind.label, one.kind.sure, one.start, one.end) for one in find(text, unsure=True)]
    placeholders = _REDACTED.finditer(text) if "[" in text else ()
    stretches += [(match[1], "redacted", _SURE[match[1]], *match.span()) for match in placeholders]
    return [
        (
            name == "SECRET",
            Evidence(field=str(field), text=text[start:end], score=sure, start=start, end=end, reason=label),
        )
        for name, label, sure, start, end in stretches
    ]
