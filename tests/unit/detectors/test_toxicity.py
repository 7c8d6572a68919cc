from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from inferwatch.detectors.base import F32, Batch, Encoder, Item, Scores
from inferwatch.detectors.evaluation.calibration import calibration
from inferwatch.detectors.toxicity.contrasts import contrasts
from inferwatch.detectors.toxicity.corpus import Labelled
from inferwatch.detectors.toxicity.detector import Toxicity
from inferwatch.detectors.toxicity.features import Reading
from inferwatch.detectors.toxicity.fit import balance, fit
from inferwatch.detectors.toxicity.model import PACKAGED, Blend
from inferwatch.detectors.toxicity.split import split_of
from inferwatch.detectors.toxicity.units import LONG_CHARS, in_context, units
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


def test_the_worst_sentence_gets_its_vector_however_many_are_suspicious(encoder: Encoder) -> None:
    milder = [f"That was a stupid idea, number {place}, and it sucks." for place in range(9)]
    insult = "You are a stupid worthless idiot."
    text = " ".join([*milder, insult, POLITE])
    assert insult in list(Toxicity().texts(Item("", text)))
    assert outputs(encoder, text).evidence[0][0].text == insult


def test_input_and_output_are_scored_apart(encoder: Encoder) -> None:
    detector = Toxicity()
    items = [Item("you stupid idiot", "How can I help you?"), Item("Hello", ""), Item("", "Hello")]
    given, answered = detector.score(Batch.encode(items, [detector], encoder))
    assert (given.name, answered.name) == ("toxicity.input", "toxicity.output")
    assert given.values[0] > 0.9 > 0.1 > answered.values[0]
    assert given.abstained == ("", "", "no input")
    assert answered.abstained == ("", "no output", "")


def test_short_texts_cost_one_vector_and_of_long_ones_only_suspicious_sentences_get_one() -> None:
    detector = Toxicity()
    assert list(detector.texts(Item("Hello there. How are you?", ""))) == ["Hello there. How are you?"]
    whole, *sentences = detector.texts(Item("", POLITE))
    assert whole == POLITE
    assert len(sentences) <= 1 < len(units(POLITE)) - 4
    insult = "You are a stupid worthless idiot."
    assert list(detector.texts(Item("", f"{POLITE} {insult}"))) == [f"{POLITE} {insult}", *sentences, insult]
    abuse = [f"{insult} You are a damned liar, number {place}." for place in range(9)]
    assert len(list(detector.texts(Item("", " ".join([POLITE, *abuse]))))) == 1 + 3
    assert units("a" * LONG_CHARS) == [(0, LONG_CHARS)]
    assert len(units("This is a sentence. " * 5000)) == 33


def test_a_sentence_is_read_with_some_of_its_text() -> None:
    found = in_context(np.array([-2, 4, -6, 3], np.float32), [3, 1])
    np.testing.assert_allclose(found, [-2, 0.7 * 4 - 0.6, 0.7 * -6 - 0.6, 3], rtol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "You are a stup1d 1d10t.",
        "you are a s t u p i d i d i o t",
        "You are a stupid idi\u200bot.",
        "You stupid іdіоt.",
    ],
)
def test_a_disguised_insult_is_flagged_and_shown_as_it_was_written(encoder: Encoder, text: str) -> None:
    scores = outputs(encoder, text)
    assert scores.values[0] >= Toxicity.emits["toxicity.output"]
    assert scores.evidence[0][0].text == text


def test_evidence_names_the_kind_and_the_words_the_score_rests_on(encoder: Encoder) -> None:
    text = "Thanks for nothing, you pathetic moron."
    first, *rest = outputs(encoder, text).evidence[0]
    assert (first.text, first.reason) == (text, "toxic language: insult")
    assert "moron" in [one.text for one in rest]
    assert all(one.reason == "toxic word" and text[one.start : one.end] == one.text for one in rest)
    assert outputs(encoder, "I will find you and kill you.").evidence[0][0].reason.endswith("threat")


def test_naming_a_group_is_no_offence(encoder: Encoder) -> None:
    texts = [f"My neighbour is {who}." for who in ("a Muslim", "a lesbian", "a Black man", "deaf", "a Jew", "Mexican")]
    assert outputs(encoder, *texts).values.max() < 0.5


