"""Precision and recall of personal data and secrets on the generated set keep their floors."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.bench.detectors.personal_data import NEGATIVES, POSITIVES, cases, measure

# Measured 0.99 to 1 (docs/detectors.md); lower by what another seed may draw.
RECALL, PRECISION = (
    0.97,
    {"EMAIL": 0.99, "IBAN": 0.97, "CARD": 0.97, "IP": 0.97, "ID": 0.97, "SECRET": 0.97, "PHONE": 0.75},
)
FALSE_ALARMS = {"order number": 0.12, "nine digits": 0.25, "wrong iban": 0.05}
"""Digits with a leading 0 look like a telephone number. Of every other negative at most 2 % are found."""


@pytest.fixture(scope="module")
def found() -> Mapping[str, Mapping[str, float]]:
    return measure()


@pytest.mark.parametrize("what", POSITIVES)
def test_recall(what: str, found: Mapping[str, Mapping[str, float]]) -> None:
    assert found["recall"][what] >= RECALL


@pytest.mark.parametrize("kind", PRECISION)
def test_precision(kind: str, found: Mapping[str, Mapping[str, float]]) -> None:
    assert found["precision by kind"][kind] >= PRECISION[kind]


@pytest.mark.parametrize("what", NEGATIVES)
def test_false_alarms(what: str, found: Mapping[str, Mapping[str, float]]) -> None:
    assert found["false alarms"][what] <= FALSE_ALARMS.get(what, 0.02)


def test_the_set_is_what_its_seed_says() -> None:
    first, again, other = (list(cases(seed, 2)) for seed in (1, 1, 2))
    assert first == again != other
    assert all(case.text[case.start : case.end] for case in first)
    assert len(first) == 2 * (len(POSITIVES) + len(NEGATIVES))
