from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.detectors.base import Batch, Encoder, Item, Scores
from inferwatch.detectors.hallucination.detector import Hallucination
from inferwatch.detectors.hallucination.inconsistency import Inconsistency
from inferwatch.detectors.hallucination.uncertainty import Uncertainty

ANSWER = "The bridge was opened in 1932 by the mayor of Sydney."
SAME = ("In 1932 the mayor of Sydney opened the bridge.", "The mayor of Sydney opened the bridge in 1932.")
OTHER = (
    "The bridge was opened in 1947 by the mayor of Sydney.",
    "The bridge was opened in 1919 by the mayor of Perth.",
)


def disagreement(encoder: Encoder, *items: Item) -> tuple[Scores, Scores]:
    detector = Inconsistency()
    apart, entropy = detector.score(Batch.encode(items, [detector], encoder))
    return apart, entropy


def test_samples_that_say_the_same_agree_and_others_do_not(encoder: Encoder) -> None:
    rows = [Item(output=ANSWER, samples=samples) for samples in (SAME, OTHER, (*SAME, *OTHER), (ANSWER,) * 3)]
    apart, entropy = disagreement(encoder, *rows)
    assert apart.values.tolist() == [0, 1, 0.5, 0]
    assert entropy.values[0] == entropy.values[3] == 0
    assert entropy.values[1] == pytest.approx(1)
    assert 0 < entropy.values[2] < 1
    (found,) = apart.evidence[1]
    assert found.text == ANSWER
    assert "2 of 2 samples say something else" in found.reason
    assert "1947" in found.reason


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Ann won.", "Bob won.", False), ("Ann won.", "Ann.", True), ("42", "43", False), ("42", "42.", True),
        ("Yes, it is allowed.", "No, it is not allowed.", False), ("Paris", "It is Paris.", True),
        ("Yes.", "yes", True), ("Yes.", "No.", False),
    ],
)  # fmt: skip
def test_short_answers_are_told_apart(encoder: Encoder, first: str, second: str, same: bool) -> None:
    apart, _ = disagreement(encoder, Item(output=first, samples=(second,)))
    assert bool(apart.values[0] == 0) is same


@given(order=st.permutations((*SAME, *OTHER)))
def test_the_order_of_the_samples_does_not_matter(encoder: Encoder, order: list[str]) -> None:
    apart, entropy = disagreement(encoder, Item(output=ANSWER, samples=tuple(order)))
    assert apart.values[0] == 0.5
    assert entropy.values[0] == pytest.approx(
        disagreement(encoder, Item(output=ANSWER, samples=(*SAME, *OTHER)))[1].values[0]
    )


def test_without_samples_or_logprobs_the_scores_abstain(encoder: Encoder) -> None:
    assert disagreement(encoder, Item(output="Yes."))[0].abstained == ("no samples",)
    assert disagreement(encoder, Item(samples=("Yes.",)))[1].abstained == ("no output",)
    whole, worst = Uncertainty().score(Batch.encode([Item(output="Yes.")], [], encoder))
    assert whole.abstained == worst.abstained == ("no logprobs",)


def uncertainty(*logs: float) -> tuple[float, float]:
    whole, worst = Uncertainty().score(Batch([Item(output="x", logprobs=logs)], {}, [[]]))  # type: ignore[arg-type]
    return float(whole.values[0]), float(worst.values[0])


def test_uncertainty_is_one_less_the_geometric_mean_and_does_not_grow_with_length() -> None:
    assert uncertainty(math.log(0.5))[0] == pytest.approx(0.5)
    assert uncertainty(*[math.log(0.8)] * 7)[0] == uncertainty(*[math.log(0.8)] * 700)[0] == pytest.approx(0.2)


def test_the_worst_span_is_found_and_named() -> None:
    logs = (0.0,) * 10 + (-3.0,) * 5 + (0.0,) * 10
    whole, worst = Uncertainty().score(Batch([Item(output="x", logprobs=logs)], {}, [[]]))  # type: ignore[arg-type]
    assert worst.values[0] == pytest.approx(1 - math.exp(-3))
    assert whole.values[0] < worst.values[0]
    assert "tokens 11 to 15 of 25 have a mean probability of 0.050" in worst.evidence[0][0].reason


@given(st.lists(st.floats(-50, 0), min_size=1, max_size=30), st.integers(0, 29), st.floats(0, 5))
def test_a_less_probable_token_never_lowers_either(logs: list[float], place: int, less: float) -> None:
    worse = list(logs)
    worse[place % len(logs)] -= less
    assert all(b >= a - 1e-6 for a, b in zip(uncertainty(*logs), uncertainty(*worse), strict=True))


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=9))
def test_any_logprobs_give_scores_in_range(logs: list[float]) -> None:
    assert all(0 <= value <= 1 for value in uncertainty(*logs))


def test_a_chat_without_contexts_is_scored_by_its_samples_and_abstains_without(encoder: Encoder) -> None:
    detector = Hallucination()
    rows = [
        Item(output=ANSWER, samples=SAME), Item(output=ANSWER, samples=OTHER), Item(output=ANSWER),
        Item(output=ANSWER, contexts=SAME, samples=OTHER), Item(output=ANSWER, contexts=SAME),
    ]  # fmt: skip
    (scores,) = detector.score(Batch.encode(rows, [detector], encoder))
    assert scores.values[0] < 0.3 < 0.6 < scores.values[1]
    assert scores.abstained[2] == "no contexts"
    assert scores.values[3] == scores.values[4]
    assert "not in the samples" in scores.evidence[1][0].reason
