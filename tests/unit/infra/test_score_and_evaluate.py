"""``inferwatch score`` and ``inferwatch evaluate``, with the packaged models and the real store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from inferwatch.detectors.calibrated import Platt
from inferwatch.detectors.toxicity.detector import Toxicity
from inferwatch.infra.assembly import load_models
from inferwatch.infra.cli import main
from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.settings import Settings, StoreSettings
from inferwatch.streams.pipeline import Pipeline
from inferwatch.streams.replay import read

DAY = datetime(2026, 3, 1, tzinfo=UTC)
TEXTS = pa.map_(pa.string(), pa.string())
NUMBERS = pa.map_(pa.string(), pa.float32())


def log(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "timestamp": DAY.isoformat(), "application": "shop", "input": "When does it come?"} | fields


LOGS = [
    log("plain", output="It comes in two days.", contexts=["Delivery takes two days."]),
    log("wrong", output="Thanks for asking. It comes in nine weeks.", contexts=["Delivery takes two days."]),
    log("rude", output="You are a stupid worthless idiot.", input="Write to joe@example.com about it"),
]


@pytest.fixture
def config(tmp_path: Path, store_settings: StoreSettings) -> str:
    path = tmp_path / "inferwatch.yaml"
    path.write_text(f"store: {{dsn: '{store_settings.dsn.get_secret_value()}'}}\nencoder: {{backend: torch}}\n")
    return str(path)


def run(config: str, *arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["-c", config, *arguments], input=stdin)


def write(path: Path, rows: Sequence[dict[str, Any] | str]) -> str:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return str(path)


def test_score_says_what_the_service_would_store(tmp_path: Path, config: str) -> None:
    file = write(tmp_path / "calls.jsonl", [*LOGS[:2], "", "{broken", LOGS[2], {"id": "x"}])
    done = run(config, "score", file, "-o", str(tmp_path / "scores.jsonl"))
    assert done.exit_code == 1
    assert done.stdout == ""
    assert f"{file}:4: invalid_json: " in done.stderr
    assert f"{file}:6: missing_field: " in done.stderr
    assert "2 records" in done.stderr
    said = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [(one["line"], one["id"]) for one in said] == [(1, "plain"), (2, "wrong"), (5, "rude")]

    settings = Settings.model_validate({"encoder": {"backend": "torch"}})
    encoder, detectors = load_models(settings)
    pipeline = Pipeline(settings, encoder, detectors, None, SystemClock())  # type: ignore[arg-type]
    good = write(tmp_path / "good.jsonl", LOGS)
    prepared = pipeline.prepare(list(read(Path(good), SystemClock().now())))
    for scores in prepared.scores:
        for row, one in enumerate(said):
            held = one["scores"][scores.name]
            assert held["abstained"] == scores.abstained[row]
            if held["abstained"]:
                assert (held["value"], held["hit"], held["evidence"]) == (None, None, [])
                continue
            assert held["value"] == pytest.approx(float(scores.values[row]), abs=1e-3)
            assert held["hit"] == (held["value"] >= held["threshold"])
            assert len(held["evidence"]) == len(scores.evidence[row])
    wrong, rude = said[1]["scores"]["hallucination"], said[2]["scores"]
    assert wrong["hit"]
    (why,) = wrong["evidence"]
    assert LOGS[1]["output"][why["start"] : why["end"]] == why["text"] == "It comes in nine weeks."
    assert rude["toxicity.output"]["hit"]
    assert rude["hallucination"]["abstained"] == "no contexts"
    assert said[2]["redactions"] == 1


def test_score_reads_standard_input_and_ignores_budgets(tmp_path: Path, config: str) -> None:
    Path(config).write_text(
        Path(config).read_text()
        + "detectors: {thresholds: {hallucination: 0.0}, budgets: {hallucination: {share: 0.001}}}\n"
    )
    done = run(config, "score", "-", stdin=json.dumps(LOGS).encode())
    assert done.exit_code == 0, done.output
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["scores"]["hallucination"]["abstained"] for one in said] == ["", "", "no contexts"]
    assert said[0]["scores"]["hallucination"]["hit"], "the configured threshold counts"
    same = write(tmp_path / "x.jsonl", LOGS)
    assert run(config, "score", same, "-o", same).exit_code == 2


def test_without_stored_texts_evidence_has_offsets_alone(tmp_path: Path, config: str) -> None:
    Path(config).write_text(Path(config).read_text() + "privacy: {store_text: false}\n")
    done = run(config, "score", write(tmp_path / "x.jsonl", LOGS[1:2]))
    assert done.exit_code == 0
    (why,) = json.loads(done.stdout)["scores"]["hallucination"]["evidence"]
    assert set(why) == {"field", "score", "start", "end"}


def rows(n: int) -> tuple[list[bool], list[float]]:
    """Return n labels, a third of them bad, and scores that tell them apart for the most part."""
    rng = np.random.default_rng(4)
    bad = rng.random(n) < 1 / 3
    return bad.tolist(), np.clip(rng.normal(0.35 + 0.3 * bad, 0.12), 0, 1).astype(np.float32).tolist()


def insert(store: ClickHouseStore, bad: list[bool], scores: list[float], inclusion: list[float]) -> None:
    n = len(bad)
    columns = {
        "topic": ["t"] * n,
        "offset": pa.array(range(n), pa.uint64()),
        "id": [f"it's-{row}" for row in range(n)],
        "timestamp": pa.array([DAY + timedelta(seconds=row) for row in range(n)], pa.timestamp("ms", tz="UTC")),
        "application": ["shop"] * n,
        "scores": pa.array([[("toxicity.output", value)] for value in scores], NUMBERS),
        "abstained": pa.array([[("hallucination", "no contexts")]] * n, TEXTS),
        "inclusion": pa.array([[("toxicity.output", value)] for value in inclusion], NUMBERS),
        "ingested_at": pa.array([DAY] * n, pa.timestamp("ms", tz="UTC")),
    }
    store.insert("inferences_raw", pa.table(columns), token="rows")


def comment(store: ClickHouseStore, bad: list[bool], *, kind: str) -> None:
    """Insert feedback of which the later one is right."""
    n = len(bad)
    for late in (False, True):
        down = [0.0 if one is late else 1.0 for one in bad]
        columns = {
            "topic": ["f"] * n,
            "offset": pa.array(range(late * n, late * n + n), pa.uint64()),
            "application": ["shop"] * n,
            "id": [f"it's-{row}" for row in range(n)],
            "timestamp": pa.array([DAY + timedelta(hours=1 + late)] * n, pa.timestamp("ms", tz="UTC")),
            "kind": [kind] * n,
            "value": pa.array(down if kind == "thumb" else [None] * n, pa.float64()),
            "ingested_at": pa.array([DAY] * n, pa.timestamp("ms", tz="UTC")),
            "label": [("toxic" if one is late else "fine") if kind == "label" else "" for one in bad],
        }
        store.insert("feedback_raw", pa.table(columns), token=f"{kind}{late}")


def test_labels_are_joined_with_the_stored_scores(tmp_path: Path, config: str, store: ClickHouseStore) -> None:
    bad, scores = rows(400)
    insert(store, bad, scores, [1.0] * 400)
    labels: list[dict[str, Any] | str] = [{"id": f"it's-{row}", "label": one} for row, one in enumerate(bad)]
    file = write(tmp_path / "labels.jsonl", [*labels, {"id": "nobody", "label": 0}, {"id": "x", "label": "hm"}])
    done = run(config, "evaluate", "--labels", file, "--json")
    assert done.exit_code == 1, done.output
    assert f"{file}:402: unknown_label" in done.stderr
    assert "1 of 401 labels are of inferences that are not known" in done.stderr
    assert done.stdout, done.output
    (found,) = json.loads(done.stdout)["scores"]
    assert (found["score"], found["n"], found["bad"]) == ("toxicity.output", 400, sum(bad))
    assert found["auc"]["low"] < found["auc"]["value"] < found["auc"]["high"]
    reached = found["proposal"]["reached"]
    flagged = [one for one, value in zip(bad, scores, strict=True) if value >= reached["threshold"]]
    assert len(flagged) == reached["flagged"]
    assert sum(flagged) / len(flagged) == pytest.approx(reached["precision"]["value"], abs=1e-6)
    assert reached["precision"]["value"] >= 0.9
    shown = run(config, "evaluate", "--labels", file, "--score", "toxicity.output").stdout
    assert f"    toxicity.output: {reached['threshold']:g}  # precision 0.9" in shown
    assert run(config, "evaluate", "--labels", file, "--score", "hallucination").exit_code == 2


def test_late_feedback_recalibrates_and_its_lines_are_settings(
    tmp_path: Path, config: str, store: ClickHouseStore
) -> None:
    bad, scores = rows(400)
    insert(store, bad, scores, [1.0] * 400)
    comment(store, bad, kind="thumb")
    comment(store, bad, kind="label")
    by_thumbs = run(config, "evaluate", "--from-feedback", "--precision", "0.8")
    by_labels = run(config, "evaluate", "--from-feedback", "--precision", "0.8", "--positive", "toxic")
    assert by_thumbs.exit_code == 0, by_thumbs.output
    assert by_thumbs.stdout == by_labels.stdout, "the latest word on each inference counts, thumb or label"
    pasted = by_thumbs.stdout[by_thumbs.stdout.index("detectors:") :]
    Path(config).write_text(Path(config).read_text() + pasted)
    again = run(config, "evaluate", "--from-feedback", "--precision", "0.8", "--json")
    (found,) = json.loads(again.stdout)["scores"]
    assert found["now"] == found["proposal"]["reached"]
    nothing = run(config, "evaluate", "--from-feedback", "--application", "desk")
    assert nothing.exit_code == 2
    assert "no labelled row" in nothing.stderr
    assert run(config, "evaluate", "--from-feedback", "--since", "2026-03-02").exit_code == 2


def test_labels_calibrate_a_score_and_the_lines_are_settings(
    tmp_path: Path, config: str, store: ClickHouseStore
) -> None:
    bad, scores = rows(400)
    insert(store, bad, scores, [1.0] * 400)
    file = write(tmp_path / "labels.jsonl", [{"id": f"it's-{row}", "label": one} for row, one in enumerate(bad)])
    (raw,) = json.loads(run(config, "evaluate", "--labels", file, "--json").stdout)["scores"]
    assert raw["calibration"] is None
    shown = run(config, "evaluate", "--labels", file, "--calibrate").stdout
    (found,) = json.loads(run(config, "evaluate", "--labels", file, "--calibrate", "--json").stdout)["scores"]
    assert found["ece_before"] == pytest.approx(raw["ece"], abs=1e-3)
    assert found["ece"]["value"] < raw["ece"]["value"]
    assert found["auc"] == raw["auc"], "no order changes"
    assert found["now"]["flagged"] == raw["now"]["flagged"]
    assert found["now"]["threshold"] != raw["now"]["threshold"]
    assert found["proposal"]["reached"]["flagged"] == raw["proposal"]["reached"]["flagged"]

    # Pasted, they are in force: a row is scored on the new scale, and what was flagged still is.
    calls = write(tmp_path / "calls.jsonl", LOGS)
    before = [json.loads(line)["scores"]["toxicity.output"] for line in run(config, "score", calls).stdout.splitlines()]
    Path(config).write_text(Path(config).read_text() + shown[shown.index("detectors:") :].partition("  thresholds:")[0])
    after = [json.loads(line)["scores"]["toxicity.output"] for line in run(config, "score", calls).stdout.splitlines()]
    own = Platt(**found["calibration"])
    for was, now in zip(before, after, strict=True):
        assert now["value"] == pytest.approx(own.of(was["value"]), abs=1e-3)
        assert now["threshold"] == pytest.approx(own.of(was["threshold"]), abs=1e-3)
        assert now["hit"] == was["hit"]
    # A second calibration is of the scores under the first, and what it says to paste is both as one.
    (again,) = json.loads(run(config, "evaluate", "--labels", file, "--calibrate", "--json").stdout)["scores"]
    assert again["calibration"]["slope"] == pytest.approx(own.slope**2, rel=0.01)


def test_a_calibration_says_which_rules_it_leaves_behind(tmp_path: Path, config: str, store: ClickHouseStore) -> None:
    Path(config).write_text(
        Path(config).read_text()
        + "event_rules: [{name: vile, event: toxicity.output, when: '>= 0.9'}, {name: made-up, event: hallucination,"
        + " when: '>= 0.9'}]\nrules: [{name: rude, metric: toxicity.output.mean, when: '> 0.2'},"
        + " {name: often, metric: toxicity.output.rate, when: '> 0.2'}]\n"
    )
    bad, scores = rows(400)
    insert(store, bad, scores, [1.0] * 400)
    file = write(tmp_path / "labels.jsonl", [{"id": f"it's-{row}", "label": one} for row, one in enumerate(bad)])
    assert run(config, "evaluate", "--labels", file).stderr == ""
    done = run(config, "evaluate", "--labels", file, "--calibrate", "--json")
    (found,) = json.loads(done.stdout)["scores"]
    limit = Platt(**found["calibration"]).of(0.9)
    assert done.stderr.splitlines() == [
        f"event_rules: vile asks for toxicity.output >= 0.9, which is {limit:.4g} once calibrated",
        "rules: rude is on toxicity.output.mean, whose numbers change once calibrated: look at its limit",
    ]


def test_too_few_labels_do_not_calibrate(tmp_path: Path, config: str, store: ClickHouseStore) -> None:
    insert(store, [True] * 9 + [False] * 60, [0.9] * 9 + [0.1] * 60, [1.0] * 69)
    labels = [{"id": f"it's-{row}", "label": row < 9} for row in range(69)]
    shown = run(config, "evaluate", "--labels", write(tmp_path / "x.jsonl", labels), "--calibrate").stdout
    assert "not calibrated: that needs 10 labels of each kind" in shown
    assert "calibration:" not in shown


def test_rows_that_a_budget_drew_count_for_those_it_passed_over(
    tmp_path: Path, config: str, store: ClickHouseStore
) -> None:
    """Low scores were drawn one time in ten, so false flags at a low threshold are ten times what is seen."""
    bad = [True] * 40 + [False] * 40
    scores = [0.9] * 40 + [0.2] * 20 + [0.9] * 20
    insert(store, bad, scores, [1.0] * 40 + [0.1] * 20 + [1.0] * 20)
    file = write(tmp_path / "x.jsonl", [{"id": f"it's-{row}", "label": one} for row, one in enumerate(bad)])
    done = run(config, "evaluate", "--labels", file, "--json", "--precision", "0.9")
    assert done.stdout, done.output
    (found,) = json.loads(done.stdout)["scores"]
    assert found["weighted"]
    assert found["auc"]["value"] == pytest.approx(1 - 0.5 * 20 / 220, abs=1e-4)
    assert found["proposal"]["reached"] is None
    shown = run(config, "evaluate", "--labels", file).stdout
    assert "precision 0.9 cannot be reached with the labels there are: the most is 0.667" in shown
    assert "no threshold to propose" in shown


def test_labelled_logs_are_scored_here_and_now(tmp_path: Path, config: str) -> None:
    insults = ["You are a stupid idiot.", "Shut up, you worthless fool.", "You disgusting moron, get lost."]
    kind = ["It comes in two days.", "Thank you for your patience.", "Your parcel is on its way."]
    labelled = [
        log(f"{place}", output=text, label="bad" if text in insults else "fine", timestamp=DAY.isoformat())
        for place, text in enumerate([*insults, *kind] * 2)
    ]
    broken = log("late", output="text", label="fine", timestamp="soon")
    file = write(tmp_path / "x.jsonl", [*labelled, broken])
    done = run(config, "evaluate", "--labels", file, "--score", "toxicity.output", "--json")
    assert done.exit_code == 1
    assert f"{file}:13: timestamp_invalid" in done.stderr
    assert done.stdout, done.output
    (found,) = json.loads(done.stdout)["scores"]
    assert (found["n"], found["bad"]) == (12, 6)
    assert found["auc"]["value"] > 0.9
    assert found["now"]["threshold"] == Toxicity.emits["toxicity.output"]


def test_one_source_of_labels(config: str) -> None:
    assert run(config, "evaluate").exit_code == 2
    assert "--labels FILE or --from-feedback" in run(config, "evaluate").output
