"""Long texts are cut around their evidence, and broken evidence is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.streams.incidents.examples import Mark, excerpt, marks_of


def mark(start: int, end: int, score: float = 0.9) -> Mark:
    return Mark("output", start, end, score, "")


@given(st.text(max_size=3000), st.integers(0, 3000), st.integers(20, 1500))
def test_an_excerpt_is_part_of_the_text_and_holds_where_the_evidence_begins(text: str, start: int, limit: int) -> None:
    start = min(start, max(0, len(text) - 1))
    found = excerpt(text, [mark(start, start + 5)], limit)
    assert found.text == text[found.offset : found.offset + len(found.text)]
    assert len(found.text) == min(len(text), limit)
    assert found.whole == (len(text) <= limit)
    if text and limit > 400:
        assert found.offset <= start < found.offset + len(found.text)


def test_evidence_of_the_score_is_read_strongest_first() -> None:
    stored = [
        {"name": "toxicity.output", "field": "output", "text": "b", "score": 0.5, "start": 2, "end": 3},
        {"name": "hallucination", "field": "output", "text": "x", "score": 1.0},
        {"name": "toxicity.output", "field": "output", "score": 0.9, "start": 0, "end": 1, "reason": "insult"},
    ]
    found = marks_of(json.dumps(stored), "toxicity.output")
    assert [(one.score, one.reason) for one in found] == [(0.9, "insult"), (0.5, "")]


@pytest.mark.parametrize("stored", ["", "[", "[1, null]", "[]"])
def test_evidence_that_cannot_be_read_is_none(stored: str) -> None:
    assert marks_of(stored, "toxicity.output") == []
