"""The cross-encoder beside the grounding features: what it reads, how two judgements meet, what it is trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.detectors.base import F32, Batch, Encoder, Item, Scores
from inferwatch.detectors.encoder.bert_int8 import Bert
from inferwatch.detectors.encoder.folder import BUNDLED, model_folder
from inferwatch.detectors.encoder.sentence_transformer import SentenceTransformerEncoder
from inferwatch.detectors.hallucination.entailment import cross_encoder
from inferwatch.detectors.hallucination.entailment.bank import Bank
from inferwatch.detectors.hallucination.entailment.calibration import Calibration, Claims
from inferwatch.detectors.hallucination.entailment.cross_encoder import (
    PACKAGED,
    CrossEncoder,
    float32_judge,
    int8_judge,
    load_weights,
)
from inferwatch.detectors.hallucination.entailment.detector import Entailment
from inferwatch.detectors.hallucination.entailment.differences import differences
from inferwatch.detectors.hallucination.entailment.network import Network, batch
from inferwatch.detectors.hallucination.entailment.nli import plain, split, told, unlike
from inferwatch.detectors.hallucination.entailment.pairs import Pair, made
from inferwatch.detectors.hallucination.entailment.premise import premise_of
from inferwatch.detectors.hallucination.entailment.prepare import tokenised
from inferwatch.detectors.hallucination.entailment.reader import MOST_CLAIM_TOKENS, MOST_TOKENS, Reader
from inferwatch.detectors.hallucination.entailment.rewrite import Neighbours, falsify, reword
from inferwatch.detectors.hallucination.entailment.tokens import WINDOWS
from inferwatch.schemas.errors import Misconfigured

CONTEXT = "Refunds take 5 business days after we get the parcel. The warehouse in Leeds is open on weekdays."
NO_WORDS = Neighbours({}, {})


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return SentenceTransformerEncoder()


@pytest.fixture(scope="module")
def detector() -> Entailment:
    return Entailment()


def arrays(network: Network) -> dict[str, F32]:
    return {name: value.numpy().copy() for name, value in network.state_dict().items()}


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
    changed, untrained = Network(source), arrays(Network(source))
    weight = changed.bert.encoder.layer[2].attention.self.query.weight
    change = 0.01 * torch.randn(weight.shape)
    with torch.no_grad():
        weight += change
        changed.bert.encoder.layer[0].output.LayerNorm.bias += 0.25
    path = tmp_path / "changed.npz"
    held = differences(arrays(changed), untrained)
    assert {name.partition("/")[0] for name in held if name.startswith("bert.")} == {
        "bert.encoder.layer.2.attention.self.query.weight",
        "bert.encoder.layer.0.output.LayerNorm.bias",
    }
    np.savez(path, allow_pickle=False, **held)
    half_a_step = float(change.abs().max()) / 31 / 2
    weights = load_weights(source, path)
    assert weights.keys() >= arrays(changed).keys()
    for name, value in arrays(changed).items():
        np.testing.assert_allclose(weights[name], value, atol=1.1 * half_a_step, rtol=1e-3)


def test_int8_says_what_float32_says() -> None:
    source = model_folder(BUNDLED)
    reader, weights = Reader(source), load_weights(source, PACKAGED)
    judges = (int8_judge(weights, Bert.read(source)), float32_judge(weights, source))
    claims = [
        "Refunds take 5 business days.",
        "Refunds take 9 days.",
        "The warehouse in Leeds is open on weekdays.",
        "The warehouse in Rome is open on weekdays.",
        "Your aunt owns a zoo in Peru.",
        "The parcel is open.",
    ]
    ours, theirs = ([judge(reader.encode(CONTEXT, claim)) for claim in claims] for judge in judges)
    odds, wanted = (np.array([one for one, _ in found]) for found in (ours, theirs))
    assert np.abs(odds - wanted).max() < 0.15 * np.ptp(wanted)
    assert [int(each.argmax()) for _, each in ours] == [int(each.argmax()) for _, each in theirs]


def test_a_processor_without_exact_int8_reads_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    source = model_folder(BUNDLED)
    monkeypatch.setattr(cross_encoder, "exact", lambda: False)
    found = CrossEncoder.load().read(CONTEXT, "Refunds take 9 days.")
    judged = float32_judge(load_weights(source, PACKAGED), source)
    wanted, _ = judged(Reader(source).encode(CONTEXT, "Refunds take 9 days."))
    assert found[0] == wanted


def test_the_packaged_weights_are_small() -> None:
    assert PACKAGED.stat().st_size < 10_000_000


def test_a_long_claim_and_a_long_premise_are_cut_to_what_the_model_reads() -> None:
    reader = Reader(model_folder(BUNDLED))
    encoding = reader.encode("parcel " * 900, "refund " * 900)
    assert len(encoding.tokens) == MOST_TOKENS
    assert len(encoding.ranges) == MOST_CLAIM_TOKENS


@given(
    st.lists(st.text("abc .", min_size=1).filter(str.strip), min_size=1, max_size=12),
    st.integers(0, 2**32 - 1),
)
def test_a_premise_is_made_of_context_sentences_within_the_limit(sentences: list[str], seed: int) -> None:
    cosines = np.random.default_rng(seed).random(len(sentences), np.float32)
    premise = premise_of("abc cab", sentences, cosines, max(WINDOWS))
    assert premise
    if sum(len(sentence.split()) for sentence in sentences) > max(WINDOWS):
        assert len(premise.split()) <= max(WINDOWS)


def test_the_sentence_that_says_most_about_a_claim_is_in_its_premise() -> None:
    filler = [
        f"Nothing of note happened on the {n} of the month in any of the places that were watched." for n in "abcdef"
    ]
    asked = "The warehouse in Leeds is open on weekdays."
    sentences = [*filler[:3], asked, *filler[3:]]
    premise = premise_of("Leeds has a warehouse", sentences, np.zeros(len(sentences), np.float32), min(WINDOWS))
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


@pytest.mark.parametrize("turn", [0, 1])
def test_every_turn_makes_other_pairs(turn: int) -> None:
    text = (
        "The office in Leeds opened in 1998. It has 12 rooms for visitors in the summer. Refunds take 12 days after "
        "the parcel arrives. The museum is open before noon on most days. The director likes the old garden best."
    )
    pairs = made([text], NO_WORDS, turn)
    assert pairs == made([text], NO_WORDS, turn)
    assert pairs != made([text], NO_WORDS, turn + 2)
    assert {pair.wrong for pair in pairs} == {True, False}


def test_two_things_change_places() -> None:
    said = "The cat sleeps near the dog."
    found = {
        changed[0]
        for seed in range(200)
        if (changed := falsify(said, said, (said,), [], [" in the garden"], NO_WORDS, np.random.default_rng(seed)))
    }
    assert "The dog sleeps near the cat." in found


def test_a_batch_on_the_training_side_is_what_is_read_later(tmp_path: Path) -> None:
    reader = Reader(model_folder(BUNDLED))
    pairs = [
        Pair(CONTEXT, "Refunds take 9 days.", wrong=True, source="number", right="Refunds take 5 days."),
        Pair(CONTEXT, "The warehouse is open.", wrong=False, source="reword"),
        Pair("parcel " * 900, "refund " * 900, wrong=True, source="label"),
    ]
    tokenised(pairs, reader).save(tmp_path / "made-0.npz")
    bank = Bank({"made-0": tmp_path / "made-0.npz"}, "cpu")
    tokens, mask, claim, marks = bank.batch(np.arange(3))
    encodings = [reader.encode(pair.premise, pair.hypothesis) for pair in pairs]
    for ours, theirs in zip((tokens, mask, claim), batch(encodings), strict=True):
        torch.testing.assert_close(ours, theirs)
    first, known = encodings[0].first, len(encodings[0].ranges)
    (place,) = np.flatnonzero(marks[0] == 1) - first
    assert pairs[0].hypothesis[slice(*encodings[0].ranges[place])] == "9"
    assert int((marks[0] >= 0).sum()) == known
    assert int((marks[1] == 0).sum()) == len(encodings[1].ranges)
    assert (marks[2] == -1).all()
    assert bank.wrong.tolist() == [1, 0, 1]
    assert bank.told.tolist() == [False, False, True]


def test_public_pairs_are_read_where_they_are(tmp_path: Path) -> None:
    assert told(tmp_path) == []
    for name, lines in {
        "snli/s1.dev": ["A man is asleep ."],
        "snli/s2.dev": ["He does n't move ."],
        "snli/labels.dev": ["neutral"],
        "cad/train.tsv": ["sentence1\tsentence2\tgold_label", "A dog runs.\tAn animal runs.\tentailment", "A\tB\t-"],
        "wikisplit/tune.tsv": [
            "The tall tower in Leeds was built in 1970 and it has ninety floors .\tThe tall tower in Leeds was built "
            "in 1970 . <::::> The Roman emperor visited the harbour of Ostia twice ."
        ],
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    assert [pair[:3] for pair in told(tmp_path)] == [
        ("A man is asleep.", "He doesn't move.", True),
        ("A dog runs.", "An animal runs.", False),
    ]
    pairs = split(tmp_path, [" in the garden"], NO_WORDS)
    assert {pair.hypothesis for pair in pairs if not pair.wrong} >= {"The tall tower in Leeds was built in 1970."}
    assert not any("Ostia" in pair.hypothesis for pair in pairs)
    seen = "They say that the tall tower in Leeds was built in 1970 by two brothers."
    assert not any("tower in Leeds was built" in pair.hypothesis for pair in unlike(pairs, [seen]))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("It is 3 , 4 or 5 .", "It is 3, 4 or 5."),
        ("He said '' no '' ( twice ) .", 'He said "no" (twice).'),
        ("from 1990 - 1991", "from 1990-1991"),
    ],
)
def test_spaces_that_a_tokenizer_left_go(text: str, shown: str) -> None:
    assert plain(text) == shown
