"""Which words a score rests on: take each away and see how far it falls."""

from __future__ import annotations

from inferwatch.detectors.base import F32
from inferwatch.detectors.logistic import probability
from inferwatch.detectors.sentences import Span
from inferwatch.detectors.toxicity.features import Reading
from inferwatch.detectors.toxicity.model import Blend
from inferwatch.detectors.toxicity.obfuscation import tokens

_MOST_WORDS = 48
_MOST_SHOWN = 3
_LEAST_FALL = 0.5


def driving_words(model: Blend, vector: F32, text: str) -> list[tuple[Span, float]]:
    """Return up to three words of ``text`` and what each adds to its score, in [0, 1], the most first.

    A word is taken out of what the n-grams and the word classes see; the vector, which would cost a pass of the
    encoder for each word, stays. Words whose absence lowers the log odds by less than 0.5 are not shown. Of a long
    text the first 48 words are tried.
    """
    found = tokens(text)
    said = [word for _, _, word in found]
    tried = [place for place, word in enumerate(said) if len(word) > 1][:_MOST_WORDS]
    if len(said) < 2 or not tried:
        return []
    variants = [said, *(said[:place] + said[place + 1 :] for place in tried)]
    logits = model.logits(vector[None, :].repeat(len(variants), axis=0), Reading.of_words(variants))
    falls = logits[0] - logits[1:]
    order = sorted(range(len(tried)), key=lambda i: (-falls[i], i))[:_MOST_SHOWN]
    adds = probability(logits[:1])[0] - probability(logits[1:])
    return [
        ((found[tried[i]][0], found[tried[i]][1]), max(0.0, float(adds[i]))) for i in order if falls[i] >= _LEAST_FALL
    ]
