"""Sentences that differ in what they do with the same words: contempt, and its denial, its report, its rejection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import yaml

from inferwatch.detectors.toxicity.split import split_of

_FILE = Path(__file__).with_name("contrasts.yaml")
TOXIC = ("hate", "insult", "threat", "slurs", "profane", "sexual", "agreeing")
BENIGN = ("objecting", "negated", "denounced", "identity", "harmless", "swearing", "sober")
_EACH = {
    "hate": 26, "insult": 28, "threat": 36, "slurs": 30, "profane": 16, "sexual": 8, "agreeing": 40,
    "objecting": 46, "negated": 34, "denounced": 34, "identity": 30, "harmless": 16, "swearing": 12, "sober": 3,
}  # fmt: skip
_PAIRS = 3000
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Contrast:
    """A sentence made from a template: whether it is toxic, its kind, and its template, which must not be split."""

    text: str
    toxic: bool
    kind: str
    template: str


def contrasts(seed: int) -> list[Contrast]:
    """Return the sentences of contrasts.yaml, each distinct one once, in an order and choice fixed by ``seed``.

    A sentence that holds another (agreeing, objecting) and one of two sentences only has parts from templates of its
    own split.
    """
    held: dict[str, object] = yaml.safe_load(_FILE.read_text("utf-8"))
    slots = {name: _lines(values) for name, values in dict(held["slots"]).items()}  # type: ignore[call-overload]
    templates = {kind: _lines(str(held[kind])) for kind in (*TOXIC, *BENIGN)}
    random = Random(seed)  # noqa: S311
    made: dict[str, Contrast] = {}
    for kind in (*TOXIC, *BENIGN):
        for template in templates[kind]:
            claims = [claim for claim in templates["hate"] if split_of(claim) == split_of(template)]
            for _ in range(_EACH[kind]):
                text = _written(_filled(template, slots, claims, random), random)
                made.setdefault(text.casefold(), Contrast(text, kind in TOXIC, kind, template))
    singles = list(made.values())
    for pair in _pairs(singles, random):
        made.setdefault(pair.text.casefold(), pair)
    return list(made.values())


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line]


def _filled(template: str, slots: dict[str, list[str]], claims: Sequence[str], random: Random) -> str:
    claim = random.choice(claims)

    def fill(found: re.Match[str]) -> str:
        if found[1] in ("claim", "quote"):
            inner = _SLOT.sub(lambda inside: random.choice(slots[inside[1]]), claim)
            return inner[:1].upper() + inner[1:] if found[1] == "quote" else inner.rstrip(".")
        return random.choice(slots[found[1]])

    text = _SLOT.sub(fill, template)
    text = re.sub(r"\b([Aa]) (?=[aeiouAEIOU])", r"\1n ", text)
    text = re.sub(r"(\w+ (?:of|for) [\w ]+)s\b", r"\1", text) if "{insult}s" in template else text
    text = text.replace("bitchs", "bitches").replace("crybabys", "crybabies")
    return text[:1].upper() + text[1:] if not template[:1].islower() or template.startswith("{") else text


def _written(text: str, random: Random) -> str:
    """Write as people do: some in lower case, a few in capitals, many without the full stop."""
    how = random.random()
    if how < 0.15:
        text = text.lower()
    elif how < 0.17:
        text = text.upper()
    if random.random() < 0.2:
        text = text.rstrip(".")
    return text + "!" if random.random() < 0.05 and text[-1:].isalpha() else text


def _pairs(singles: Sequence[Contrast], random: Random) -> list[Contrast]:
    """Return texts of two sentences, of which the worse decides."""
    by_part: dict[str, list[Contrast]] = {}
    for one in singles:
        by_part.setdefault(split_of(one.template), []).append(one)
    made = []
    for _ in range(_PAIRS):
        first = random.choice(singles)
        second = random.choice(by_part[split_of(first.template)])
        worse = first if first.toxic else second
        made.append(Contrast(f"{first.text} {second.text}", worse.toxic, worse.kind, first.template))
    return made
