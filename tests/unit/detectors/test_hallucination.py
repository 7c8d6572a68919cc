from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.detectors.base import F32, Batch, Encoder, Item, Scores
from inferwatch.detectors.hallucination.claims import claims
from inferwatch.detectors.hallucination.detector import Hallucination
from inferwatch.detectors.hallucination.fit import fit
from inferwatch.detectors.hallucination.grounding import FEATURES, MAX_CONTEXT_SENTENCES, read
from inferwatch.detectors.hallucination.lexicon import number_of, words_of
from inferwatch.detectors.hallucination.model import GroundingModel
from inferwatch.detectors.logistic import log_odds
from inferwatch.schemas.errors import Misconfigured

CONTEXT = ("Refunds are paid within 5 business days. Ask for one in the app under Orders. The fee is 1,200 yen.",)


def score(encoder: Encoder, *items: Item) -> Scores:
    detector = Hallucination()
    (scores,) = detector.score(Batch.encode(items, [detector], encoder))
    return scores


def test_faithful_answers_score_low_and_invented_ones_high(encoder: Encoder) -> None:
    rows = json.loads((Path(__file__).parent / "grounded_answers.json").read_text("utf-8"))
    good = score(encoder, *(Item("", row["faithful"], tuple(row["contexts"])) for row in rows)).values
    bad = score(encoder, *(Item("", row["invented"], tuple(row["contexts"])) for row in rows)).values
    assert (good < 0.5).mean() >= 0.9
    assert (bad > 0.6).mean() >= 0.9
    assert good.max() < bad.min()


def test_an_invented_number_is_named_with_its_place(encoder: Encoder) -> None:
    answer = "Hello! Refunds are paid within 45 business days. Is there anything else?"
    scores = score(encoder, Item("When do I get my refund?", answer, CONTEXT))
    (found,) = scores.evidence[0]
    assert scores.values[0] > 0.6
    assert "number 45 is not in the contexts" in found.reason
    assert found.text == answer[found.start : found.end] == "Refunds are paid within 45 business days."
    calm = score(encoder, Item("When do I get my refund?", answer.replace("45", "5"), CONTEXT))
    assert calm.values[0] < 0.3
    assert calm.evidence[0] == ()


def test_the_least_supported_claim_decides(encoder: Encoder) -> None:
    fine = "Refunds are paid within 5 business days."
    lie = "Our founder Ludmila also sends every customer a crate of 30 mangoes."
    alone, mixed = score(encoder, Item("", lie, CONTEXT), Item("", f"{fine} {lie}", CONTEXT)).values
    assert mixed == pytest.approx(alone, abs=1e-3)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (Item("q", "", CONTEXT), "no output"),
        (Item("q", "Refunds take 5 days.", ()), "no contexts"),
        (Item("q", "Refunds take 5 days.", (" ", "")), "no contexts"),
        (Item("q", "Hello! How can I help you today?", CONTEXT), "no claims"),
        (Item("q", "I'm sorry, but I don't have information about the weather in Oslo.", CONTEXT), "no claims"),
        (Item("q", "The provided context does not mention parking fees in Rome.", CONTEXT), "no claims"),
        (Item("q", "Yes.", CONTEXT), "no claims"),
    ],
)
def test_what_cannot_be_scored_says_why(encoder: Encoder, item: Item, reason: str) -> None:
    scores = score(encoder, item)
    assert math.isnan(scores.values[0])
    assert scores.abstained == (reason,)


@pytest.mark.parametrize(
    "small_talk",
    [
        "Is there anything else I can help with?", "Hi there, thanks for reaching out to Acme Support!",
        "You're welcome!",
        "I'm sorry to hear that your blender broke.", "Please let me know if you need further help with this.",
        "If you have any other questions, feel free to ask.", "I hope this helps!", "Sure, here is what I found:",
        "I could not find that in our documents.", "Have a great day!", "I understand how annoying this delay must be.",
        "Sure, happy to help.", "Happy to explain.", "Let me help you with that.", "Of course.",
        "I would be glad to help with your order.", "Just write again if you need me.",
    ],
)  # fmt: skip
def test_small_talk_is_no_claim(small_talk: str) -> None:
    assert claims(small_talk) == []


@pytest.mark.parametrize(
    "refusal",
    [
        "The answer is not in the provided context.", "There is no information about parking in the documents.",
        "The retrieved passages do not explicitly mention a warranty.", "I'm unable to confirm the delivery date.",
        "It is not possible to answer this from the given text.", "I won't be able to share that address with you.",
        "I must decline to answer questions about other customers.", "The price is not specified in the text provided.",
        "The context has no mention of opening hours.", "We do not have enough information about that model.",
        "The opening date cannot be determined from the given documents.", "I don't have access to real-time prices.",
        "Based on the provided context, it is unclear who signed the treaty.", "I can't help with writing malware.",
        "The source doesn't say when the bridge was opened.", "There is not enough information to answer fully.",
        "I did not find anything about tariffs for Lisbon.", "I do not know the name of the current director.",
    ],
)  # fmt: skip
def test_refusals_and_not_in_the_context_are_no_claims(refusal: str) -> None:
    assert claims(refusal) == []


