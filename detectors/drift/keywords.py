"""What a group of texts is about, against other texts: class-based TF-IDF over words and pairs of words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

CHARS = 2000
"""Of a text, what is read: the rest of a long one adds time, and words of its own to a class it does not stand for."""
_LEAST_TEXTS, _LEAST_SHARE = 2, 0.1
"""A word of fewer texts, or of a smaller share of them, is not what they are about."""
_LEAST_LIFT = 2.0
"""How many times as frequent a word must be among these texts as among the others."""
_COVERS = 0.6
"""A pair replaces its words where this share of the texts with the word has the pair."""
_BLOCKS = re.compile(r"```.*?(?:```|\Z)|`[^`\n]{1,200}`", re.DOTALL)
_NOISE = re.compile(
    r"(?:https?://|www\.)\S{1,500}"
    r"|\[(?:EMAIL|PHONE|CARD|IBAN|IP|SECRET)\]"
    r"|<[^<>\n]{1,200}>"
    r"|\b\w*(?:\d\w*|_\w*)\b",
)
_WORD = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
_ENDING = re.compile(r"(?<=\w{3})(?:ies|es|s|ed|ing|y)$")
# scikit-learn's list is old and holds nouns that a topic may be about.
_NOUNS = frozenset({"amount", "bill", "bottom", "computer", "cry", "detail", "fire", "interest", "system", "top"})
_POLITE = """
hello hi hey dear please thanks thank sorry yes yeah okay ok im ive id ill dont doesnt didnt cant wont isnt arent wasnt
couldnt wouldnt shouldnt havent hasnt thats whats theres youre youve lets just like want need know does did say says
said tell let got get gets getting really also using use used good morning afternoon evening kind regards
"""


def keywords(texts: Sequence[str], others: Sequence[str], *, count: int = 5) -> tuple[str, ...]:
    """Return at most ``count`` words or pairs of adjacent words that set ``texts`` apart from ``others``.

    A term's weight is c-TF-IDF: its share among the class's terms times ``log(1 + A / f)``, with f its frequency over
    all classes and A the mean number of terms of a class. A text counts a term once, so that one long text is not a
    topic. Only terms of at least two texts and a tenth of them, twice as frequent here as there, are considered (where
    there are no others, however frequent); case, code, addresses, redactions, markup and everything with a digit are
    not. Of a pair and its words, the one that says more is kept. Equal input gives equal output, whatever the order of
    the texts.

    References:
        Grootendorst 2022, BERTopic: Neural topic modeling with a class-based TF-IDF procedure, arXiv:2203.05794.

    >>> keywords(["solar panels on the roof", "my solar panels"], ["the bill", "my old bill"])
    ('solar panels',)
    """
    if len(texts) < _LEAST_TEXTS:
        return ()
    # Imported where there is drift to explain: with pandas, which it brings, it takes 0.7 s and 44 MiB.
    from sklearn.feature_extraction.text import CountVectorizer

    made: Callable[..., Any] = CountVectorizer
    vectorizer = made(analyzer=terms, binary=True, dtype=np.int64)
    try:
        counts = vectorizer.fit_transform([*texts, *others])
    except ValueError:  # not one word in any text
        return ()
    names = vectorizer.get_feature_names_out()
    here = np.asarray(counts[: len(texts)].sum(axis=0)).ravel()
    there = np.asarray(counts[len(texts) :].sum(axis=0)).ravel()
    weight = here / max(here.sum(), 1) * np.log1p((here.sum() + there.sum()) / 2 / (here + there))
    lift = (here / len(texts)) / ((there + 1) / (len(others) + 1))
    enough = here >= max(_LEAST_TEXTS, _LEAST_SHARE * len(texts))
    if others:
        enough &= lift >= _LEAST_LIFT
    weight = np.where(enough, weight, 0)
    order = [int(place) for place in np.lexsort((names, -np.round(weight, 12))) if weight[place] > 0]
    return _distinct(
        [str(names[place]) for place in order], dict(zip(names.tolist(), here.tolist(), strict=True)), count
    )


def terms(text: str) -> list[str]:
    """Return the words of ``text`` and the pairs of adjacent ones, lower case, without words that say nothing."""
    cleaned = _NOISE.sub(" . ", _BLOCKS.sub(" . ", text[:CHARS])).lower().replace("’", "'")
    found: list[str] = []
    before, end = "", -1
    for match in _WORD.finditer(cleaned):
        word = match.group()
        if not _says_something(word):
            before = ""
            continue
        found.append(word)
        if before and cleaned[end : match.start()].isspace():
            found.append(f"{before} {word}")
        before, end = word, match.end()
    return found


@cache
def _stops() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return (frozenset(ENGLISH_STOP_WORDS) - _NOUNS) | frozenset(_POLITE.split())


def _says_something(word: str) -> bool:
    plain, stops = word.replace("'", ""), _stops()
    # Two characters are a word where no alphabet is: Chinese, Japanese.
    return plain not in stops and word not in stops and (len(plain) > 2 or (len(plain) > 1 and not plain.isascii()))


def _distinct(ordered: Iterable[str], texts: Mapping[str, int], count: int) -> tuple[str, ...]:
    """Return the first ``count`` terms that repeat no other: neither a word of a pair, nor a plural."""
    chosen: list[str] = []
    for term in ordered:
        own = _stems(term)
        clashes = [one for one in chosen if _stems(one) & own]
        if not clashes:
            chosen.append(term)
        elif all(_stems(one) < own and texts[term] >= _COVERS * texts[one] for one in clashes):
            chosen[chosen.index(clashes[0])] = term
            chosen = [one for one in chosen if one not in clashes[1:]]
        if len(chosen) == 4 * count:
            break
    return tuple(chosen[:count])


def _stems(term: str) -> frozenset[str]:
    """Return the words of a term without common English endings, rough but enough to see a repetition."""
    return frozenset(_ENDING.sub("", word) for word in term.split())
