"""Which context sentences a claim is read beside."""

from __future__ import annotations

from collections.abc import Sequence

from inferwatch.detectors.base import F32
from inferwatch.detectors.hallucination.entailment.tokens import WINDOWS
from inferwatch.detectors.hallucination.lexicon import words_of

_SHARED = 0.6


def premise_of(claim: str, sentences: Sequence[str], cosines: F32, most: int) -> str:
    """Return the sentences that say most about ``claim``, in their order, of at most ``most`` words together.

    Args:
        claim: one sentence of an answer.
        sentences: at least one sentence of the contexts.
        cosines: (s,) similarity of each to the claim; the share of the claim's content words it holds counts 0.6 of it.
        most: words.
    """
    lengths = [len(sentence.split()) for sentence in sentences]
    if sum(lengths) <= most:
        return " ".join(sentences)
    wanted = words_of(claim).content
    shared = [len(words_of(sentence).content & wanted) / max(1, len(wanted)) for sentence in sentences]
    chosen: list[int] = []
    used = 0
    for place in sorted(range(len(lengths)), key=lambda place: -(float(cosines[place]) + _SHARED * shared[place])):
        if used + lengths[place] <= most or not chosen:
            chosen.append(place)
            used += lengths[place]
    return " ".join(" ".join(sentences[place].split()[:most]) for place in sorted(chosen))


def premises(claim: str, sentences: Sequence[str], cosines: F32) -> tuple[str, ...]:
    """Return the premises of all ``WINDOWS`` that differ, the narrowest first: see ``premise_of``."""
    return tuple(dict.fromkeys(premise_of(claim, sentences, cosines, most) for most in WINDOWS))
