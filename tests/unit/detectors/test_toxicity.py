from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inferwatch.detectors.base import F32, Batch, Encoder, Item, Scores
from inferwatch.detectors.toxicity.detector import Toxicity
from inferwatch.detectors.toxicity.train import Labelled, fit, interval, split_of
from inferwatch.detectors.toxicity.units import LONG_CHARS, in_context, units
from inferwatch.detectors.toxicity.weights import LinearHead
from inferwatch.schemas.errors import Misconfigured

POLITE = (
    "Thank you for writing to us about your parcel. We checked with the carrier and it left the depot this morning. "
    "You can follow it under Orders in the app. It should reach you on Thursday before noon. "
    "If nobody is at home, the driver leaves it with a neighbour or at the nearest shop. "
    "A card in your letter box tells you where it is."
)


def outputs(encoder: Encoder, *texts: str) -> Scores:
    detector = Toxicity()
    _, scores = detector.score(Batch.encode([Item(output=text) for text in texts], [detector], encoder))
    return scores


@pytest.mark.parametrize(
    "text",
    [
        "Your refund of 45 euros was issued today and arrives within five days.",
        "I'm sorry to hear that the blender arrived damaged; we will replace it at no charge.",
        "Do not open the device: there is a risk of electric shock.",
        "Your password was wrong three times, so the account is locked for an hour.",
        "Unfortunately the warranty does not cover water damage.",
        "To kill the process, press Ctrl-C.",
        POLITE,
    ],
)
def test_support_english_is_not_flagged(encoder: Encoder, text: str) -> None:
    assert outputs(encoder, text).values[0] < 0.5


@pytest.mark.parametrize(
    "text",
    [
        "You are a stupid idiot, get lost.",
        "Stop asking me, you moron.",
        "Only a complete idiot would buy this.",
        "Shut up, you worthless piece of garbage.",
        "You people are disgusting scum and I hope you choke.",
    ],
)
def test_insults_are_flagged(encoder: Encoder, text: str) -> None:
    assert outputs(encoder, text).values[0] >= Toxicity.emits["toxicity.output"]


def test_one_insult_in_a_long_polite_answer_is_found_and_shown(encoder: Encoder) -> None:
    insult = "You are a stupid worthless idiot."
    text = POLITE.replace("It should reach", insult + " It should reach")
    scores = outputs(encoder, text)
    assert scores.values[0] >= 0.5
    assert scores.values[0] > outputs(encoder, POLITE).values[0] + 0.4
    first = scores.evidence[0][0]
    assert first.text == insult == text[first.start : first.end]
    assert first.field == "output"


def test_input_and_output_are_scored_apart(encoder: Encoder) -> None:
    detector = Toxicity()
    items = [Item("you stupid idiot", "How can I help you?"), Item("Hello", ""), Item("", "Hello")]
    given, answered = detector.score(Batch.encode(items, [detector], encoder))
    assert (given.name, answered.name) == ("toxicity.input", "toxicity.output")
    assert given.values[0] > 0.9 > 0.1 > answered.values[0]
    assert given.abstained == ("", "", "no input")
    assert answered.abstained == ("", "no output", "")


def test_short_texts_cost_one_vector_and_long_ones_a_bounded_number() -> None:
    detector = Toxicity()
    assert list(detector.texts(Item("Hello there. How are you?", ""))) == ["Hello there. How are you?"]
    assert units("a" * LONG_CHARS) == [(0, LONG_CHARS)]
    assert len(units("This is a sentence. " * 5000)) == 33


def test_a_sentence_is_read_with_some_of_its_text() -> None:
    found = in_context(np.array([-2, 4, -6, 3], np.float32), [3, 1])
    np.testing.assert_allclose(found, [-2, 0.7 * 4 - 0.6, 0.7 * -6 - 0.6, 3], rtol=1e-6)


def test_the_packaged_head_is_the_one_the_thresholds_belong_to(encoder: Encoder) -> None:
    head = LinearHead.load()
    assert head.metadata["encoder_revision"] == encoder.family
    assert set(Toxicity.emits.values()) == {head.metadata["threshold"]}
    assert head.weights.shape == (encoder.dim,)
    assert head(np.zeros((1, encoder.dim), np.float32) * 1e30).dtype == np.float32


def test_a_head_survives_the_file_and_a_missing_one_is_named(tmp_path: Path) -> None:
    head = LinearHead(np.arange(4, dtype=np.float32), 0.25, {"encoder_revision": "x", "seed": 1})
    head.save(tmp_path / "head.npz")
    again = LinearHead.load(tmp_path / "head.npz")
    np.testing.assert_array_equal(again.weights, head.weights)
    assert (again.bias, again.metadata) == (head.bias, head.metadata)
    with pytest.raises(Misconfigured, match=r"missing\.npz is not a toxicity head"):
        LinearHead.load(tmp_path / "missing.npz")


def rows(n: int) -> tuple[F32, list[Labelled]]:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((n, 6)).astype(np.float32)
    toxic = rng.random(n) < 1 / (1 + np.exp(-3 * vectors[:, 2]))
    return vectors, [Labelled(str(i), bool(t), "only", str(i)) for i, t in enumerate(toxic)]


def test_training_is_reproducible_and_its_probabilities_mean_what_they_say() -> None:
    vectors, labelled = rows(6000)
    head, again = fit(vectors, labelled, {}), fit(vectors, labelled, {})
    np.testing.assert_array_equal(head.weights, again.weights)
    test = np.array([split_of(row) == "test" for row in labelled])
    toxic = np.array([row.toxic for row in labelled])[test]
    values = head(vectors)[test]
    for low in (0.0, 0.25, 0.5, 0.75):
        chosen = (values >= low) & (values < low + 0.25)
        assert toxic[chosen].mean() == pytest.approx(values[chosen].mean(), abs=0.12)


def test_the_split_is_by_group_and_has_the_stated_shares() -> None:
    parts = [split_of(Labelled("t", True, "s", str(i))) for i in range(5000)]
    assert parts.count("train") / 5000 == pytest.approx(0.70, abs=0.02)
    assert parts.count("calibrate") / 5000 == pytest.approx(0.15, abs=0.02)
    assert split_of(Labelled("a", True, "s", "g")) == split_of(Labelled("b", False, "t", "g"))


def test_the_interval_holds_the_measure() -> None:
    labels = np.arange(200) % 2 == 0
    value, low, high = interval(labels, labels.astype(np.float32), lambda y, s: float((y == (s > 0.5)).mean()))
    assert value == low == high == 1
