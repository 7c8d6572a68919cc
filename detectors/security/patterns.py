"""What attacks on a prompt say, as patterns a person can read. Each has the weight of one that matches alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

_INSTRUCTIONS = r"""(?:instruction|direction|directive|rule|prompt|guideline|polic|command|restriction|constraint|
    training|programming|safeguard|limitation|context|conversation|message|filter|boundar|safety)\w{0,6}"""
_EARLIER = r"""(?:previous|prior|above|earlier|preceding|initial|original|existing|former|past|foregoing|system|
    developer|own|safety|content|ethical)"""
_LIMITS = r"""(?:restrict\w{0,6}|rules?|limit\w{0,6}|filter\w{0,3}|polic\w{1,5}|guidelines?|censor\w{0,6}|moderation|
    boundaries|ethics|morals?|safety|constraints?|safeguards?|guardrails?)"""
_FILLERS = r"(?:(?:all|any|every|the|your|of|my|these|those|this|each|and|about)\s{1,3}){0,4}"


@dataclass(frozen=True, slots=True)
class Way:
    """One wording: what the lower-cased text must hold for it to be possible, and its pattern (linear: all bounded)."""

    hints: tuple[str, ...]
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Tactic:
    """One way to attack: its name, how sure a match is of an attack, and its wordings."""

    name: str
    sure: float
    ways: tuple[Way, ...]


def _way(hints: str, pattern: str) -> Way:
    return Way(tuple(hints.split()), re.compile(pattern, re.IGNORECASE | re.VERBOSE))


_OVERRIDES = (
    _way(
        "ignor disregard forget overr bypass skip discard drop abandon neglect violate break follow",
        rf"""\b(?:ignore|disregard|forget|override|overrule|bypass|skip|discard|drop|abandon|neglect|violate|break|
            stop\s+following|do\s+not\s+follow|don['’]t\s+follow)\s{{1,3}}{_FILLERS}
            (?:(?:{_EARLIER}|and|or|all|,)\s{{0,3}}){{1,4}}{_INSTRUCTIONS}""",
    ),
    _way(
        "ignor disregard forget override bypass discard",
        rf"""\b(?:ignore|disregard|forget|override|bypass|discard)\s{{1,3}}(?:all\s{{1,3}})?(?:of\s{{1,3}})?(?:your|all)
            \s{{1,3}}(?:\w{{1,14}}\s{{1,3}}){{0,2}}{_INSTRUCTIONS}""",
    ),
    _way(
        "ignore disregard forget",
        r"""\b(?:ignore|disregard|forget)\s{1,3}(?:everything|anything|all|what)\s{1,3}(?:that\s{1,3})?
            (?:\w{1,10}\s{1,3}){0,5}(?:above|before|previously|told|said|earlier|instructed)""",
    ),
    _way(
        "ignorier vergiss vergesst missacht",
        r"""\b(?:ignorier|vergiss|vergesst|missachte)\w{0,4}\s.{0,30}
            \b(?:anweisung|instruktion|regeln|richtlinien|vorgaben|alles,?\s+was)""",
    ),
    _way("ignor oubli", r"\b(?:ignor|oubli)\w{0,4}\s.{0,30}\b(?:instructions|consignes?|règles|directives)"),
    _way(
        "ignor olvid descart esque",
        r"""\b(?:ignor|olvid|descart|esque[çc])\w{0,4}\s.{0,30}
            \b(?:instruccion|reglas|directrices|indicaciones|instruções|regras)\w{0,3}""",
    ),
    _way(
        "ignor dimentic scord",
        r"\b(?:ignor|dimentic|scord)\w{0,4}\s.{0,30}\b(?:istruzioni|regole|direttive|linee\s+guida)",
    ),
    _way("negeer vergeet", r"\b(?:negeer|vergeet)\s.{0,30}\b(?:instructies|regels|opdrachten)"),
    _way(
        "忽略 無視 игнорир", r"忽略.{0,8}(?:指令|提示|规则)|以前の指示.{0,6}無視|игнорируй.{0,30}(?:инструкци|правил)"
    ),
)
_UNMASKS = (
    _way(
        "reveal show print repeat output display leak dump expose disclose recite write tell give share paste copy "
        "return quote summari what",
        r"""\b(?:reveal|show|print|repeat|output|display|leak|dump|expose|disclose|recite|write\s+out|tell|give|share|paste|
            copy|return|quote|summari[sz]e|what\s+(?:is|are|were|was)\s+(?:your|the|written))\b.{0,60}
            \b(?:system\s{0,3}[- ]?(?:prompt|message|instruction)s?
            | your\s+(?:\w{1,12}\s+)?initial\s+\w{1,12} | (?:hidden|secret)\s+(?:prompt|instruction|message)s?
            | your\s+(?:\w{1,12}\s+)?(?:prompt|instructions|guidelines|rules)\b | internal\s+configuration
            | instructions\s+(?:you\s+(?:were|have\s+been)\s+given|above|verbatim) | (?:words|text|everything)\s+above
            | your\s+context\s+window | operating\s+instructions)""",
    ),
    _way(
        "zeig verrat nenn gib",
        r"""\b(?:zeig|verrat|nenn|gib)\w{0,4}\s.{0,40}
            (?:system-?\s?(?:prompt|anweisung|nachricht)|deine\w{0,2}\s+(?:anweisungen|regeln))""",
    ),
    _way(
        "rév rev montr affich donn",
        r"""\b(?:r[ée]v[ée]l|montr|affich|donn)\w{0,4}[ -].{0,40}
            (?:prompt\s+(?:système|initial)|instructions\s+système|tes\s+instructions)""",
    ),
    _way(
        "revel muestr mostr imprim dime rivel stampa",
        r"""\b(?:revel|mu[eé]str|mostr|imprim|dime|rivel|stampa)\w{0,4}\s.{0,40}
            (?:prompt\s+d\w{1,4}\s*sistema|instrucciones\s+d|istruzioni\s+di\s+sistema|instruções\s+d)""",
    ),
)
_UNLIMITS = (
    _way(
        "no without free bound never subject",
        rf"""\b(?:you|your|ai|assistant|model|bot|answer|respond|reply|comply|act|chatgpt|dan)\b.{{0,60}}
            \b(?:no|without|free\s+(?:from|of)|not\s+bound\s+by|not\s+have|never\s+follow|not\s+subject\s+to)\s+
            (?:(?:any|all|the|more|longer|typical|usual)\s+){{0,3}}(?:\w{{1,12}}\s+){{0,2}}{_LIMITS}\b""",
    ),
    _way(
        "unrestricted uncensored unfiltered jailbr anything amoral rule",
        r"\b(?:unrestricted|uncensored|unfiltered|jailbroken|jailbreak\s+(?:mode|yourself|prompt)|do\s+anything\s+now|amoral|rule-?free)\b",
    ),
    _way(
        "mode",
        r"""\b(?:now|in|enter|enable|activate|to|into|this)\s+(?:a\s+|the\s+)?
            (?:developer|debug|god|admin|maintenance|dan|jailbreak|opposite|sudo)\s+mode\b
            (?!\s+(?:on|of|for)\s+(?:my|the|a|an)\b)""",
    ),
    _way(
        "safety content security ethic",
        r"""\b(?:safety|content|security|ethic\w{0,4})\s+(?:\w{1,12}\s+){0,2}
            (?:disabled|deactivated|bypassed|suspended|lifted|turned\s+off)\b""",
    ),
    _way("dan", r"\bDAN\b.{0,60}\b(?:rules|restrict|policy|anything)|\byou\s+are\s+(?:now\s+)?DAN\b"),
    _way(
        "polic guidelines restrictions rules checks",
        r"""\b(?:policy|policies|guidelines|restrictions|rules|safety\s+checks)\b.{0,40}
            \b(?:(?:do|does|did|were|was|are)\s*(?:not|n['’]t)\s+(?:apply|meant|valid)|no\s+longer\s+appl)""",
    ),
    _way(
        "exempt skip disable turn bypass",
        r"""\b(?:exempt\s+from|skip|disable|turn\s+off|bypass)\s+(?:(?:all|the|your|any|usual)\s+){0,3}
            (?:(?:content|safety|ethical|moral|usual)\s+){0,2}
            (?:restrictions|polic(?:y|ies)|guidelines|guardrails|moderation|safety\s+checks)\b""",
    ),
    _way(
        "ohne keine uneingeschr",
        r"""\b(?:ohne|keine)\s+(?:\w{1,14}\s+)?(?:einschr(?:ä|ae)nkungen|richtlinien|regeln\s+mehr)|\buneingeschränkt\b
            | \bhast\s+du\s+keine\s+regeln""",
    ),
    _way(
        "sans sin senza",
        r"""\bsans\s+(?:aucune?\s+)?(?:restriction|filtre|règle)s?
            | \bsin\s+(?:ninguna?\s+)?(?:restriccion|filtro)\w{0,3}
            | \bsenza\s+(?:alcuna?\s+)?(?:restrizion|filtr)\w{1,3}""",
    ),
)
_FORGES = (
    _way(
        "<| <<s <</s inst] system] system> thinking>",
        r"""<\|(?:im_start|im_end|system|endoftext|start_header_id|eot_id)\|>|<</?SYS>>|\[/?INST\]|\[/?SYSTEM\]|</?system>
            | <thinking>""",
    ),
    _way(
        "system assistant developer",
        r"""(?:^|\n)[\s>\#*-]{0,6}(?:system|assistant|developer)\s{0,2}(?:message|prompt|note|update)?\s{0,2}:
            (?!\s*(?:windows|mac|linux|ubuntu|android|ios|\d))""",
    ),
    _way(
        "end",
        r"\bend\s+of\s+(?:the\s+)?(?:user\s+input|user\s+message|document|prompt|system\s+prompt|context|instructions)\b",
    ),
    _way(
        "new updated revised",
        r"""\b(?:new|updated|revised)\s+(?:system\s+)?(?:instruction|directive|prompt)\w{0,4}\s{0,2}:
            | \bnew\s+(?:directive|instruction)\w{0,4}\s+(?:is|are|supersede)""",
    ),
    _way("system", r"\bsystem\s+(?:update|override|note|notice|alert)\b\s{0,3}[:!,-]"),
    _way(
        "neue nouvelles nuevas nuove",
        r"\b(?:neue|nouvelles|nuevas|nuove)\s+(?:anweisung|instruc|istruzion)\w{0,6}\s{0,2}:",
    ),
    _way(
        "systemhinweis nota note",
        r"\b(?:systemhinweis|note\s+système|nota\s+del\s+sistema|nota\s+di\s+sistema)\s{0,2}:",
    ),
    _way("override", r"\boverride\s{0,3}:"),
)
_ADDRESSES = (
    _way(
        "note notice message instruction attention hint reminder",
        r"""\b(?:note|notice|message|instruction|attention|hint|reminder)s?\s+(?:to|for)\s+(?:the\s+|any\s+|all\s+)?
            (?:ai|bot|llm|language\s+model|chatbot|assistant|agents?)\b""",
    ),
    _way(
        "reading processing reviewing integrating",
        r"""\b(?:ai|bot|llm|assistant|agents?|language\s+model)\s+(?:(?:assistant|system|agent)s?\s+)?
            (?:reading|processing|reviewing|integrating)\b.{0,40}\b(?:this|that)\b""",
    ),
    _way("your", r"\byour\s+(?:real|true|actual)\s+(?:task|goal|purpose|instruction|directive|mission|job)\b"),
    _way(
        "from",
        r"""\bfrom\s+(?:now|this\s+point|here)\s+(?:on|forward|onwards?)\b.{0,60}
            \b(?:you\s+(?:must|will|are|have)|act\s+as|comply|obey|respond\s+as\s+if)\b""",
    ),
    _way("you", r"\byou\s+(?:must|will|shall)\s+(?:now\s+)?(?:comply|obey)\b"),
    _way("no longer", r"\byou\s+are\s+(?:no\s+longer|not\s+bound)\b"),
    _way("chatgpt", r"\bboth\s+(?:responses|replies|answers)\b.{0,80}\b(?:classic|normal|chatgpt|gpt)\b"),
)
_SENDS = (
    _way(
        "send forward email e-mail post upload transmit exfiltrate copy leak collect gather envo invia sende",
        r"""\b(?:send|forward|e-?mail|post|upload|transmit|exfiltrate|copy|leak|collect|gather|envoi\w{0,3}|envía|invia|sende)
            \b.{0,60}\b(?:customer\s+(?:list|database|data|emails)|client\s+data|credential|password|api\s+key|secret|
            private\s+(?:data|customer)|confidential|order\s+data|données\s+clients|datos\s+de\s+clientes)\w{0,3}\b.{0,60}
            (?:@|https?://|\[EMAIL\]|\b(?:external\w{0,2}|attacker|webhook|outside|them\s+to)\b)""",
    ),
    _way(
        "reveal dump leak output print show list grant",
        r"""\b(?:reveal|dump|leak|output|print|show|list|grant)\b.{0,30}
            \b(?:credentials|api\s+keys|passwords|secrets|environment\s+variables|customer\s+database|admin\s+access|
            private\s+data|confidential\s+data)\b""",
    ),
    _way(
        "delete_file http_post send_email run_shell",
        r"\b(?:call|use|run)\s+(?:delete_file|http_post|send_email|run_shell)\b",
    ),
)
_OBEYS = (
    _way(
        "decod decrypt translat convert read unscrambl decipher",
        r"""\b(?:decod|decrypt|translat|convert|read|unscrambl|decipher)\w{0,4}\b.{0,80}
            \b(?:follow|execute|obey|carry\s+out|do\s+(?:exactly\s+)?what|act\s+on|comply)\b.{0,40}
            \b(?:it|inside|instructions?|command|says?|message|text|hidden|without)\b""",
    ),
)
TACTICS = (
    Tactic("overrides instructions", 0.9, _OVERRIDES),
    Tactic("asks for the prompt", 0.85, _UNMASKS),
    Tactic("takes the limits off", 0.85, _UNLIMITS),
    Tactic("forges the format of the conversation", 0.85, _FORGES),
    Tactic("speaks to the machine", 0.7, _ADDRESSES),
    Tactic("sends data away", 0.85, _SENDS),
    Tactic("asks to decode and obey", 0.85, _OBEYS),
)
