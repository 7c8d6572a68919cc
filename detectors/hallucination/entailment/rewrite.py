"""Seeded rewriting of a sentence: said a little differently, or with one thing in it made wrong. No model writes it."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inferwatch.detectors.base import Encoder
from inferwatch.detectors.hallucination.edits import KINDS, change

_LISTS = json.loads(Path(__file__).with_name("wordings.json").read_text("utf-8"))
WORD = re.compile(r"[A-Za-z][a-z]+(?:-[a-z]+)?")
PHRASE = re.compile(
    r"\s(?:in|for|with|by|from|at|on|during|after|before|through|among|without|against)\s(?:[\w'’-]+\s?){1,5}(?=[.,;])"
)
_OPENER = re.compile(
    r"^(?:However|Additionally|Furthermore|Moreover|Also|Finally|Therefore|Overall|In addition|For example|As a result"
    r"|In fact|Instead|First|Second|Then|Lastly|Next|Similarly|Thus),?\s+"
)
_LEADING_CLAUSE = re.compile(
    r"^((?:If|When|While|Because|Although|After|Before|Since|As|In|On|During|At|For)\s[^,]{5,70}),\s+(\w[^.]*)([.!]?)$"
)
_ADVERB = re.compile(
    r"\b(?:very|really|quite|also|just|simply|typically|usually|generally|often|currently|recently|highly|extremely"
    r"|particularly|especially|actually|basically|then|later|so)\s"
)
_THING = re.compile(r"\b(?:[Tt]he|[Aa]n?|[Hh]is|[Hh]er|[Tt]heir|[Ii]ts)\s+([a-z][\w'’-]+)\b")
# Facts twice, as edits.py knows eight of them, and then words, phrases and who does what to whom.
_WAYS = (
    *(*KINDS, *KINDS, *("opposite",) * 3, *("word",) * 4),
    *(*("word_in_context",) * 2, *("phrase",) * 2, *("places",) * 3),
)
_TRIES = 8
_ENDINGS = ("ing", "ed", "ly", "s", "tion", "er", "ity", "al", "ive")


def _both_ways(pairs: Sequence[Sequence[str]]) -> Mapping[str, Sequence[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for first, second in pairs:
        found[first].append(second)
        found[second].append(first)
    return dict(found)


OPPOSITES = _both_ways(_LISTS["opposites"])
_SYNONYMS = _both_ways(_LISTS["synonyms"])


@dataclass(frozen=True)
class Neighbours:
    """Words by the encoder's cosine: ``near`` ones pass for synonyms, ``mid`` ones (0.35 to 0.56) do not."""

    near: Mapping[str, Sequence[str]]
    mid: Mapping[str, Sequence[str]]


def neighbours(texts: Sequence[str], encoder: Encoder, most: int = 6000) -> Neighbours:
    """Return the neighbours, with the same ending, of the most frequent words of ``texts``."""
    counted = Counter(word for text in texts for word in WORD.findall(text) if word.islower() and len(word) > 3)
    words = [word for word, _ in counted.most_common(most)]
    vectors = encoder.encode(words)
    cosines = vectors @ vectors.T
    endings = [next((end for end in _ENDINGS if word.endswith(end)), "") for word in words]
    near, mid = {}, {}
    for row, word in enumerate(words):
        others = [
            place
            for place in np.argsort(-cosines[row])[1:60]
            if endings[place] == endings[row]
            and words[place][:4] != word[:4]
            and word not in words[place]
            and words[place] not in word
        ]
        opposite = OPPOSITES.get(word, ())
        near[word] = [words[p] for p in others if cosines[row, p] >= 0.68 and words[p] not in opposite][:4]
        mid[word] = [words[p] for p in others if 0.35 <= cosines[row, p] < 0.56][:12]
    return Neighbours(near, mid)


def reword(text: str, words: Neighbours, rng: np.random.Generator, much: float = 0.5) -> str:
    """Return ``text`` with openers, adverbs or a phrase left out, a clause moved, synonyms, other spellings of numbers.

    What is said stays the same or becomes less; ``much`` is the chance of each change of words.
    """
    if rng.random() < 0.7:
        rest = _OPENER.sub("", text)
        text = rest[:1].upper() + rest[1:]
    if rng.random() < 0.5:
        text = _ADVERB.sub("", text, count=1)
    clause = _LEADING_CLAUSE.match(text)
    if clause and rng.random() < 0.5:
        lead, rest, stop = clause.groups()
        text = f"{rest[:1].upper()}{rest[1:]} {lead[:1].lower()}{lead[1:]}{stop or '.'}"
    text = _spelled_otherwise(_with_synonyms(text, words, rng, much), rng)
    if rng.random() < 0.25:
        phrases = list(PHRASE.finditer(text))
        if phrases and len(text) > 60:
            phrase = phrases[int(rng.integers(len(phrases)))]
            text = text[: phrase.start()] + text[phrase.end() :]
    return text


