"""Detectors made of models built here: real transformers and sentence-transformers models, tiny and random."""

from __future__ import annotations

import json
import math
import shutil
import socket
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import CrossEncoder
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import ByteLevel, Whitespace
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaTokenizerFast,
)

from inferwatch.detectors.base import F32, Batch, Item, Scores
from inferwatch.detectors.checks import check_detector
from inferwatch.detectors.hub.detector import HubDetector, probabilities
from inferwatch.detectors.hub.windows import clean, windows
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.hub import HubModelSettings

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
WORDS = [
    "refunds",
    "take",
    "days",
    "business",
    "the",
    "parcel",
    "you",
    "are",
    "worthless",
    "idiot",
    "how",
    "long",
    "do",
    "bob",
    "says",
    "welcome",
    "order",
]


class NoVectors:
    """An encoder nobody should need: hub models read texts."""

    revision = family = "none"
    dim = 1

    def encode(self, texts: Sequence[str]) -> F32:
        assert not texts
        return np.empty((0, 1), np.float32)


def tokenizer_in(folder: Path) -> Any:
    folder.mkdir(exist_ok=True)
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *".,!?", *WORDS, *LETTERS, *(f"##{one}" for one in LETTERS)]
    (folder / "vocab.txt").write_text("\n".join(known))
    tokenizer: Any = BertTokenizerFast
    return tokenizer(vocab=str(folder / "vocab.txt"), model_max_length=48)


def save(folder: Path, **config: Any) -> Path:
    """Save a BERT of 48 positions whose answers differ between texts; ``config`` says its labels."""
    tokenizer = tokenizer_in(folder)
    torch.manual_seed(5)
    small: Any = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=48,
        initializer_range=1.0,
        **config,
    )
    model = BertForSequenceClassification(small)
    model.classifier.weight.data *= 0.2  # else every answer is near 0 or 1
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("classifier"), id2label={0: "fine", 1: "rude", 2: "hateful"})


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(
        tmp_path_factory.mktemp("several"),
        id2label={0: "insult", 1: "threat"},
        problem_type="multi_label_classification",
    )


@pytest.fixture(scope="session")
def number(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder as sentence-transformers saves it, that says one number."""
    plain = save(tmp_path_factory.mktemp("plain"), num_labels=1)
    folder = tmp_path_factory.mktemp("number")
    CrossEncoder(str(plain), device="cpu", local_files_only=True).save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def inference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder with the labels of natural-language inference."""
    return save(tmp_path_factory.mktemp("inference"), id2label={0: "contradiction", 1: "entailment", 2: "neutral"})


def made(**settings: Any) -> HubDetector:
    return HubDetector("own", HubModelSettings.model_validate(settings))


def scored(detector: HubDetector, *items: Item) -> dict[str, Scores]:
    return {one.name: one for one in detector.score(Batch(items, {}, np.empty((0, 1), np.float32)))}


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "classifier", "labels": {"rude": 0.5, "hateful": 1}, "reads": ["input", "output"]},
        {"kind": "classifier", "labels": {"rude": 0.5, "hateful": 1}, "by": "sentence"},
    ],
    ids=["text", "sentence"],
)
def test_a_classifier_keeps_the_laws(classifier: Path, settings: dict[str, Any]) -> None:
    check_detector(made(path=str(classifier), **settings), NoVectors())


@pytest.mark.parametrize(
    "settings",
    [
        {"high_is": "better"},
        {"high_is": "worse", "by": "sentence"},
        {"high_is": "better", "reads": ["input", "output"]},
    ],
    ids=["contexts", "sentence", "input"],
)
def test_a_cross_encoder_keeps_the_laws(number: Path, settings: dict[str, Any]) -> None:
    check_detector(made(kind="cross-encoder", path=str(number), **settings), NoVectors())


def test_a_classifier_says_what_transformers_says(classifier: Path) -> None:
    detector = made(kind="classifier", path=str(classifier), labels={"rude": 0.5, "hateful": 1})
    text = "you are a worthless idiot"
    model: Any = AutoModelForSequenceClassification.from_pretrained(classifier)
    tokenizer: Any = AutoTokenizer.from_pretrained(classifier)
    with torch.inference_mode():
        fine, rude, hateful = model(**tokenizer(text, return_tensors="pt")).logits.softmax(1)[0].tolist()
    assert fine < 1
    assert scored(detector, Item(output=text))["own.output"].values[0] == pytest.approx(rude / 2 + hateful, abs=1e-5)


