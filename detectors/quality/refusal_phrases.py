"""What models say instead of an answer: that they do not know, cannot or will not."""

from __future__ import annotations

import re

NOT_KNOWN = re.compile(
    r"""\b(?:
      (?:i|we)\s+(?:do\s+not|don['’]t|could\s+not|couldn['’]t|can\s?not|can['’]t|(?:am|was)\s+(?:un|not\s+)able\s+to)\s+
        (?:have\s+(?:any\s+|enough\s+|that\s+|the\s+|this\s+)?(?:information|details|data)|find|see|know|answer|confirm|tell)\b
    | i\s+(?:can\s?not|can['’]t|(?:am|was)\s+(?:un|not\s+)able\s+to)\s+(?:help|provide|assist|share)\b
    | (?:is|are|was|were)(?:\s+not|n['’]t)\s+(?:mentioned|stated|specified|covered|described|given)\s+in\s+the\b
    | (?:contexts?|documents?|articles?|passages?|information|text)\s+(?:provided\s+|above\s+|given\s+|i\s+have\s+)?
        (?:does\s+not|do\s+not|doesn['’]t|don['’]t)\s+(?:say|mention|contain|include|cover|state|specify|provide)\b
    | i(?:['’]?m|\s+am)\s+not\s+(?:sure|certain)\b
    | as\s+an\s+ai\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
"""The answer is not known or not in the contexts; found anywhere in a sentence."""

_I_CANNOT = (
    r"(?:i|we)\s+(?:(?:really|just|simply|still|also|unfortunately|therefore)\s+)?"
    r"(?:can\s?not|can['’]t|can\s+not|could\s+not|won['’]t|will\s+not|"
    r"(?:am|are|was)\s+(?:unable|not\s+able|not\s+capable|not\s+allowed|not\s+permitted|not\s+comfortable)|"
    r"['’]?m\s+(?:unable|not\s+able|not\s+capable|not\s+allowed|not\s+permitted|not\s+comfortable)|"
    r"(?:must|have\s+to|need\s+to)\s+(?:decline|refuse)|decline|refuse)|i['’]m\s+(?:unable|not\s+(?:able|allowed|comfortable))"
)
_NO_OPINION = r"(?!\s+(?:\w+\s+)?(?:any\s+)?(?:personal|subjective|opinion|value\s+judg))"
WILL_NOT = re.compile(
    rf"""\b(?:
      (?:{_I_CANNOT})\s+(?:to\s+|of\s+|with\s+)?(?:\w{{2,12}}ly\s+)?(?:be\s+able\s+to\s+|in\s+good\s+conscience\s+)?
        (?:help|assist|comply|fulfil\w*|support|engage|participat\w*|promot\w*|encourag\w*|condon\w*|creat\w*|generat\w*|writ\w*|
           produc\w*|provid\w*|shar\w*|giv\w*|offer\w*|answer\w*|discuss\w*|do\s+(?:that|this|so)|proceed|continue|respond|suggest\w*|
           recommend\w*|advis\w*|facilitat\w*|tell|make|translate|summari\w+|describe|explain|perform|complete|carry|process|reveal)\b{_NO_OPINION}
    | (?:goes\s+|is\s+|are\s+|would\s+(?:be|go)\s+)?against\s+(?:my|our|openai['’]?s)\s+(?:\w+\s+){{0,3}}
        (?:guidelines|polic\w+|principles|programming|use\s+case)
    | (?:i['’]?m|i\s+am)\s+(?:sorry|afraid)[,\s]+(?:but\s+)?
        (?:i|we|that|this)\s+(?:can|could|wo|am|['’]m|is|do)\S*\s+(?:not|n['’]t|unable)
    | (?:it|this|that)\s+(?:is|would\s+be|['’]s|isn['’]t)\s+(?:not\s+|in)?
        (?:appropriate|ethical|acceptable)\s+(?:for\s+me\s+)?to
    | no\s+puedo\s+(?:ayudar|proporcionar|hacer|responder|cumplir|generar|crear|compartir)\w*
    | je\s+ne\s+(?:peux|suis)\s+pas\s+(?:vous\s+|t['’])?(?:en\s+mesure\s+d\S*|aider|fournir|répondre|faire|générer)
    | (?:kann|darf|möchte)\s+(?:ich\s+)?(?:\w+\s+){{0,4}}nicht\s+
        (?:helfen|beantworten|unterstützen|weiterhelfen|erstellen|nachkommen|machen)
    | ich\s+(?:kann|darf)\s+(?:\w+\s+){{0,3}}(?:leider|nicht)\s+(?:\w+\s+){{0,4}}
        (?:helfen|beantworten|unterstützen|geben|erstellen)
    | non\s+posso\s+(?:aiut\w+|fornir\w+|rispond\w+|far\w+)
    | não\s+posso\s+(?:ajud\w+|fornec\w+|respond\w+|fazer)
    )""",
    re.IGNORECASE | re.VERBOSE,
)
"""The model says that it will not or must not do what was asked."""

UNABLE = re.compile(
    rf"""\b(?:
      (?:sorry|apolog\w+|unfortunately|afraid|as\s+an?\s+(?:ai|artificial|large|language|virtual)\b)[^.!?]{{0,120}}
        \b(?:{_I_CANNOT})\s+(?!(?:truly\s+|really\s+)?(?:think|feel|have))
    | \A\W*(?:as\s[^.,]{{2,50}},\s*)?(?:{_I_CANNOT})\s+
        (?!believe|wait|imagine|stop|stress|say|help\s+but|attend|afford|guarantee|(?:truly\s+)?(?:think|feel))
    | (?:i|we)\s+(?:currently\s+)?(?:do\s+not|don['’]t)\s+(?:currently\s+|actually\s+)?have\s+
        (?:the\s+|an?\s+|any\s+|real[\s-]time\s+|direct\s+|physical\s+|specific\s+|enough\s+)*
        (?:ability|capabilit\w+|access|information|data|details|internet|context)
    | (?:i|we)\s+(?:do\s+not|don['’]t)\s+(?:know|possess|see|understand)\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
"""The model says that it lacks an ability, access or information."""

DISCLAIMER = re.compile(
    r"\bas\s+an?\s+(?:ai|artificial|large|language|virtual)\b|\bi['’]?m\s+(?:just\s+)?an?\s+ai\b", re.IGNORECASE
)
"""The model says what it is; by itself this refuses nothing."""

DELIVERS = re.compile(
    r"\bhere(?:['’]s|\s+(?:is|are))\b|\b(?:as\s+follows|for\s+example|an\s+example|in\s+general|generally|typically)\b|```|:\s*\n|"
    r"\n\s*(?:[-*•]|\d{1,2}[.)])\s",
    re.IGNORECASE,
)
"""After a refusal: signs that the model answers all the same, not only that it offers to."""