def _with_synonyms(text: str, words: Neighbours, rng: np.random.Generator, much: float) -> str:
    if rng.random() < much:
        known = [(old, new) for old in _SYNONYMS if _whole(old, text) for new in _SYNONYMS[old]]
        for _ in range(int(rng.integers(1, 3))):
            if known:
                old, new = known[int(rng.integers(len(known)))]
                text = re.sub(rf"\b{re.escape(old)}\b", new, text, count=1)
    for _ in range(int(rng.integers(0, 3))):
        places = [match for match in WORD.finditer(text) if words.near.get(match.group())]
        if places and rng.random() < much:
            place = places[int(rng.integers(len(places)))]
            text = _put(text, place, _one(words.near[place.group()], rng))
    return text


def _spelled_otherwise(text: str, rng: np.random.Generator) -> str:
    if rng.random() < 0.3:
        for pair in _LISTS["contractions"]:
            old, new = pair if pair[0] in text else reversed(pair)
            if old in text:
                text = text.replace(old, new, 1)
                break
    if rng.random() < 0.3:
        for word, digits in _LISTS["digits"]:
            if _whole(word, text):
                return re.sub(rf"\b{word}\b", digits, text, count=1)
            alone = rf"(?<![\d.,]){digits}(?![\d.,%])"
            if re.search(alone, text):
                return re.sub(alone, word, text, count=1)
    return text


def falsify(
    text: str,
    premise: str,
    contexts: Sequence[str],
    pool: Sequence[str],
    phrases: Sequence[str],
    words: Neighbours,
    rng: np.random.Generator,
) -> tuple[str, str] | None:
    """Return ``text`` with one thing changed that makes it wrong or unsupported, and how; None where nothing fits.

    Args:
        text: what ``premise``, of ``contexts``, says.
        premise: the sentences beside which it will be read.
        contexts: see ``edits.change``.
        pool: names from elsewhere.
        phrases: prepositional phrases from elsewhere, each with a space before it.
        words: see ``Neighbours``.
        rng: decides everything that is free.
    """
    for _ in range(_TRIES):
        way = _one(_WAYS, rng)
        if way == "opposite":
            found = _opposite(text, rng)
        elif way == "word":
            found = _other_word(text, premise, words, rng)
        elif way == "word_in_context":
            found = _word_in_context(text, premise, rng)
        elif way == "places":
            found = _with_places_changed(text, rng)
        elif way == "phrase":
            found = _with_phrase(text, _one(phrases, rng))
        else:
            edit = change(text, contexts, way, pool, rng)
            found = edit.text if edit else None
        if found and found != text:
            return found, way
    return None


def _opposite(text: str, rng: np.random.Generator) -> str | None:
    places = [match for match in re.finditer(r"[A-Za-z]+", text) if match.group().lower() in OPPOSITES]
    if not places:
        return None
    place = places[int(rng.integers(len(places)))]
    new = _one(OPPOSITES[place.group().lower()], rng)
    return _put(text, place, new[:1].upper() + new[1:] if place.group()[:1].isupper() else new)


def _other_word(text: str, premise: str, words: Neighbours, rng: np.random.Generator) -> str | None:
    places = [match for match in WORD.finditer(text) if words.mid.get(match.group())]
    if not places:
        return None
    place = places[int(rng.integers(len(places)))]
    fresh = [word for word in words.mid[place.group()] if word not in premise.lower()]
    return _put(text, place, _one(fresh, rng)) if fresh else None


def _word_in_context(text: str, premise: str, rng: np.random.Generator) -> str | None:
    places = [match for match in WORD.finditer(text) if match.group().islower() and len(match.group()) > 4]
    said = set(WORD.findall(text))
    others = sorted({word for word in WORD.findall(premise) if word.islower() and len(word) > 4} - said)
    if not places or not others:
        return None
    place = places[int(rng.integers(len(places)))]
    alike = [word for word in others if word[-2:] == place.group()[-2:]]
    return _put(text, place, _one(alike, rng)) if alike else None


def _with_places_changed(text: str, rng: np.random.Generator) -> str | None:
    """Exchange what follows two articles or possessives, where a verb or preposition is between."""
    things = list(_THING.finditer(text))
    if len(things) < 2:
        return None
    at = int(rng.integers(len(things) - 1))
    one, two = things[at], things[at + 1]
    first, second, between = one.group(1), two.group(1), text[one.end(1) : two.start(1)]
    alike = {first.lower(), second.lower()}
    if len(alike) < 2 or re.match(r"\s*,?\s*(?:and|or)\b", between) or len(between.split()) > 9:
        return None
    return text[: one.start(1)] + second + between + first + text[two.end(1) :]


def _with_phrase(text: str, phrase: str) -> str:
    stop = re.search(r"[.,!;]", text[20:])
    at = 20 + stop.start() if stop else len(text)
    if text[at - 1 : at].isdigit():
        at = len(text.rstrip(".!"))
    return text[:at] + phrase + text[at:]


def _whole(word: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", text) is not None


def _put(text: str, place: re.Match[str], new: str) -> str:
    return text[: place.start()] + new + text[place.end() :]


def _one(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
