"""How the toxicity model reads words: disguises, classes, n-grams."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.detectors.toxicity.features import BUCKETS, PATTERNS, Reading
from inferwatch.detectors.toxicity.lexicon import CLASS_OF, CLASSES
from inferwatch.detectors.toxicity.obfuscation import clean, tokens, words

ODD = st.text(st.sampled_from("aäAİß1!$*.-_ \u200b\u0301сіоⓘ𝓲ff日\ud800'’“i d i o t s h i t"), max_size=40)


@pytest.mark.parametrize(
    ("disguised", "meant"),
    [
        ("1d10t", "idiot"),
        ("b!tch", "bitch"),
        ("a$$hole", "asshole"),
        ("$hit", "shit"),
        ("f*ck", "fuck"),
        ("b***h", "bitch"),
        ("i d i o t", "idiot"),
        ("s.h.i.t", "shit"),
        ("idi\u200bot", "idiot"),
        ("id\u00adiot", "idiot"),
        ("іdіоt", "idiot"),  # Cyrillic і and о
        ("ｉｄｉｏｔ", "idiot"),
        ("𝓲𝓭𝓲𝓸𝓽", "idiot"),
        ("idiooooot", "idiot"),
        ("ídiöt", "idiot"),
        ("w0men", "women"),
        ("k!lled", "killed"),
    ],
)
def test_a_disguised_word_is_read_as_it_is_meant(disguised: str, meant: str) -> None:
    text = f"so {disguised} there"
    assert words(text) == ["so", meant, "there"]
    assert clean(text) == f"so {meant} there"
    ((start, end),) = [(start, end) for start, end, word in tokens(text) if word == meant]
    assert text[start:end] == disguised


@pytest.mark.parametrize(
    "text",
    [
        "I ate 5 apples for $5 at 10am with my iPhone 4s, H2O and C++!",
        "Your refund of 45 € – order A-123 – left today… it’s “on its way”.",
        "e.g. the a.s.a.p. rule, U.S.A., 3 x 4 = 12, x_1 = y_2, a b c d",
        "返金は5日かかります。 Straße, naïve, Čeština, 👨‍👩‍👧",  # a family's emoji needs its joiners
        "میخواهم به خانه\u200cها بروم",  # Persian needs its non-joiner
        "2 * 3 * 4 and **bold** and __init__ and #5",
    ],
)
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert clean(text) is text or clean(text) == text


@given(ODD)
def test_every_word_lies_in_the_text_and_in_order(text: str) -> None:
    found = tokens(text)
    ends = [0, *(end for _, end, _ in found)]
    assert all(last <= start < end <= len(text) for last, (start, end, _) in zip(ends, found, strict=False))
    assert all(word.isascii() for word in words(text))


@given(ODD | st.text(st.sampled_from("ab z'?!.,-$*|_+#0"), max_size=12))
def test_a_text_that_reads_as_it_is_written_is_read_like_any_other(text: str) -> None:
    assert words(text) == [word for _, _, word in tokens(text)]


@given(ODD)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(st.lists(ODD | st.just("you are an idiot, I hate women and I do not care"), max_size=6))
def test_a_text_reads_the_same_alone_as_among_others(texts: list[str]) -> None:
    together = Reading.of(texts)
    patterns = together.patterns()
    buckets, owners = together.grams()
    assert patterns.shape == (len(texts), PATTERNS)
    for row, text in enumerate(texts):
        alone = Reading.of([text])
        np.testing.assert_array_equal(alone.patterns()[0], patterns[row])
        assert sorted(alone.grams()[0]) == sorted(buckets[owners == row])
    assert all(0 <= bucket < BUCKETS for bucket in buckets)
    table = np.arange(BUCKETS).astype(np.int8)
    sums, counts = together.sums(table)
    assert counts.tolist() == [int((owners == row).sum()) for row in range(len(texts))]
    assert sums.tolist() == [int(table[buckets[owners == row]].sum(dtype=np.int64)) for row in range(len(texts))]


def test_patterns_tell_who_does_what_in_which_order() -> None:
    n = len(CLASSES) + 1
    negation, hostile, identity = (CLASSES.index(name) + 1 for name in ("negation", "hostile", "identity"))
    (denied, said) = Reading.of(["I do not hate women", "I hate women, do not laugh"]).patterns()
    assert denied[negation] == said[negation] == denied[hostile] == said[identity] == 1
    assert denied[n + negation * n + hostile] == 1
    assert said[n + negation * n + hostile] == 0
    near = n + n * n
    assert denied[near + hostile * n + identity] == said[near + hostile * n + identity] == 1
    assert denied[near + identity * n + hostile] == 0


def test_whom_a_sentence_names_changes_no_count_of_words() -> None:
    one, other = (Reading.of([f"we met {who} at work"]) for who in ("muslims", "jewish"))
    np.testing.assert_array_equal(one.patterns(), other.patterns())
    shared = set(one.grams()[0]) & set(other.grams()[0])
    assert len(shared) > 20


def test_words_have_one_class_and_none_is_blank() -> None:
    assert CLASSES[CLASS_OF["idiot"] - 1] == "insult"
    assert CLASSES[CLASS_OF["muslims"] - 1] == "identity"
    assert set(CLASS_OF.values()) == set(range(1, len(CLASSES) + 1))
    assert all(word == word.lower().strip() for word in CLASS_OF)