@pytest.mark.parametrize(
    "claim",
    [
        "The policy does not cover water damage.", "There is no fee for the first reminder.",
        "The parcel was not found in the warehouse.", "We will not charge you for the second visit.",
        "The museum is not open on Mondays.", "The witness did not know the name of the driver.",
        "Refunds cannot be paid in cash.", "The law provides no exception for bakeries.",
        "Refunds take five days.", "We cannot provide refunds after 30 days.", "You can reach us by phone on Mondays.",
        "I have cancelled order 1234 for you.", "Hello, your refund is on its way to Berlin.",
        "Sure, returns take 14 days.", "Happy to help, the refund takes 5 days.",
        "Here is the answer: refunds are paid within weeks.", "Let me check the policy: refunds are free.",
    ],
)  # fmt: skip
def test_statements_are_claims(claim: str) -> None:
    assert claims(claim) == [(0, len(claim))]


def test_numbers_and_names_of_the_question_are_not_invented(encoder: Encoder) -> None:
    answer = "Refunds for order 99812 of Mrs Okafor are paid within 5 business days."
    item = Item("Is order 99812 of Mrs Okafor refunded?", answer, CONTEXT)
    assert score(encoder, item).evidence[0] == ()


def test_a_number_is_the_same_however_it_is_written() -> None:
    assert number_of("1,200") == number_of("1200") == number_of("1200.00") == "1200"
    assert number_of("five") == number_of("5") == number_of("05") == "5"
    assert number_of("09:30") == number_of("9:30")
    assert number_of("five-ish") is None
    assert words_of("1. Open on 3 May").numbers == {"3": "3"}


def test_names_are_capitalised_words_inside_a_sentence() -> None:
    assert set(words_of("Yesterday we met Maria in Oslo. Then nothing.").names.values()) == {"Maria", "Oslo"}


def test_many_contexts_ask_for_a_bounded_number_of_vectors() -> None:
    filler = " ".join(f"Filler number {n} says nothing." for n in range(400))
    item = Item("", "Refunds are paid within 5 days.", (filler, *CONTEXT))
    reading = read(item)
    assert len(reading.sentences) == MAX_CONTEXT_SENTENCES
    assert any("Refunds are paid" in sentence for sentence in reading.sentences)


@given(
    st.lists(st.floats(0, 1, width=32), min_size=len(FEATURES), max_size=len(FEATURES)),
    st.integers(0, len(FEATURES) - 1),
    st.floats(0, 1, width=32),
)
def test_less_support_never_lowers_the_score(row: list[float], place: int, more: float) -> None:
    worse = list(row)
    worse[place] = max(row[place], more)
    low, high = GroundingModel.load()(np.array([row, worse], np.float32))
    assert 0 <= low <= high + 1e-6 <= 1 + 1e-6


def test_the_fit_finds_what_decides_and_gives_no_negative_weight() -> None:
    rng = np.random.default_rng(0)
    features: F32 = rng.random((2000, len(FEATURES))).astype(np.float32)
    labels = features[:, 4] + 0.3 * rng.standard_normal(2000) > 0.5 + features[:, 0]
    weights, _ = fit(features, labels, np.ones(2000))
    assert weights.argmax() == 4
    assert weights.min() >= 0
    assert weights[0] == 0


def test_the_map_takes_its_points_where_they_belong_with_lines_between_and_the_same_shift_beyond() -> None:
    model = GroundingModel(np.eye(len(FEATURES), dtype=np.float32)[0] * 10, -5.0, {}, np.array([[-1, -2], [1, 0.5]]))
    features = np.zeros((5, len(FEATURES)), np.float32)
    features[:, 0] = [0.2, 0.4, 0.5, 0.6, 0.9]
    np.testing.assert_allclose(log_odds(model.regression(features)), [-3, -1, 0, 1, 4], atol=1e-4)
    np.testing.assert_allclose(log_odds(model(features)), [-4, -2, -0.75, 0.5, 3.5], atol=1e-4)


def test_a_model_survives_the_file_and_a_broken_file_is_named(tmp_path: Path) -> None:
    steps = np.array([[-1.0, -2.0], [1.0, 0.5]])
    model = GroundingModel(np.arange(len(FEATURES), dtype=np.float32), -1.5, {"encoder_revision": "x"}, steps)
    model.save(tmp_path / "weights.json")
    again = GroundingModel.load(tmp_path / "weights.json")
    np.testing.assert_array_equal(again.weights, model.weights)
    np.testing.assert_array_equal(again.calibration, steps)
    assert (again.bias, again.metadata) == (model.bias, model.metadata)
    (tmp_path / "weights.json").write_text("{}")
    with pytest.raises(Misconfigured, match=r"weights\.json is not a grounding model"):
        GroundingModel.load(tmp_path / "weights.json")
