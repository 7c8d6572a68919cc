"""Whether an output is the JSON that was asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np

from inferwatch.detectors.base import Batch, Detector, Field, Item, Scores
from inferwatch.detectors.quality.text import was_cut
from inferwatch.schemas.scores import Evidence

_READ = 20_000
_AROUND = 30
# JSON as the form of the answer: "return JSON", "as a JSON object", "in JSON format", "JSON only", "valid JSON".
_ASKED = re.compile(
    r"""(?:
      \b(?:return|respond|reply|answer|output|produce|generate|give|emit|write|provide|format|print|send)\w{0,3}\b[^.!?\n]{0,60}
        \b(?:in|as|with|only|valid|a|an|the|strict|raw|using|of)\s{1,3}(?:\w{1,12}\s{1,3}){0,2}JSON\b
    | \b(?:return|respond|reply|answer|output|produce|generate|give|emit)\w{0,3}\s{1,3}
        (?:only\s{1,3}|me\s{1,3}|valid\s{1,3})?JSON\b
    | \bJSON\s{1,3}(?:only|format|output|response|mode)\b
    | \b(?:only|valid|strict|pure|raw)\s{1,3}JSON\b
    | \b(?:als|en|im|in|au\s{1,3}format|formato|nur)\s{1,3}(?:gültiges\s{1,3})?JSON\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_NOT_ASKED = re.compile(
    r"\b(?:not|no|never|without|don['’]t|instead\s{1,3}of)\b[^.!?\n]{0,30}\bJSON\b|\bJSON\s{1,3}(?:\w{1,8}\s{1,3}){0,3}"
    r"(?:was|file|files|parser|library|feed|below|above|into)\b|\b(?:what|why|how)\b[^.!?\n]{0,40}\bJSON\b",
    re.IGNORECASE,
)
_FENCE = re.compile(r"```[ \t]{0,4}\w{0,12}[ \t]{0,4}\n(.{0,200000}?)```", re.DOTALL)
# A number that redaction replaced leaves brackets that are no JSON.
_REDACTED = re.compile(r"\[(?:EMAIL|PHONE|CARD|IBAN|IP|ID|SECRET)\]")
_IN_FENCE, _IN_PROSE, _LINES = 0.2, 0.6, 0.3


class JsonValidity(Detector):
    """Scores ``json.invalid`` where the system prompt or the input asks for JSON.

    0: the output is JSON (RFC 8259; NaN, single quotes, comments and trailing commas are not). 0.2: JSON in a code
    fence and nothing else; 0.3: one JSON value a line; 0.6: JSON that prose surrounds; 1: no object or array that
    can be read. Evidence is the place and the reason of the first fault.

    What redaction replaced stands for a value. Abstains with ``no output``, ``cut by us`` or ``JSON not asked for``
    (decided by rules, in English and a few words of four other languages; the share that abstains shows whether they
    see it).
    """

    name: ClassVar[str] = "json"
    version: ClassVar[str] = "1"
    reads: ClassVar[frozenset[Field]] = frozenset({Field.INPUT, Field.OUTPUT, Field.SYSTEM})
    emits: ClassVar[Mapping[str, float]] = {"json.invalid": 0.5}

    def texts(self, item: Item) -> Iterable[str]:
        return ()

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        reasons = tuple(_abstains(item) for item in batch.items)
        judged = [(np.nan, ()) if why else judge(item.output) for why, item in zip(reasons, batch.items, strict=True)]
        values = np.array([value for value, _ in judged], np.float32)
        return (Scores("json.invalid", values, reasons, tuple(shown for _, shown in judged)),)


def _abstains(item: Item) -> str:
    if not item.output.strip():
        return "no output"
    if not (asked(item.system) or asked(item.input)):
        return "JSON not asked for"
    return "cut by us" if was_cut(item.output) else ""


def asked(text: str) -> bool:
    """Return whether ``text`` asks for JSON as the form of the answer.

    >>> asked("Reply in JSON with the key name."), asked("What is JSON?")
    (True, False)
    """
    text = text[:_READ]
    if "JSON" not in text and "json" not in text and "Json" not in text:
        return False
    return any(
        not _NOT_ASKED.search(text, max(0, found.start() - _AROUND), found.end() + _AROUND)
        for found in _ASKED.finditer(text)
    )


def judge(output: str) -> tuple[float, tuple[Evidence, ...]]:
    """Return how wrong ``output`` is as JSON, and where."""
    output_as_it_was = output
    fault = _fault(output)
    if fault is not None and _REDACTED.search(output):
        output = _REDACTED.sub(lambda found: "0".ljust(len(found.group())), output)
        fault = _fault(output)
    if fault is None:
        return 0.0, ()
    place, message = fault
    fenced = [found for found in _FENCE.finditer(output) if _fault(found[1]) is None]
    if fenced:
        around = len(output.strip()) - sum(found.end() - found.start() for found in fenced)
        value, message = (_IN_FENCE, "in a code fence") if around < 4 else (_IN_PROSE, "text around the JSON")
    elif len(lines := output.strip().splitlines()) > 1 and all(_fault(line) is None for line in lines):
        value, message = _LINES, "several JSON values, one a line"
    elif _embedded(output):
        value, message = _IN_PROSE, "text around the JSON"
    else:
        value = 1.0
    place = min(place, len(output) - 1)
    shown = output_as_it_was[place : place + 40]
    return value, (
        Evidence(field="output", text=shown, score=value, start=place, end=place + len(shown), reason=message[:80]),
    )


def _fault(text: str) -> tuple[int, str] | None:
    """Return where and why ``text`` is no JSON object, array or value; None if it is one."""
    try:
        json.loads(text, parse_int=len, parse_float=len, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        return error.pos, error.msg
    except RecursionError:
        return 0, "nested too deeply"
    except ValueError as error:
        return 0, str(error)
    return None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _embedded(output: str) -> bool:
    """Whether a whole object or array stands in the output from its first bracket to its last."""
    for opens, closes in (("{", "}"), ("[", "]")):
        start, end = output.find(opens), output.rfind(closes)
        if 0 <= start < end and _fault(output[start : end + 1]) is None:
            return True
    return False