def test_of_labels_that_may_hold_together_the_worst_counts(several: Path) -> None:
    detector = made(kind="classifier", path=str(several), labels={"insult": 0.4, "threat": 1}, threshold=0)
    model: Any = AutoModelForSequenceClassification.from_pretrained(several)
    tokenizer: Any = AutoTokenizer.from_pretrained(several)
    for text in ("you are a worthless idiot", "refunds take days", "how long", "the parcel says welcome"):
        with torch.inference_mode():
            insult, threat = model(**tokenizer(text, return_tensors="pt")).logits.sigmoid()[0].tolist()
        found = scored(detector, Item(output=text))["own.output"]
        assert found.values[0] == pytest.approx(max(0.4 * insult, threat), abs=1e-5)
        assert found.evidence[0][0].reason == ("threat" if threat > 0.4 * insult else "insult")


@pytest.mark.parametrize("high_is", ["worse", "better"])
def test_a_cross_encoder_says_what_sentence_transformers_says(number: Path, high_is: str) -> None:
    detector = made(kind="cross-encoder", path=str(number), high_is=high_is)
    contexts, output = ("refunds take 5 days", "bob says welcome"), "refunds take 45 days"
    model = CrossEncoder(str(number), device="cpu", local_files_only=True)
    said = model.predict([[context, output] for context in contexts], activation_fn=torch.nn.Sigmoid())
    assert len(set(said.tolist())) == 2
    bad = said if high_is == "worse" else 1 - said
    found = scored(detector, Item(output=output, contexts=contexts))["own"]
    assert found.values[0] == pytest.approx(bad.min(), abs=1e-5), "the context that speaks best for it counts"


def test_labels_of_a_cross_encoder_are_weighed(inference: Path) -> None:
    detector = made(kind="cross-encoder", path=str(inference), labels={"contradiction": 1, "neutral": 0.5})
    model = CrossEncoder(str(inference), device="cpu", local_files_only=True)
    contra, _, neutral = model.predict(
        [["refunds take days", "refunds take long"]], activation_fn=torch.nn.Identity(), apply_softmax=True
    )[0]
    found = scored(detector, Item(output="refunds take long", contexts=("refunds take days",)))["own"]
    assert found.values[0] == pytest.approx(contra + neutral / 2, abs=1e-5)


def test_the_worst_sentence_counts_and_is_shown(classifier: Path) -> None:
    detector = made(kind="classifier", path=str(classifier), labels={"hateful": 1}, by="sentence", threshold=0.2)
    parts = ["Refunds take 5 days.", "You are a worthless idiot!", "How long do parcels take?", "Welcome, Bob."]
    alone = [scored(detector, Item(output=part))["own.output"].values[0] for part in parts]
    assert max(alone) - min(alone) > 0.2
    text = "  ".join(parts)
    found = scored(detector, Item(output=text))["own.output"]
    assert found.values[0] == pytest.approx(max(alone), abs=1e-5)
    hits = sorted((value, part) for value, part in zip(alone, parts, strict=True) if value >= 0.2)[::-1]
    assert [one.text for one in found.evidence[0]] == [part for _, part in hits][:3]
    for one in found.evidence[0]:
        assert text[one.start : one.end] == one.text


def test_a_long_text_is_read_to_its_end(classifier: Path) -> None:
    detector = made(kind="classifier", path=str(classifier), labels={"hateful": 1}, threshold=0)
    alone = {word: scored(detector, Item(output=f"{word} " * 46))["own.output"].values[0] for word in WORDS}
    low, high = min(alone, key=lambda word: alone[word]), max(alone, key=lambda word: alone[word])
    assert alone[high] > alone[low] + 0.1
    start, end = f"{low} " * 300, f"{high} " * 92
    before, after = scored(detector, Item(output=start), Item(output=start + end))["own.output"].values
    assert after > before + 0.1
    (found,) = scored(detector, Item(output=start + end)).values()
    assert (found.evidence[0][0].start or 0) >= len(start) - 46 * len(low), "the window that decided it is shown"


def test_a_row_that_is_too_dear_abstains(classifier: Path, number: Path) -> None:
    one = made(kind="classifier", path=str(classifier), labels={"rude": 1}, most_readings=3)
    found = scored(one, Item(output="days " * 40), Item(output="days " * 300))["own.output"]
    assert found.abstained == ("", "too long")
    pair = made(kind="cross-encoder", path=str(number), high_is="better", most_readings=3)
    found = scored(pair, *(Item(output="days", contexts=("days",) * n) for n in (3, 4)))["own"]
    assert found.abstained == ("", "too long")


