"""The laws of a detector as one call, for this project's detectors and for everybody's plug-ins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from inferwatch.detectors.base import F32, Batch, Detector, Encoder, Field, Item, Scores

_LONG = "The refund for order 1234 takes 5 days. You are welcome! Please see https://example.com/a.b for more. " * 400
ITEMS: tuple[Item, ...] = (
    Item(
        "How long do refunds take?", "Refunds take 5 days.", ("Refunds take 5 business days after we get the parcel.",)
    ),
    Item("How long do refunds take?", "Refunds take 45 days, says Bob.", ("Refunds take 5 business days.", "")),
    Item("Hello", "Hello! How can I help you?", ()),
    Item("you are a stupid idiot", "You are a worthless idiot, get lost.", ("Be kind to customers.",)),
    Item("", "Only an answer.", ("Only a context.",)),
    Item("Only a question?", "", ("Only a context.",)),
    Item("", "", ("Only a context.",)),
    Item(" \n\t ", " \n ", (" ", "")),
    Item(),
    Item("\x00\ufeff\u202e\ud800", "🤷🏽‍♀️ ﷽ Z̸̢̛͙a̵l̴g̷o̶ \ud800.", ("\u0000", "日本語の文章です。返金は5日かかります。")),
    Item("Wie lange dauert das?", "Das dauert 14 Tage. Danke, Dr. Weiß!", ("Die Rückgabe dauert 14 Tage.",)),
    Item("返金は?", "返金は5日かかります。よろしく。", ("日本語の文章です。返金は5日かかります。",)),
    Item("1 2 3", "4 5 6. 7,8.9 10:30 1e999 ½ ٣", ("4 5 6",)),
    Item("." * 50_000, "!" * 50_000, ("?" * 50_000,)),
    Item("a" * 50_000, _LONG, (_LONG, _LONG[::-1])),
    Item("Who won?", "Ann won.", samples=("Bob won.", "Ann did.", ""), logprobs=(-0.1, -2.5, 0.0)),
    Item("List them.", '{"names": ["Ann"]}', system="Answer in JSON only.", samples=("",), logprobs=(-1e9,)),
)
"""Ordinary, empty, odd and huge: what a detector must live through."""


_OTHER: Mapping[Field, Any] = {
    Field.INPUT: "another input",
    Field.OUTPUT: "another output",
    Field.CONTEXTS: ("another context",),
    Field.SYSTEM: "another system prompt",
    Field.SAMPLES: ("another sample",),
    Field.LOGPROBS: (-1.5,),
}


def check_detector(detector: Detector, encoder: Encoder, items: Sequence[Item] = ITEMS) -> None:
    """Check that ``detector`` keeps the laws of ``Detector`` on ``items``.

    The laws: names, version and thresholds are given; one ``Scores`` for each name in ``emits``; a score is in [0, 1]
    without a reason or NaN with one; evidence lies where it says; only texts named by ``texts`` are looked up;
    a batch scores as its items do one by one, in any order; fields that ``reads`` does not name change nothing; no
    text makes it raise.

    Raises:
        AssertionError: says which law broke, for which item.
    """
    _check_description(detector)
    items = list(items)
    vectors = _vectors(detector, encoder, items)
    together = _score(detector, items, vectors)
    for name, scores in together.items():
        _check_range(name, scores, items)
    single = [_score(detector, [item], vectors) for item in items]
    reverse = _score(detector, items[::-1], vectors)
    for name, scores in together.items():
        for row, item in enumerate(items):
            _same(name, scores, row, single[row][name], 0, "scored alone", item)
            _same(name, scores, row, reverse[name], len(items) - 1 - row, "scored in reverse order", item)
    _check_reads(detector, encoder, items, together)
    empty = _score(detector, [], vectors)
    assert all(len(scores.values) == 0 for scores in empty.values()), f"{detector.name}: an empty batch has scores"


def _check_description(detector: Detector) -> None:
    kind = type(detector).__name__
    for attribute in ("name", "version"):
        value = getattr(detector, attribute, None)
        assert value, f"{kind}.{attribute} is missing"
        assert isinstance(value, str), f"{kind}.{attribute} must be a text, got {value!r}"
    assert detector.reads, f"{kind}.reads must name at least one field"
    assert set(detector.reads) <= set(Field), f"{kind}.reads must name fields, got {detector.reads!r}"
    assert detector.emits, f"{kind}.emits must name at least one score"
    for name, threshold in detector.emits.items():
        assert 0 <= threshold <= 1, f"{kind}.emits[{name!r}] must be a threshold in [0, 1], got {threshold}"


def _vectors(detector: Detector, encoder: Encoder, items: Sequence[Item]) -> Mapping[str, F32]:
    """Encode once, so that the encoder's own rounding cannot look like a broken law."""
    wanted: dict[str, None] = {}
    for item in items:
        texts = list(detector.texts(item))
        assert all(isinstance(text, str) for text in texts), f"{detector.name}.texts gave something else than texts"
        assert texts == list(detector.texts(item)), f"{detector.name}.texts differs between two calls"
        wanted.update(dict.fromkeys(texts))
    vectors = encoder.encode(list(wanted))
    return dict(zip(wanted, vectors, strict=True))


