"""The fit on small files of the same form as the data sets."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from inferwatch.detectors.base import Batch, Encoder, Item
from inferwatch.detectors.hallucination.corpora import Examples, families, widen
from inferwatch.detectors.hallucination.fit import fit_without
from inferwatch.detectors.hallucination.grounding import known_of, read
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
