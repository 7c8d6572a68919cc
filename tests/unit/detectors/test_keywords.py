"""Keywords say what is new, and are never what a log line happens to carry besides."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferwatch.detectors.drift.keywords import keywords, terms

OLD = [f"When is my bill due and how do I pay invoice {n}?" for n in range(20)]
SOLAR = [
    "How much do you pay for solar panels?",
    "My solar panels are on the roof, which feed-in tariff do I get?",
    "Is the feed-in tariff paid for old solar panels?",
    "Do solar panels work in winter? And the feed-in tariff?",
]


def test_a_new_topic_is_named_by_its_words_and_pairs_of_words() -> None:
    assert keywords(SOLAR, OLD)[:2] == ("solar panels", "feed-in tariff")


def test_what_everybody_says_is_no_keyword() -> None:
    assert keywords(OLD[:5], OLD[5:]) == ()
    assert not {"pay", "bill", "my", "do"} & set(keywords(SOLAR, OLD))


def test_code_addresses_markup_redactions_and_numbers_are_not_read() -> None:
    noisy = [
        f"{text} ```def frobnicate(x): return frobnicate``` `frobnicate` https://frob.example/frobnicate?q=1 "
        "<div class='frobnicate'> [EMAIL] [PHONE] id wf-00123-frob42 x_frobnicate 2026"
        for text in SOLAR
    ]
    assert keywords(noisy, OLD) == keywords(SOLAR, OLD)
    assert terms("```never ended frobnicate") == []


def test_one_text_however_long_is_not_a_topic() -> None:
    found = keywords([*SOLAR, "unicorn " * 500], OLD)
    assert "unicorn" not in " ".join(found)
    assert keywords(["solar panels"], OLD) == ()


def test_no_word_is_said_twice() -> None:
    texts = [f"the battery was recalled, is battery recall number {n} about my batteries?" for n in range(5)]
    found = keywords(texts, OLD)
    stems = [word for term in found for word in term.split()]
    assert len([word for word in stems if word.startswith("batter")]) == 1
    assert len([word for word in stems if word.startswith("recall")]) == 1


def test_pairs_are_of_adjacent_words() -> None:
    assert terms("Solar panels, on the roof. Green lever") == ["solar", "panels", "solar panels", "roof", "green",
                                                                "lever", "green lever"]  # fmt: skip


def test_other_languages_have_keywords() -> None:
    german = [f"Wann bekomme ich die Einspeisevergütung für die Solaranlage Nummer {n}?" for n in range(4)]
    rest = [f"Wann bekomme ich die Rechnung für die Wohnung Nummer {n}?" for n in range(10)]
    found = " ".join(keywords(german, rest))
    assert "einspeisevergütung" in found
    assert "solaranlage" in found


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["?!", "12 34"], ["the of", "and"]])
def test_nothing_to_say_is_said(texts: list[str]) -> None:
    assert keywords(texts, OLD) == ()
    assert keywords(texts, []) == ()


@settings(max_examples=40)
@given(st.lists(st.text(max_size=60), max_size=6), st.lists(st.text(max_size=60), max_size=6))
def test_order_changes_nothing_and_no_text_breaks_it(texts: list[str], others: list[str]) -> None:
    found = keywords(texts, others)
    assert found == keywords(texts[::-1], others[::-1])
    assert len(found) <= 5
    for term in found:
        assert sum(term in terms(text) for text in texts) >= 2
