"""Premise, hypothesis and whether it is wrong: what the cross-encoder is trained and tested on; seeded."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from inferwatch.detectors.base import F32, Encoder, Item
from inferwatch.detectors.hallucination.corpora import SEED, Examples
from inferwatch.detectors.hallucination.edits import name_pool
from inferwatch.detectors.hallucination.entailment.premise import premise_of
from inferwatch.detectors.hallucination.entailment.rewrite import PHRASE, Neighbours, falsify, reword
from inferwatch.detectors.hallucination.grounding import Reading, read
from inferwatch.detectors.sentences import split_sentences

_EDITS_CHANGED = 0.35
_CONTEXT_SENTENCES = 400
_ROUNDS = 3


class Pair(NamedTuple):
    """``source`` is ``label`` or ``original`` where people said what is wrong, else how the hypothesis was made.

    ``right`` is what the hypothesis was made wrong from, so that the changed words are known.
    """

    premise: str
    hypothesis: str
    wrong: bool
    source: str
    right: str = ""


def answers(folder: Path) -> list[str]:
    """Return ChatGPT's answers of HaluEval general: plain texts here, their labels are not read.

    Raises:
        FileNotFoundError: the data set is missing.
    """
    lines = (folder / "grounding" / "halueval_general.json").read_text("utf-8").splitlines()
    return [str(json.loads(line)["chatgpt_response"]) for line in lines]


def phrases_of(texts: Sequence[str]) -> list[str]:
    """Return the prepositional phrases of ``texts``, each with a space before it."""
    return [match.group().rstrip() for text in texts for part in _prose(text) for match in PHRASE.finditer(part)]


def made(texts: Sequence[str], words: Neighbours, turn: int = 0) -> list[Pair]:
    """Return pairs that nobody labelled: sentences of ``texts`` beside their surroundings, reworded and made wrong.

    Each ``turn`` takes every sentence once, with other surroundings and other changes. In odd ones the surroundings are
    wide, what is right is reworded twice and what is wrong keeps its other words: new words alone are no sign.
    """
    rng = np.random.default_rng([SEED, turn])
    odd = bool(turn % 2)
    cut = [parts for parts in map(_prose, texts) if len(parts) >= 3]
    phrases = phrases_of(texts)
    pool = name_pool([part for parts in cut for part in parts][:6000])
    places = [(row, place) for row, parts in enumerate(cut) for place in range(len(parts))]
    found: list[Pair] = []
    for row, place in (places[drawn] for drawn in rng.permutation(len(places))):
        around = _around(cut[row], place, rng, 8 if odd else 3)
        premise, right = " ".join(around), reword(cut[row][place], words, rng)
        if rng.random() < 0.15:
            premise = " ".join(reword(part, words, rng, 0.8) for part in around)
        if odd:
            right = reword(right, words, rng, 0.9)
        found.append(Pair(premise, right, wrong=False, source="reword"))
        rest = [part for part in cut[row] if part not in around]
        if rest and rng.random() < 0.12:
            found.append(Pair(premise, rest[int(rng.integers(len(rest)))], wrong=True, source="elsewhere"))
        else:
            own = right if rng.random() < (0.3 if odd else 0.7) else cut[row][place]
            found += falsified(premise, own, right, (premise,), pool, phrases, words, rng)
    return found


def labelled(
    name: str,
    examples: Examples,
    folder: Path,
    phrases: Sequence[str],
    words: Neighbours,
    encoder: Encoder,
    most: int,
) -> list[Pair]:
    """Return the pairs of one family: what people labelled, and supported claims reworded and made wrong.

    SummEdits' summaries are edits of one original, whose other sentences are right; each is also read beside it and
    beside another right edit.
    """
    rng = np.random.default_rng([7, int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")])
    originals = _originals(folder, name)
    siblings: defaultdict[str, list[str]] = defaultdict(list)
    for item, bad in zip(examples.items, examples.labels, strict=True):
        if originals and not bad:
            siblings[item.contexts[0]].append(item.output)
    pool = name_pool(sorted({context for item in examples.items for context in item.contexts}))
    found: list[Pair] = []
    for item, bad in zip(examples.items, examples.labels, strict=True):
        own = read(item)
        premises = premises_of(own, encoder, most)
        original = originals.get((item.contexts[0], item.output), "")
        beside = [text for text in siblings[item.contexts[0]] if text != item.output] if originals else []
        sibling = beside[int(rng.integers(len(beside)))] if beside else ""
        found += list(_told(item, own, premises, (original, sibling), encoder, most, wrong=bool(bad)))
        for again in range(_ROUNDS):
            if not bad and (original in ("", item.output) or rng.random() < _EDITS_CHANGED):
                for premise, claim in zip(premises, own.claims, strict=True):
                    right = reword(claim, words, rng, 0.6)
                    if again == _ROUNDS - 1:
                        right = reword(right, words, rng, 0.9)
                    found.append(Pair(premise, right, wrong=False, source="reword"))
                    before = claim if rng.random() < 0.6 else right
                    found += falsified(premise, before, right, item.contexts, pool, phrases, words, rng)
    for _ in range(_ROUNDS):
        found += _of_contexts(examples, pool, phrases, words, rng)
    return found


def premises_of(reading: Reading, encoder: Encoder, most: int) -> list[str]:
    """Return what each claim of an answer is read beside, of at most ``most`` words."""
    claims, sentences = (encoder.encode(list(part)) for part in (reading.claims, reading.sentences))
    return [
        premise_of(claim, reading.sentences, sentences @ vector, most)
        for claim, vector in zip(reading.claims, claims, strict=True)
    ]


def _told(
    item: Item,
    own: Reading,
    premises: Sequence[str],
    related: tuple[str, str],
    encoder: Encoder,
    most: int,
    *,
    wrong: bool,
) -> Iterator[Pair]:
    original, sibling = related
    if original and original != item.output:
        kept = {original[start:end] for start, end in split_sentences(original, 32)}
        for premise, claim in zip(premises, own.claims, strict=True):
            if claim not in kept:
                yield Pair(premise, claim, wrong, "label")
                yield Pair(original, claim, wrong, "original")
                if sibling:
                    yield Pair(sibling, claim, wrong, "original")
    elif wrong and len(own.claims) > 1:  # nobody said which claim is wrong
        whole = " ".join(own.claims)
        middle: F32 = encoder.encode(list(own.claims)).mean(axis=0)
        given = premise_of(whole, own.sentences, encoder.encode(list(own.sentences)) @ middle, most)
        yield Pair(given, whole, wrong, "label")
    else:
        for premise, claim in zip(premises, own.claims, strict=True):
            yield Pair(premise, claim, wrong, "label")


def _of_contexts(
    examples: Examples, pool: Sequence[str], phrases: Sequence[str], words: Neighbours, rng: np.random.Generator
) -> Iterator[Pair]:
    """Yield sentences of the contexts themselves, reworded and made wrong, beside their neighbours."""
    readings = [read(item).sentences for item in examples.items]
    places = sorted({(part, own) for own in readings for part in own if 7 <= len(part.split()) <= 45})
    for drawn in rng.permutation(len(places))[:_CONTEXT_SENTENCES]:
        part, own = places[drawn]
        at = own.index(part)
        premise, right = " ".join(own[max(0, at - 1) : at + 2]), reword(part, words, rng, 0.6)
        yield Pair(premise, right, wrong=False, source="reword")
        yield from falsified(premise, right, right, (premise,), pool, phrases, words, rng)


def falsified(
    premise: str,
    text: str,
    right: str,
    contexts: Sequence[str],
    pool: Sequence[str],
    phrases: Sequence[str],
    words: Neighbours,
    rng: np.random.Generator,
) -> list[Pair]:
    found = falsify(text, premise, contexts, pool, phrases, words, rng)
    return [Pair(premise, found[0], wrong=True, source=found[1], right=right)] if found else []


def _around(parts: Sequence[str], place: int, rng: np.random.Generator, most: int) -> Sequence[str]:
    """Return two sentences or up to ``most`` more than one, with the one at ``place`` among them."""
    more = int(rng.integers(1, most + 1))
    first = max(0, place - int(rng.integers(0, more + 1)))
    around = parts[first : first + more + 1]
    return around if parts[place] in around else parts[max(0, place - 1) : place + 1]


def _prose(text: str) -> list[str]:
    cut = (text[start:end].strip() for start, end in split_sentences(text, 64))
    return [
        part
        for part in cut
        if 6 <= len(part.split()) <= 40 and part[-1:] in ".!" and len(re.findall(r"[A-Za-z]", part)) > 0.7 * len(part)
    ]


def _originals(folder: Path, name: str) -> dict[tuple[str, str], str]:
    path = folder / "grounding" / f"{name}.json"
    if not name.startswith("summedits_"):
        return {}
    return {(row["doc"], row["summary"]): row["original_summary"] for row in json.loads(path.read_text("utf-8"))}