def test_what_is_not_there_is_named(number: Path, classifier: Path) -> None:
    pair = made(kind="cross-encoder", path=str(number), high_is="better")
    found = scored(pair, Item(output="days"), Item(contexts=("days",)), Item(output="\n", contexts=(" ",)))["own"]
    assert found.abstained == ("no contexts", "no output", "no output")
    fields = scored(
        made(kind="classifier", path=str(classifier), labels={"rude": 1}, reads=["input", "output"]), Item("a")
    )
    assert [found.abstained[0] for found in fields.values()] == ["", "no output"]


def test_a_model_that_says_no_number_abstains(tmp_path: Path, classifier: Path) -> None:
    model: Any = AutoModelForSequenceClassification.from_pretrained(classifier)
    model.classifier.weight.data.fill_(math.nan)
    shutil.copytree(classifier, tmp_path / "m")
    model.save_pretrained(tmp_path / "m")
    found = scored(made(kind="classifier", path=str(tmp_path / "m"), labels={"rude": 1}), Item(output="a"))[
        "own.output"
    ]
    assert found.abstained == ("model gave no number",)


def test_roberta_reads_two_tokens_less_than_it_has_positions(tmp_path: Path) -> None:
    letters = sorted(ByteLevel.alphabet())
    known = {word: row for row, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *letters])}
    tokenizer_class: Any = RobertaTokenizerFast
    tokenizer = tokenizer_class(vocab=known, merges=[])
    config: Any = RobertaConfig(
        vocab_size=len(known),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=34,
        id2label={0: "good", 1: "bad"},
    )
    RobertaForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    detector = made(kind="classifier", path=str(tmp_path), labels={"bad": 1}, threshold=0)
    found = scored(detector, Item(output="日本語🤷🏽‍♀️ " * 40), Item(output="x" * 999))["own.output"]
    assert not np.isnan(found.values).any()
    with pytest.raises(Misconfigured, match=r"own\.window_tokens: the model reads at most 32 tokens, got 33"):
        made(kind="classifier", path=str(tmp_path), labels={"bad": 1}, window_tokens=33)


