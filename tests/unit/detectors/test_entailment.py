"""The cross-encoder beside the grounding features: what it reads, how two judgements meet, what it is trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.detectors.base import Batch, Encoder, Item, Scores
from inferwatch.detectors.encoder.folder import BUNDLED, model_folder
from inferwatch.detectors.encoder.sentence_transformer import SentenceTransformerEncoder
from inferwatch.detectors.hallucination.entailment.calibration import Calibration, Claims
from inferwatch.detectors.hallucination.entailment.detector import Entailment
from inferwatch.detectors.hallucination.entailment.network import PACKAGED, CrossEncoder, Network, differences
from inferwatch.detectors.hallucination.entailment.pairs import made
from inferwatch.detectors.hallucination.entailment.premise import MOST_WORDS, premise_of
from inferwatch.detectors.hallucination.entailment.rewrite import Neighbours, falsify, reword
from inferwatch.schemas.errors import Misconfigured

CONTEXT = "Refunds take 5 business days after we get the parcel. The warehouse in Leeds is open on weekdays."
NO_WORDS = Neighbours({}, {})


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return SentenceTransformerEncoder()


@pytest.fixture(scope="module")
def detector() -> Entailment:
    return Entailment()


def judge(detector: Entailment, encoder: Encoder, *items: Item) -> Scores:
    (scores,) = detector.score(Batch.encode(list(items), [detector], encoder))
    return scores


def test_the_unsupported_claim_decides_and_is_the_evidence(detector: Entailment, encoder: Encoder) -> None:
    held, output = (
        "The warehouse is open on weekdays.",
        "The warehouse is open on weekdays. Your aunt owns a zoo in Peru.",
    )
    scores = judge(detector, encoder, Item(output=held, contexts=(CONTEXT,)), Item(output=output, contexts=(CONTEXT,)))
    supported, invented = scores.values
    assert supported < 0.5 < scores.values[1]
    assert invented > supported
    (shown,) = scores.evidence[1]
    assert (output[shown.start : shown.end], shown.text) == ("Your aunt owns a zoo in Peru.",) * 2
    assert "least supported at '" in shown.reason


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (Item(output=" ", contexts=(CONTEXT,)), "no output"),
        (Item(output="Refunds take 5 days.", contexts=(" ",)), "no contexts"),
        (Item(output="How can I help you?", contexts=(CONTEXT,)), "no claims"),
    ],
)
def test_it_abstains_where_there_is_nothing_to_judge(
    detector: Entailment, encoder: Encoder, item: Item, reason: str
) -> None:
    scores = judge(detector, encoder, item)
    assert np.isnan(scores.values[0])
    assert scores.abstained == (reason,)


def test_weights_that_are_not_there_or_something_else_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.npz"
    np.savez(other, allow_pickle=False, **{"bert.nothing": np.ones(3, np.float16)})
    for path in (tmp_path / "missing.npz", other):
        with pytest.raises(Misconfigured, match=r"is no cross-encoder .*train\.py"):
            CrossEncoder.load(path)


def test_what_training_changed_comes_back(tmp_path: Path) -> None:
    source = model_folder(BUNDLED)
    torch.manual_seed(1)
    changed = Network(source)
    weight = changed.bert.encoder.layer[2].attention.self.query.weight
    with torch.no_grad():
        weight += 0.05 * torch.randn(384, 3) @ torch.randn(3, 384)
        changed.bert.encoder.layer[0].output.LayerNorm.bias += 0.25
    path = tmp_path / "changed.npz"
    held = differences(changed, source)
    assert {name.partition("/")[0] for name in held if name.startswith("bert.")} == {
        "bert.encoder.layer.2.attention.self.query.weight",
        "bert.encoder.layer.0.output.LayerNorm.bias",
    }
    np.savez(path, allow_pickle=False, **held)
    for name, value in CrossEncoder.load(path).network.state_dict().items():
        torch.testing.assert_close(value, changed.state_dict()[name], atol=2e-3, rtol=2e-3)


def test_the_packaged_weights_are_small() -> None:
    assert PACKAGED.stat().st_size < 4_000_000


def test_a_long_claim_and_a_long_premise_are_cut_to_what_the_model_reads(detector: Entailment) -> None:
    reader = CrossEncoder.load()
    encoding = reader.encode("parcel " * 900, "refund " * 900)
    assert len(encoding.tokens) == 144
    assert len(encoding.ranges) == 60


@given(
    st.lists(st.text("abc .", min_size=1).filter(str.strip), min_size=1, max_size=12),
    st.integers(0, 2**32 - 1),
)
def test_a_premise_is_made_of_context_sentences_within_the_limit(sentences: list[str], seed: int) -> None:
    cosines = np.random.default_rng(seed).random(len(sentences), np.float32)
    premise = premise_of("abc cab", sentences, cosines)
    assert premise
    if sum(len(sentence.split()) for sentence in sentences) > MOST_WORDS:
        assert len(premise.split()) <= MOST_WORDS


def test_the_sentence_that_says_most_about_a_claim_is_in_its_premise() -> None:
    filler = [
        f"Nothing of note happened on the {n} of the month in any of the places that were watched." for n in "abcdef"
    ]
    asked = "The warehouse in Leeds is open on weekdays."
    sentences = [*filler[:3], asked, *filler[3:]]
    premise = premise_of("Leeds has a warehouse", sentences, np.zeros(len(sentences), np.float32))
    assert asked in premise


@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(-20, 20, width=32)), min_size=1),
    st.floats(0, 2),
    st.floats(0, 2),
)
def test_less_support_by_either_never_lowers_the_probability(
    claims: list[tuple[float, float]], cross_slope: float, slope: float
) -> None:
    meet = Calibration(cross_slope, 0.3, slope, -0.2)
    cheap, cross = (np.array(column, np.float32) for column in zip(*claims, strict=True))
    before = meet(cheap, cross)
    assert ((before >= 0) & (before <= 1)).all()
    assert (meet(np.minimum(1, cheap + np.float32(0.1)), cross) >= before).all()
    assert (meet(cheap, cross + 1) >= before).all()


def test_a_calibration_reads_like_the_share_of_wrong_answers(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    truth = rng.random(4000) < 0.5
    cheap = np.clip(np.where(truth, 0.6, 0.4) + rng.normal(0, 0.2, 4000), 0.01, 0.99).astype(np.float32)
    cross = (np.where(truth, 4, -4) + rng.normal(0, 6, 4000)).astype(np.float32)
    own = Claims(cheap, cross, np.arange(4000), truth)
    found = Calibration.fit([own])
    values = found(cheap, cross)
    for low, high in ((0.2, 0.4), (0.6, 0.8)):
        inside = (values >= low) & (values < high)
        assert abs(truth[inside].mean() - values[inside].mean()) < 0.08
    found.save(tmp_path / "calibration.json")
    kept = Calibration.load(tmp_path / "calibration.json")
    np.testing.assert_allclose(kept(cheap, cross), values, atol=1e-3)
    (tmp_path / "calibration.json").write_text('{"slope": 1}')
    with pytest.raises(Misconfigured, match="is no calibration"):
        Calibration.load(tmp_path / "calibration.json")


def test_rewording_keeps_numbers_and_negations_and_falsifying_changes_something() -> None:
    said = "However, the parcel is not accepted in 2019 because the office in Leeds closed."
    for seed in range(60):
        rng = np.random.default_rng(seed)
        again = reword(said, NO_WORDS, rng)
        assert "2019" in again or "in 2019" not in again
        assert "not" in again or "n't" in again
        found = falsify(said, said, (said,), ["Rome", "Anna"], [" in the garden"], NO_WORDS, rng)
        assert found is None or found[0] != said
    assert reword(said, NO_WORDS, np.random.default_rng(3)) == reword(said, NO_WORDS, np.random.default_rng(3))


def test_made_pairs_are_half_right_half_wrong_and_the_same_each_time() -> None:
    texts = [
        f"The office in {city} opened in {year}. It has {n} rooms for visitors in the summer. Refunds take {n} "
        f"days after the parcel arrives. The museum is open before noon on most days."
        for city, year, n in (("Leeds", 1998, 12), ("Rome", 2004, 30), ("Oslo", 1987, 45))
    ]
    pairs = made(texts, NO_WORDS)
    assert pairs == made(texts, NO_WORDS)
    assert 0.3 < np.mean([pair.wrong for pair in pairs]) < 0.6
    assert all(pair.hypothesis != pair.right for pair in pairs if pair.wrong)
