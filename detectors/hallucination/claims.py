"""Which sentences of an answer claim something that contexts could support."""

from __future__ import annotations

import re

from inferwatch.detectors.hallucination.lexicon import words_of
from inferwatch.detectors.refusals import NOT_KNOWN
from inferwatch.detectors.sentences import Span, split_sentences

MAX_SENTENCES = 32
# Openers of greetings, thanks, apologies, offers, and of saying that the contexts do not hold the answer.
_NO_CLAIM = re.compile(
    r"""^\W*(?:
      (?:hi|hello|hey|welcome|dear|greetings|good\s+(?:morning|day|afternoon|evening))\b
        (?!.*\b(?:is|are|was|can|must|costs?)\b)
    | (?:thanks|thank\s+you|many\s+thanks|you['’]?re\s+welcome|cheers|(?:best|kind)\s+regards|have\s+a\s)
    | (?:i['’]?m|i\s+am|we['’]?re|we\s+are)\s+(?:so\s+|very\s+|really\s+)?(?:sorry|glad|happy|pleased|here\s+to)
    | (?:sorry|(?:my\s+)?apologies|(?:we|i)\s+apologi[sz]e|i\s+understand|i\s+see|(?:great|good)\s+question)\b
    | (?:i\s+)?hope\s+(?:this|that|it)\b
    | (?:please\s+)?(?:let\s+(?:me|us)\s+know|feel\s+free|do\s+not\s+hesitate|don['’]t\s+hesitate|reach\s+out)\b
    | if\s+you\s+(?:have|need|want|would\s+like)\b.*
        \b(?:let\s+(?:me|us)\s+know|feel\s+free|ask|reach\s+out|happy\s+to|here)\b
    | (?:sure|of\s+course|certainly|absolutely|no\s+problem)\W*$
    | (?:(?:sure|of\s+course|certainly|absolutely|no\s+problem)\W+)?
      (?: (?:(?:i|we)(?:['’](?:m|d|re)|\s+am|\s+would|\s+are)\s+(?:be\s+)?)?
          (?:happy|glad)\s+to\s+(?:help|explain|assist|check)\b
        | let\s+me\s+(?:help|check|look|explain|see)\b
        | here['’]s\b | here\s+(?:is|are)\b
      ) [^.:\d]{0,60}\W*$
    | (?:please\s+|just\s+)*(?:write|message|ask|call|reply|contact)\b[^.\d]{0,30}\bif\s+you\b
    )""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_LOOKED_AT = 400


def claims(output: str) -> list[Span]:
    """Return the ranges of the sentences of ``output`` that claim something.

    Left out: questions, greetings, thanks, apologies, offers of help, statements that the contexts do not hold the
    answer, refusals, and sentences with fewer than two content words.

    >>> text = "Sure! Returns take 14 days. Anything else?"
    >>> [text[start:end] for start, end in claims(text)]
    ['Returns take 14 days.']
    """
    return [span for span in split_sentences(output, MAX_SENTENCES) if _claims(output[span[0] : span[1]])]


def _claims(sentence: str) -> bool:
    if sentence.rstrip("\"'”’)*_ ").endswith(("?", "？")):
        return False
    start = sentence[:_LOOKED_AT]
    if _NO_CLAIM.match(start) or NOT_KNOWN.search(start):
        return False
    return len(words_of(sentence).content) > 1