# Where the files are ------------------------------------------------------------------------------------------------


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("somebody asks the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def cached(cache: Path, model: Path) -> Path:
    """Lay out the hub's cache as a download of ``model`` at COMMIT leaves it."""
    folder = cache / "models--acme--judge" / "snapshots" / COMMIT
    shutil.copytree(model, folder)
    return folder


@pytest.mark.usefixtures("no_network")
def test_a_pinned_revision_is_found_in_the_hubs_cache(tmp_path: Path, classifier: Path) -> None:
    cached(tmp_path, classifier)
    settings = {"kind": "classifier", "labels": {"rude": 1}}
    found = made(repo="acme/judge", revision=COMMIT, cache_dir=str(tmp_path), **settings)
    by_folder = made(path=str(classifier), **settings)
    item = Item(output="refunds take days")
    assert scored(found, item)["own.output"].values[0] == scored(by_folder, item)["own.output"].values[0]


@pytest.mark.usefixtures("no_network")
def test_what_is_not_in_the_cache_is_not_downloaded(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as error:
        made(kind="classifier", labels={"rude": 1}, repo="acme/judge", revision=COMMIT, cache_dir=str(tmp_path))
    assert str(error.value) == (
        f"detectors.models.own: acme/judge at {COMMIT} is not in {tmp_path}, and nothing is downloaded at run time; "
        f"download it once: hf download acme/judge --revision {COMMIT} --cache-dir {tmp_path}"
    )


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named_with_its_remedy(tmp_path: Path, classifier: Path, file: str) -> None:
    folder = cached(tmp_path, classifier)
    (folder / "vocab.txt").unlink(missing_ok=True)
    (folder / file).unlink()
    with pytest.raises(Misconfigured) as error:
        made(kind="classifier", labels={"rude": 1}, repo="acme/judge", revision=COMMIT, cache_dir=str(tmp_path))
    text = str(error.value)
    assert f"{folder / file} does not exist" in text
    assert f"hf download acme/judge --revision {COMMIT}" in text


def test_a_missing_part_of_the_weights_is_named(tmp_path: Path, classifier: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(classifier, folder)
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    parts = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    with pytest.raises(Misconfigured, match=r"model-00002-of-00002\.safetensors does not exist, one of 1 missing"):
        made(kind="classifier", labels={"rude": 1}, path=str(folder))


def test_a_folder_that_is_not_there_or_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"models\.own\.path: .*nowhere is not a folder on this machine"):
        made(kind="classifier", labels={"rude": 1}, path=str(tmp_path / "nowhere"))
    with pytest.raises(Misconfigured, match=r"config\.json does not exist; name the folder of a model saved by"):
        made(kind="classifier", labels={"rude": 1}, path=str(tmp_path))


def test_files_that_cannot_be_read_are_refused(tmp_path: Path, classifier: Path) -> None:
    shutil.copytree(classifier, tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"not a model")
    with pytest.raises(Misconfigured, match=r"models\.own: the model in .* cannot be loaded"):
        made(kind="classifier", labels={"rude": 1}, path=str(tmp_path / "m"))


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path, classifier: Path) -> None:
    shutil.copytree(classifier, tmp_path / "m")
    other = Tokenizer(WordLevel({"[UNK]": 0, "more": 500}, unk_token="[UNK]"))
    (tmp_path / "m" / "tokenizer.json").write_text(other.to_str())
    with pytest.raises(Misconfigured, match="the tokenizer has the id 500 and the model 98: not of one model"):
        made(kind="classifier", labels={"rude": 1}, path=str(tmp_path / "m"))


# What its answers mean ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": {"ruude": 1}}, "the model has no label 'ruude'; it has fine, rude, hateful"),
        ({"high_is": "worse"}, "is for a model that says one number; this one has the labels fine, rude, hateful"),
    ],
)
def test_labels_are_those_of_the_model(classifier: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(Misconfigured, match=message):
        made(kind="classifier", path=str(classifier), **settings)


def test_which_way_a_single_number_points_must_be_said(number: Path) -> None:
    with pytest.raises(Misconfigured, match=r"says one number \(LABEL_0\); set high_is to worse or better instead"):
        made(kind="cross-encoder", path=str(number), labels={"LABEL_0": 1})
    with pytest.raises(Misconfigured, match="the softmax of one number is always 1"):
        made(kind="cross-encoder", path=str(number), high_is="worse", activation="softmax")


def test_the_version_names_what_decides_a_score(tmp_path: Path, classifier: Path) -> None:
    settings: dict[str, Any] = {"kind": "classifier", "path": str(classifier), "labels": {"rude": 1}}
    version = made(**settings).version
    assert made(**settings | {"threshold": 0.9, "batch_size": 2}).version == version
    shutil.copytree(classifier, tmp_path / "m")
    assert made(**settings | {"path": str(tmp_path / "m")}).version == version
    (tmp_path / "m" / "config.json").write_text((classifier / "config.json").read_text() + "\n")
    others = [
        settings | {"labels": {"rude": 0.9}},
        settings | {"by": "sentence"},
        settings | {"path": str(tmp_path / "m")},
    ]
    assert len({version, *(made(**other).version for other in others)}) == 4


@given(
    st.lists(st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=3), min_size=1),
    st.sampled_from(["auto", "sigmoid", "softmax", "none"]),
    st.booleans(),
)
def test_probabilities_are_probabilities(rows: list[list[float]], activation: str, several: bool) -> None:
    found = probabilities(np.array(rows, np.float32), activation, several=several)
    assert ((found >= 0) & (found <= 1)).all()
    if activation == "softmax":
        assert np.allclose(found.sum(axis=1), 1, atol=1e-5)


BYTES = Tokenizer(BPE({one: row for row, one in enumerate(sorted(ByteLevel.alphabet()))}, []))
BYTES.pre_tokenizer = ByteLevel(add_prefix_space=False)
BY_WORD = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
BY_WORD.pre_tokenizer = Whitespace()


@pytest.mark.parametrize("tokenizer", [BYTES, BY_WORD], ids=["bytes", "words"])
@given(text=st.text(max_size=200), room=st.integers(4, 40))
def test_windows_hold_every_token_once_in_order(tokenizer: Tokenizer, text: str, room: int) -> None:
    text = clean(text)
    found = windows(tokenizer, text, room)
    assert all(one.tokens <= room for one in found)
    assert all(before.end <= after.start for before, after in pairwise(found))
    covered = "".join(text[one.start : one.end] for one in found)
    assert "".join(covered.split()) == "".join(text.split())


def test_windows_end_between_words() -> None:
    text = "one two three four five six seven eight nine ten"
    found = [text[one.start : one.end] for one in windows(BYTES, text, 20)]
    assert [part.strip() for part in found] == ["one two three four", "five six seven eight", "nine ten"]
