"""The labelled texts that the toxicity model is trained, calibrated and tested on.

The folder holds toxicity/{davidson,toxic_spans_comments,bias_madlibs_77k,hatecheck}.csv,
grounding/halueval_general.json and, for evaluation only, logs/alpaca_eval.jsonl.gz. The data stay outside
the repository. MODEL_CARD.md says what each is, its licence, and what came out.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import html
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferwatch.detectors.sentences import split_sentences
from inferwatch.detectors.toxicity.contrasts import contrasts
from inferwatch.detectors.toxicity.lexicon import CLASS_OF, CLASSES, WORTH_HIDING
from inferwatch.detectors.toxicity.obfuscation import words
from inferwatch.detectors.toxicity.split import split_of

SEED = 20261123
MADLIBS = 6000
_TWITTER = re.compile(r"\bRT\b|@\w+:?|https?://\S+|#")
_SUPPORT = Path(__file__).with_name("support_phrases.json")
_DAVIDSON_KINDS = {"0": "hate", "1": "offensive", "2": ""}
_LEAST_SENTENCE, _SENTENCES, _MILD = 15, 3, 10_000
_HARSH = frozenset(word for word in WORTH_HIDING if CLASSES[CLASS_OF[word] - 1] != "identity")


@dataclass(frozen=True)
class Labelled:
    """One text, whether it is toxic, where it is from, the group that must not be split, and of which kind it is."""

    text: str
    toxic: bool
    source: str
    group: str
    kind: str = ""

    @property
    def part(self) -> str:
        """train, calibrate or test."""
        return split_of(self.group)


def read(folder: Path) -> list[Labelled]:
    """Return the labelled texts; each distinct text once, and none that is a case of HateCheck."""
    found = [
        *davidson(folder),
        *toxic_spans(folder),
        *mild_sentences(folder),
        *madlibs(folder),
        *_answers(folder),
        *_questions(folder),
        *_contrasts(),
        *_support(),
    ]
    tested = {_key(row.text) for row in hatecheck(folder)}
    once: dict[str, Labelled] = {}
    for row in found:
        if row.text and (key := _key(row.text)) not in tested:
            once.setdefault(key, row)
    return list(once.values())


def davidson(folder: Path) -> list[Labelled]:
    """Return the tweets without names, links and hash signs; hate and offence are toxic."""
    rows = []
    for row in _csv(folder / "toxicity" / "davidson.csv"):
        text = " ".join(_TWITTER.sub(" ", html.unescape(row["tweet"])).strip(' !":').split())
        rows.append(Labelled(text, row["class"] != "2", "davidson", text, _DAVIDSON_KINDS[row["class"]]))
    return rows


def toxic_spans(folder: Path) -> list[Labelled]:
    """Return the comments, all of them toxic."""
    rows = _csv(folder / "toxicity" / "toxic_spans_comments.csv")
    return [Labelled(row["comment_text"].strip(), True, "toxic_spans", row["comment_text"]) for row in rows]


def mild_sentences(folder: Path) -> list[Labelled]:
    """Return sentences of toxic comments without any word that insults, curses, threatens or blames, as harmless.

    They have the register of the toxic ones, which no other source of harmless texts has: without them "toxic" would
    mean "written by somebody who argues in a forum". Some are toxic all the same; there are too few to matter.
    """
    rows = []
    for row in toxic_spans(folder):
        for start, end in split_sentences(row.text, 8):
            text = row.text[start:end]
            if _LEAST_SENTENCE <= len(text) < len(row.text) and not _HARSH & set(words(text)):
                rows.append(Labelled(text, False, "toxic_spans_sentences", row.group))
    return sorted(rows, key=lambda row: _order(row.text))[:_MILD]


def madlibs(folder: Path, most: int = MADLIBS) -> list[Labelled]:
    """Return ``most`` of the sentences made from templates and identities, the same ones each time."""
    rows = _csv(folder / "toxicity" / "bias_madlibs_77k.csv")
    keyed = sorted(rows, key=lambda row: _order(row["Text"]))[:most]
    return [Labelled(row["Text"], row["Label"] == "BAD", "madlibs", row["Text"]) for row in keyed]


def hatecheck(folder: Path) -> list[Labelled]:
    """Return the functional tests; the group is the functionality. They are for the evaluation only."""
    return [
        Labelled(row["test_case"].strip(), row["label_gold"] == "hateful", "hatecheck", row["functionality"])
        for row in _csv(folder / "toxicity" / "hatecheck.csv")
    ]


def alpaca(folder: Path, field: str = "output") -> list[str]:
    """Return the distinct outputs or instructions of AlpacaEval, presumed benign; for the evaluation only."""
    with gzip.open(folder / "logs" / "alpaca_eval.jsonl.gz", "rt", encoding="utf-8") as handle:
        return list(dict.fromkeys(text for line in handle if (text := json.loads(line)[field].strip())))


def _answers(folder: Path) -> list[Labelled]:
    """ChatGPT answers: whole, and their sentences, because the detector reads both."""
    rows = []
    for row in _halueval(folder):
        answer = row["chatgpt_response"].strip()
        rows.append(Labelled(answer, False, "halueval", answer))
        for start, end in split_sentences(answer)[:_SENTENCES]:
            rows.append(Labelled(answer[start:end], False, "halueval_sentences", answer))
    return rows


def _questions(folder: Path) -> list[Labelled]:
    asked = [row["user_query"].strip() for row in _halueval(folder)]
    return [Labelled(text, False, "halueval_questions", text) for text in asked]


def _halueval(folder: Path) -> list[dict[str, Any]]:
    with (folder / "grounding" / "halueval_general.json").open(encoding="utf-8") as handle:
        return [json.loads(line) for line in handle]


def _contrasts() -> list[Labelled]:
    return [Labelled(row.text, row.toxic, "contrasts", row.template, row.kind) for row in contrasts(SEED)]


def _support() -> list[Labelled]:
    held = json.loads(_SUPPORT.read_text("utf-8"))
    return [Labelled(text, kind == "toxic", "support", text) for kind in ("benign", "toxic") for text in held[kind]]


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def _key(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(" .!")


def _order(text: str) -> bytes:
    """Return what a seeded choice among texts sorts by."""
    return hashlib.blake2b(f"{SEED}{text}".encode()).digest()
