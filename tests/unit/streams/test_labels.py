"""Labels of every kind of file become verdicts, and what is none is named by its line."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from inferwatch.schemas.errors import InvalidRecord, Misconfigured
from inferwatch.streams.judged import Known, join
from inferwatch.streams.labels import Label, Verdicts, read_labels
from inferwatch.streams.sampling import NOT_SAMPLED


def lines(path: Path, *rows: dict[str, Any] | str) -> str:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return str(path)


def test_json_lines_and_csv_say_the_same(tmp_path: Path) -> None:
    rows = [{"id": "a", "label": "yes"}, {"id": "b", "label": "no", "weight": "4", "score": "toxicity.output"}]
    found, problems = read_labels(lines(tmp_path / "labels.jsonl", *rows), Verdicts())
    (tmp_path / "labels.csv").write_text("id,label,weight,score,output\na,yes,,,hm\nb,no,4,toxicity.output,\n")
    again, _ = read_labels(str(tmp_path / "labels.csv"), Verdicts())
    assert problems == []
    assert [(one.id, one.bad, one.weight, one.score, one.log) for one in found] == [
        ("a", True, 1.0, "", None),
        ("b", False, 4.0, "toxicity.output", None),
    ]
    assert [(one.id, one.bad, one.weight, one.score, one.log) for one in again] == [
        (one.id, one.bad, one.weight, one.score, one.log) for one in found
    ]
    assert [one.place for one in again] == [2, 3]


def test_rows_that_are_no_labels_are_named_and_the_others_count(tmp_path: Path) -> None:
    rows = ["{", "[1]", {"id": "a"}, {"id": "b", "label": "perhaps"}, {"id": "c", "label": 1, "weight": -1}]
    found, problems = read_labels(lines(tmp_path / "x", *rows, "", {"id": "d", "label": True}), Verdicts())
    assert [(one.id, one.place, one.bad) for one in found] == [("d", 7, True)]
    assert [(one.place, one.reason) for one in problems] == [
        (1, "invalid_json"), (2, "not_an_object"), (3, "missing_field"), (4, "unknown_label"), (5, "wrong_type"),
    ]  # fmt: skip


@pytest.mark.parametrize("label", [True, 1, 1.0, "1", "Yes", " BAD "])
def test_the_usual_words_for_bad(label: object) -> None:
    assert Verdicts().bad(label)


def test_own_words() -> None:
    toxic = Verdicts.of(["Toxic", "rude"], [])
    assert [toxic.bad(label) for label in ("toxic", "rude", "fine", "off topic")] == [True, True, False, False]
    strict = Verdicts.of(["toxic"], ["fine"])
    with pytest.raises(InvalidRecord, match="must be one of fine, toxic, got 'rude'"):
        strict.bad("rude")
    with pytest.raises(InvalidRecord):
        toxic.bad("")
    with pytest.raises(Misconfigured):
        Verdicts.of([], ["fine"])


def test_logs_and_ids_in_one_file_are_refused(tmp_path: Path) -> None:
    rows = [{"id": "a", "label": 1}, {"id": "b", "label": 0, "output": "text"}]
    with pytest.raises(Misconfigured, match="make two files"):
        read_labels(lines(tmp_path / "x", *rows), Verdicts())
    (tmp_path / "x.csv").write_text("id,verdict\na,1\n")
    with pytest.raises(Misconfigured, match="label is not"):
        read_labels(str(tmp_path / "x.csv"), Verdicts())


def label(of: str, bad: bool, application: str = "", score: str = "", weight: float = 1.0) -> Label:
    return Label(1, of, application, score, bad, weight, None)


def test_a_row_drawn_one_time_in_ten_stands_for_ten_and_one_passed_over_is_left_out() -> None:
    known = [
        Known("shop", "a", {"h": 0.9, "t": 0.1}, {}, {"h": 0.1}),
        Known("shop", "b", {"t": 0.2}, {"h": NOT_SAMPLED}, {"h": 0.1}),
        Known("shop", "c", {"t": 0.3}, {"h": "no contexts"}, {"h": 0.5}),
    ]
    judged, lost = join([label("a", True, weight=2), label("b", False), label("c", True), label("z", True)], known)
    assert lost == 1
    assert judged["h"].labels.tolist() == [True]
    assert judged["h"].weights.tolist() == [pytest.approx(20)]
    assert judged["h"].abstained == Counter({"no contexts": 1})
    assert judged["t"].weights.tolist() == [2, 1, 1]


def test_labels_may_name_application_and_score_and_the_last_of_two_counts() -> None:
    known = [Known(name, "a", {"h": 0.9, "t": 0.1}, {}, {}) for name in ("shop", "desk")]
    said = [label("a", True, "shop"), label("a", False, "shop"), label("a", True, "shop", "t")]
    judged, lost = join(said, known)
    assert lost == 0
    assert judged["h"].labels.tolist() == [False]
    assert judged["t"].labels.tolist() == [True]