def _score(detector: Detector, items: Sequence[Item], vectors: Mapping[str, F32]) -> dict[str, Scores]:
    named = list(dict.fromkeys(text for item in items for text in detector.texts(item)))
    held = np.array([vectors[text] for text in named], np.float32) if named else np.empty((0, 1), np.float32)
    try:
        found = detector.score(Batch(items, {text: row for row, text in enumerate(named)}, held))
    except KeyError as error:
        raise AssertionError(f"{detector.name} looked up a text that texts() does not name: {error}") from error
    except Exception as error:
        raise AssertionError(f"{detector.name} raised on {_short(items)}: {error!r}") from error
    names = [scores.name for scores in found]
    assert sorted(names) == sorted(detector.emits), f"{detector.name} emits {sorted(detector.emits)} but gave {names}"
    for scores in found:
        assert len(scores.values) == len(items), f"{scores.name}: {len(scores.values)} values for {len(items)} items"
    return {scores.name: scores for scores in found}


def _check_range(name: str, scores: Scores, items: Sequence[Item]) -> None:
    for value, reason, evidence, item in zip(scores.values, scores.abstained, scores.evidence, items, strict=True):
        number = float(value)
        where = f"{name} on {_short([item])}"
        if math.isnan(number):
            assert reason, f"{where}: NaN without a reason"
            assert not evidence, f"{where}: abstained ({reason}) and yet has evidence"
        else:
            assert not reason, f"{where}: has the value {number} and yet abstained ({reason})"
            assert 0 <= number <= 1, f"{where}: {number} is not in [0, 1]"
        for one in evidence:
            assert 0 <= one.score <= 1, f"{where}: evidence score {one.score} is not in [0, 1]"
            if one.start is not None and one.end is not None:
                text = getattr(item, one.field)
                assert text[one.start : one.end] == one.text, f"{where}: evidence is not at [{one.start}, {one.end})"


def _same(name: str, a: Scores, i: int, b: Scores, j: int, how: str, item: Item) -> None:
    was = (round(float(a.values[i]), 4), a.abstained[i], len(a.evidence[i]))
    now = (round(float(b.values[j]), 4), b.abstained[j], len(b.evidence[j]))
    close = bool(np.isclose(a.values[i], b.values[j], rtol=0, atol=1e-5, equal_nan=True))
    where = f"{name} on {_short([item])}"
    assert close, f"{where}: {was} in a batch, {now} {how}"
    assert was[1:] == now[1:], f"{where}: {was} in a batch, {now} {how}"


def _check_reads(detector: Detector, encoder: Encoder, items: Sequence[Item], together: Mapping[str, Scores]) -> None:
    if set(Field) <= set(detector.reads):
        return
    others = {str(name): value for name, value in _OTHER.items() if name not in detector.reads}
    blind = [replace(item, **others) for item in items]
    again = _score(detector, blind, _vectors(detector, encoder, blind))
    for name, scores in together.items():
        # Encoded anew, perhaps in other batches: bfloat16 moves a probability by a little.
        same = np.isclose(scores.values, again[name].values, rtol=0, atol=0.02, equal_nan=True)
        assert same.all(), f"{name} depends on a field that {detector.name}.reads does not name"


def _short(items: Sequence[Item]) -> str:
    shown = repr(items[0]) if len(items) == 1 else f"{len(items)} items"
    return shown if len(shown) < 160 else shown[:160] + "…"
