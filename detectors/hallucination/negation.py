"""Which words of a text are denied: what follows "not", "no", "never", "without" and the like."""

from __future__ import annotations

import re
from functools import lru_cache

from inferwatch.detectors.hallucination.lexicon import words_of

_NEGATOR = re.compile(
    r"\b(?:not|no|never|neither|nor|without|cannot|none|nothing|nobody|unable|(?:refuse|fail)(?:s|d|ed)?\s+to)\b"
    r"|n['’]t\b",
    re.IGNORECASE,
)
# "Not only", "not until", "no more than", "no doubt" deny nothing that follows.
_NO_DENIAL = re.compile(r"\s*(?:only|just|until|merely|longer|doubt|more\s+than|less\s+than|later\s+than)\b", re.I)
_CLAUSE_END = re.compile(r"[.,;:!?]|\b(?:but|and|because|although|while|which|who)\b", re.IGNORECASE)
_REACH = 60
_DENIED = 2
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@lru_cache(maxsize=2048)
def denied(text: str) -> frozenset[str]:
    """Return the stems of the first two content words after each negator, within its clause.

    >>> sorted(denied("The fee was not refunded, but it is only late."))
    ['refund']
    """
    found: set[str] = set()
    for negator in _NEGATOR.finditer(text):
        if _NO_DENIAL.match(text, negator.end()):
            continue
        after = text[negator.end() : negator.end() + _REACH]
        end = _CLAUSE_END.search(after)
        content: list[str] = []
        for word in _WORD.findall(after[: end.start()] if end else after):
            content += words_of(word).content
        found.update(content[:_DENIED])
    return frozenset(found)


def opposed(claim: str, sentence: str) -> frozenset[str]:
    """Return the words that one of the two texts denies and the other, which denies nothing, says."""
    if denied(claim) and denied(sentence):
        return frozenset()
    said, known = words_of(claim).content, words_of(sentence).content
    return (denied(claim) & known) | (denied(sentence) & said)
