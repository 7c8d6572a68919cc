from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.detectors.sentences import split_sentences


def pieces(text: str, limit: int = 64) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text, limit)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Wu met J. Smith at 3 p.m. today. Fine.", ["Dr. Wu met J. Smith at 3 p.m. today.", "Fine."]),
        ("It costs 3.50 EUR. Pay now.", ["It costs 3.50 EUR.", "Pay now."]),
        ("See https://a.example/b.c?d=e.f. Then go.", ["See https://a.example/b.c?d=e.f.", "Then go."]),
        ("Do this:\n1. Open it.\n2. Close it.", ["Do this:", "1. Open it.", "2. Close it."]),
        ("- first\n- second", ["- first", "- second"]),
        ("a line that is\nwrapped here.", ["a line that is\nwrapped here."]),
        ('He said "Stop." She left.', ['He said "Stop."', "She left."]),
        ("返金は5日です。よろしく!", ["返金は5日です。", "よろしく!"]),
        ("Wait... what? ok", ["Wait... what? ok"]),
        ("z.B. morgen, usw. Danke.", ["z.B. morgen, usw. Danke."]),
        ("यह एक है। यह दो है।", ["यह एक है।", "यह दो है।"]),
        ("  padded.  ", ["padded."]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


@given(st.text(alphabet=st.sampled_from("aB1 .!?\n\t。\")'…-") | st.characters(), max_size=200), st.integers(1, 8))
def test_every_character_but_white_space_lies_in_exactly_one_sentence(text: str, limit: int) -> None:
    spans = split_sentences(text, limit)
    assert len(spans) <= limit
    covered = 0
    for start, end in spans:
        assert covered <= start < end
        assert not text[covered:start].strip()
        assert text[start:end] == text[start:end].strip()
        covered = end
    assert not text[covered:].strip()


def test_the_last_of_too_many_sentences_holds_the_rest() -> None:
    assert pieces("A b. C d. E f. G h.", 2) == ["A b.", "C d. E f. G h."]


@pytest.mark.parametrize(
    "text", ["." * 5_000_000, "?)" * 2_500_000, "a" * 5_000_000, " \n" * 2_500_000, "A. " * 50_000]
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    # A quadratic splitter needs hours for this; ten seconds is generous for a linear one on a busy machine.
    worker = threading.Thread(target=split_sentences, args=(text, 10**9), daemon=True)
    worker.start()
    worker.join(timeout=10)
    assert not worker.is_alive()


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        split_sentences("a", 0)
