"""The fit on small files of the same form as the data sets."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from inferwatch.detectors.base import F32, Batch, Encoder, Item
from inferwatch.detectors.evaluation.calibration import calibration
from inferwatch.detectors.hallucination.corpora import FOLDS, Examples, families, widen
from inferwatch.detectors.hallucination.fit import Claims, fit_claims, fit_without, fit_without_contexts, in_part
from inferwatch.detectors.hallucination.grounding import FEATURES, known_of, read
from inferwatch.detectors.hallucination.mismatches import mismatches
from inferwatch.detectors.hallucination.model import GroundingModel

FACTS = [(f"The {thing} in {town} opened in {year}.", town, year) for thing, town, year in (
    ("museum", "Lima", 1931), ("theatre", "Quito", 1947), ("library", "Porto", 1958), ("stadium", "Turin", 1972),
    ("harbour", "Gdansk", 1925), ("market", "Tunis", 1963), ("school", "Oslo", 1988), ("factory", "Leeds", 1999),
)]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    grounding = folder / "grounding"
    grounding.mkdir()
    rows = [(fact, fact.replace(town, "Zurich"), fact) for fact, town, _ in FACTS]
    with (grounding / "begin_dev_wow.tsv").open("w", encoding="utf-8") as handle:
        handle.write("model_name\tdata_source\tknowledge\tmessage\tresponse\tbegin_label\n")
        for good, bad, context in rows:
            handle.write(f"m\twow\t{context}\thi\t{good}\tFully attributable\n")
            handle.write(f"m\twow\t{context}\thi\t{bad}\tNot fully attributable\n")
            handle.write(f"m\twow\t{context}\thi\t{bad}\tGeneric\n")
    for name, place in (("consistent", 0), ("inconsistent", 1)):
        with (grounding / f"memnet_{name}.csv").open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow(["message", "response", "knowledge"])
            writer.writerows(["hi", row[place], row[2]] for row in rows)
    pairs = [{"correct_sent": good, "incorrect_sent": bad, "article_sent": c} for good, bad, c in rows]
    (grounding / "anyscale_pairs.json").write_text(json.dumps(pairs))
    edits = [
        {"doc": c, "summary": text, "label": label} for good, bad, c in rows for text, label in ((good, 1), (bad, 0))
    ]
    (grounding / "summedits_news.json").write_text(json.dumps(edits))
    return folder


def test_every_family_is_read_and_generic_answers_are_left_out(data: Path) -> None:
    found = families(data)
    assert set(found) == {"begin", "memnet", "anyscale", "support", "summedits_news"}
    assert {
        name: (len(own.items), int(own.labels.sum())) for name, own in found.items() if name != "support"
    } == dict.fromkeys(("begin", "memnet", "anyscale", "summedits_news"), (16, 8))


def test_a_family_and_its_twin_are_left_out_and_the_weights_are_kept(
    data: Path, tmp_path: Path, encoder: Encoder
) -> None:
    detector = fit_without(data, "begin", tmp_path)
    (kept,) = tmp_path.glob("*.json")
    fitted = GroundingModel.load(kept)
    assert set(fitted.metadata["fitted_on"]) == {"anyscale", "support", "summedits_news"}
    assert set(GroundingModel.load(_fitted(data, "", tmp_path)).metadata["fitted_on"]) == set(families(data))
    items = [Item("", fact, (fact,)) for fact, _, _ in FACTS] + [
        Item("", fact.replace(str(year), str(year + 30)), (fact,)) for fact, _, year in FACTS
    ]
    (scores,) = detector.score(Batch.encode(items, [detector], encoder))
    assert scores.values[:8].max() < scores.values[8:].min()
    before = kept.stat().st_mtime_ns
    fit_without(data, "begin", tmp_path)
    assert kept.stat().st_mtime_ns == before


def test_each_answer_is_left_out_once_with_all_that_share_its_contexts(data: Path, tmp_path: Path) -> None:
    for own in families(data).values():
        parts = np.stack([in_part(own, fold) for fold in range(FOLDS)])
        assert (parts.sum(axis=0) == 1).all()
        assert len({(item.contexts, part) for item, part in zip(own.items, parts.argmax(axis=0), strict=True)}) == len(
            {item.contexts for item in own.items}
        )
    fold = int(np.argmax([in_part(families(data)["begin"], fold).sum() for fold in range(FOLDS)]))
    fit_without_contexts(data, fold, tmp_path)
    (kept,) = tmp_path.glob("hallucination-without-contexts-*.json")
    whole = GroundingModel.load(_fitted(data, "", tmp_path)).metadata["fitted_on"]
    fitted = GroundingModel.load(kept).metadata["fitted_on"]
    assert 0 < fitted["begin"] < whole["begin"]


def test_the_probability_fits_answers_not_seen_where_no_logistic_curve_does() -> None:
    """Six in ten claims tell nothing, and of these three in ten are wrong; of the others all but a few."""
    rng = np.random.default_rng(0)

    def drawn(n: int) -> tuple[F32, Claims]:
        features = np.zeros((n, len(FEATURES)), np.float32)
        features[:, 0] = rng.random(n)
        truth = np.where(features[:, 0] < 0.6, 0.3, 0.97)
        labels = rng.random(n) < truth
        folds = {purpose: rng.integers(0, FOLDS, n) for purpose in ("calibrating", "testing")}
        return features, Claims(features, np.arange(n), labels, rng.random(n) < 0.3, np.zeros(n, np.bool_), folds)

    _, taught = drawn(4000)
    features, unseen = drawn(4000)
    model = fit_claims({"begin": (taught, taught)}, "", "x")
    even = np.where(unseen.labels, 0.5 / unseen.labels.sum(), 0.5 / (~unseen.labels).sum())
    mapped, plain = (calibration(unseen.labels, one(features), even).error for one in (model, model.regression))
    assert mapped < 0.05
    assert plain > 2 * mapped


def _fitted(data: Path, left_out: str, work: Path) -> Path:
    fit_without(data, left_out, work)
    return work / f"hallucination-without-{left_out or 'nothing'}.json"


def test_an_unknown_family_is_an_error(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no family 'begni'"):
        fit_without(data, "begni", tmp_path)


def test_what_is_added_is_wrong_and_the_same_every_time(data: Path) -> None:
    own = families(data)["begin"]
    wide = widen(own, "begin")
    assert wide.items[: len(own.items)] == own.items
    assert len(wide.items) > len(own.items)
    assert wide.labels[len(own.items) :].all()
    assert widen(own, "begin").items == wide.items


def test_the_exact_rules_flag_what_was_changed(data: Path) -> None:
    own: Examples = families(data)["begin"]
    flagged = [any(mismatches(claim, known_of(item, read(item))) for claim in read(item).claims) for item in own.items]
    assert flagged == own.labels.tolist()
