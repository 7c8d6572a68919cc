"""Which sentences of an answer claim something that contexts could support."""

from __future__ import annotations

import re

from inferwatch.detectors.hallucination.lexicon import words_of
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
_SOURCE = (
    r"(?:(?:the|this|these|those|any|your|our|my)\s+)?(?:(?:provided|given|above|supplied|retrieved|available|attached|"
    r"source|following)\s+)*(?:contexts?|documents?|documentation|articles?|passages?|sources?|texts?|excerpts?|"
    r"materials?|information|knowledge\s+base|search\s+results|snippets?)(?:\s+(?:provided|above|given|i\s+have|"
    r"available|you\s+(?:gave|provided|shared)))?"
)
_I = r"\b(?:i|we)"
_NOT = r"(?:\s+not|n['’]t)"
_SAYS = r"(?:say|mention|contain|include|cover|state|specify|provide|address|discuss|give|indicate|answer|tell|explain)"
_NOT_KNOWN = re.compile(
    rf"""
      {_I}(?:\s+(?:do|did|could|can)\s*{_NOT}|\s+cannot|\s+can['’]t|\s+(?:am|are|was|were)\s+(?:un|not\s+)able\s+to
        |['’](?:m|re)\s+(?:un|not\s+)able\s+to)\s+
        (?:(?:actually|currently|really|directly)\s+)?
        (?:have\s+(?:any\s+|enough\s+|that\s+|the\s+|this\s+|specific\s+|access\s+to\s+|sufficient\s+)*
            (?:information|details|data|knowledge|context|access|documents?|sources?)
          |find|see|know|answer|confirm|tell|determine|verify|say\s+(?:for\s+(?:sure|certain)|whether|if))\b
    | \bi\s*(?:\s+can\s?not|\s+can['’]t|\s+won['’]t(?:\s+be\s+able\s+to)?|\s+will\s+not
        |\s+(?:must|have\s+to)\s+decline\s+to
        |(?:['’]m|\s+(?:am|was))\s+(?:un|not\s+)able\s+to)\s+
        (?:help|provide|assist|share|fulfil+|comply|generate|create|write|offer|discuss|engage|give|do\s+that|support)\b
    | \bi\s+(?:must|have\s+to)\s+decline\b
    | \b(?:is|are|was|were)(?:\s+not|n['’]t)\s+(?:explicitly\s+|directly\s+|clearly\s+|specifically\s+)?
        (?:mentioned|stated|specified|covered|described|given|provided|included|available|found|discussed|addressed
          |answered|clear|known)\s+(?:in|by|from|within)\s+{_SOURCE}\b
    | \b{_SOURCE}\s+(?:does|do|did)\s*{_NOT}\s+(?:explicitly\s+|directly\s+|clearly\s+|specifically\s+)?{_SAYS}\b
    | \b(?:there\s+(?:is|was)|{_SOURCE}\s+(?:has|have|contains?|gives?|provides?))\s+(?:no|not\s+(?:any|enough))\s+
        (?:specific\s+|further\s+|relevant\s+|sufficient\s+)?(?:information|mention|details?|data|answer|reference)\b
    | \bno\s+(?:information|mention|details?|answer|reference)\b[^.]{{0,60}}\b(?:in|by|from)\s+{_SOURCE}\b
    | \b(?:not\s+(?:enough|sufficient)|insufficient)\s+(?:information|context|data|details)\b
    | \b(?:can\s?not|can['’]t|could\s+not|couldn['’]t)\s+be\s+
        (?:determined|answered|found|inferred|verified|confirmed)\b[^.]{{0,40}}\b(?:from|in|with|by)\s+{_SOURCE}\b
    | \bit\s+is\s+(?:not\s+(?:possible|clear)|unclear|impossible)\b[^.]{{0,60}}\b{_SOURCE}\b
    | \b{_SOURCE}\b[^.]{{0,20}},?\s+it\s+is\s+(?:not\s+(?:possible|clear)|unclear|impossible)\b
    | \bi(?:['’]?m|\s+am)\s+not\s+(?:sure|certain)\b
    | \bas\s+an\s+ai\b
    | \b(?:answer|question)\s+(?:is|lies|falls)\s+(?:not\s+(?:in|within)|outside|beyond)\b[^.]{{0,40}}\b{_SOURCE}\b
    """,
    re.IGNORECASE | re.VERBOSE,
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
    if _NO_CLAIM.match(start) or _NOT_KNOWN.search(start):
        return False
    return len(words_of(sentence).content) > 1