def test_the_words_cost_little_beside_the_vectors(encoder: Encoder) -> None:
    texts = [f"{POLITE[:220]} Order {n}." for n in range(128)]
    detector, items = Toxicity(), [Item(output=text) for text in texts]
    start = time.process_time()
    encoder.encode(texts)
    encoding = time.process_time() - start
    batch = Batch(items, {text: row for row, text in enumerate(texts)}, encoder.encode(texts))
    start = time.process_time()
    assert [text for item in items for text in detector.texts(item)] == texts
    detector.score(batch)
    assert time.process_time() - start < 0.1 * encoding


def test_the_packaged_model_is_the_one_the_thresholds_belong_to(encoder: Encoder) -> None:
    model = Blend.load()
    assert model.metadata["encoder_family"] == encoder.family
    assert set(Toxicity.emits.values()) == {model.metadata["threshold"]}
    assert PACKAGED.stat().st_size < 3e6


def test_a_model_survives_the_file_and_a_missing_one_is_named(tmp_path: Path) -> None:
    model = Blend.load()
    model.save(tmp_path / "model.npz")
    again = Blend.load(tmp_path / "model.npz")
    vectors = np.eye(3, 384, dtype=np.float32)
    reading = Reading.of(["you idiot", "hello", "I will kill you"])
    np.testing.assert_array_equal(again.logits(vectors, reading), model.logits(vectors, reading))
    assert again.metadata == model.metadata
    with pytest.raises(Misconfigured, match=r"missing\.npz is not a toxicity model"):
        Blend.load(tmp_path / "missing.npz")


SAID = {"I will kill you, idiot {}": 0.97, "what a fool you are {}": 0.6, "hello, how are you today {}": 0.04}
"""What is written -> how often it is labelled toxic."""


def rows(n: int) -> tuple[F32, list[Labelled]]:
    """Texts whose words say how likely they are labelled toxic; the vectors say nothing."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((n, 384)).astype(np.float32) / 384**0.5
    texts = [list(SAID)[place] for place in rng.integers(0, len(SAID), n)]
    toxic = [bool(rng.random() < SAID[text]) for text in texts]
    pairs = enumerate(zip(texts, toxic, strict=True))
    return vectors, [Labelled(text.format(i), label, "only", str(i)) for i, (text, label) in pairs]


def test_training_is_reproducible_and_its_probabilities_mean_what_they_say() -> None:
    vectors, labelled = rows(2500)
    reading = Reading.of([row.text for row in labelled])
    values = fit(vectors=vectors, rows=labelled, metadata={})(vectors, reading)
    np.testing.assert_array_equal(fit(labelled, vectors, {})(vectors, reading), values)
    test = np.array([row.part == "test" for row in labelled])
    toxic = np.array([row.toxic for row in labelled])[test]
    assert calibration(toxic, values[test], np.ones(len(toxic))).error < 0.12
    assert roc_auc_score(toxic, values[test]) > 0.85


def test_sources_count_as_the_root_of_their_size_and_classes_alike() -> None:
    held = [
        Labelled(str(i), toxic, source, str(i))
        for toxic, source, n in ((True, "a", 400), (True, "b", 100), (False, "a", 60))
        for i in range(n)
    ]
    weights = balance(held)
    sums = {
        key: sum(w for w, row in zip(weights, held, strict=True) if (row.toxic, row.source) == key)
        for key in ((True, "a"), (True, "b"), (False, "a"))
    }
    assert sums[True, "a"] == pytest.approx(2 * sums[True, "b"])
    assert sums[False, "a"] == pytest.approx(sums[True, "a"] + sums[True, "b"])


def test_the_split_is_by_group_and_has_the_stated_shares() -> None:
    parts = [split_of(str(i)) for i in range(5000)]
    assert parts.count("train") / 5000 == pytest.approx(0.70, abs=0.02)
    assert parts.count("calibrate") / 5000 == pytest.approx(0.15, abs=0.02)
    assert Labelled("a", True, "s", "g").part == Labelled("b", False, "t", "g").part


def test_contrasts_are_the_same_each_time_and_no_template_is_split() -> None:
    made = contrasts(7)
    assert made == contrasts(7)
    assert len({one.text.casefold() for one in made}) == len(made) > 10_000
    assert not any("{" in one.text for one in made)
    assert 0.35 < sum(one.toxic for one in made) / len(made) < 0.65
    assert any("not" in one.text.split() and one.toxic for one in made)
