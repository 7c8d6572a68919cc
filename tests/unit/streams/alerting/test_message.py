"""The message says the truth: its SQL computes its number, its examples are the worst rows, its text is safe."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.infra.clickhouse.reader import Reader
from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.alerts import AlertState, Notification, State, fingerprint
from inferwatch.schemas.explanation import Brief, Share
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import Rule
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import ALL, OTHER, SeriesKey, Window
from inferwatch.streams.aggregate import aggregate
from inferwatch.streams.alerting.evaluation import Memory
from inferwatch.streams.alerting.message import Change, compose
from inferwatch.streams.alerting.outbox import decode, encode
from inferwatch.streams.alerting.reading import Reading, read
from inferwatch.streams.alerting.reproduce import literal, reproduce
from inferwatch.streams.alerting.state import step
from inferwatch.streams.alerting.wording import findings, group

START = datetime(2026, 3, 1, 14, tzinfo=UTC)
SIZE = timedelta(minutes=15)
NOW = Window(START, START + SIZE)
INSTANT = pa.timestamp("ms", tz="UTC")
THRESHOLDS = {"toxicity.output": 0.9, "hallucination": 0.6}
EVIL = """it's "$(rm -rf ~)" `id` \\ !! & <!channel> \n ü"""
SETTINGS = Settings.model_validate({"segments": {"dimensions": ["model", "tags.team"], "max_values": 3}})


def fill(store: ClickHouseStore, rows: list[Mapping[str, Any]], token: str = "rows") -> None:
    def column(name: str, kind: pa.DataType, default: Any) -> pa.Array[Any]:
        return pa.array([row.get(name, default) for row in rows], kind)

    pairs = pa.map_(pa.string(), pa.string())
    store.insert(
        "inferences_raw",
        pa.table(
            {
                "topic": pa.array(["t"] * len(rows)),
                "partition": pa.array([0] * len(rows), pa.uint32()),
                "offset": pa.array(range(len(rows)), pa.uint64()),
                "id": pa.array([row.get("id", f"id-{place}") for place, row in enumerate(rows)]),
                "timestamp": column("timestamp", INSTANT, START + timedelta(minutes=3, seconds=7)),
                "application": column("application", pa.string(), "shop"),
                "model": column("model", pa.string(), ""),
                "input": column("input", pa.string(), ""),
                "output": column("output", pa.string(), ""),
                "output_chars": column("output_chars", pa.uint32(), 0),
                "error": column("error", pa.string(), ""),
                "latency_ms": column("latency_ms", pa.float64(), None),
                "input_tokens": column("input_tokens", pa.uint32(), None),
                "output_tokens": column("output_tokens", pa.uint32(), None),
                "cost_usd": column("cost_usd", pa.float64(), None),
                "tags": column("tags", pairs, []),
                "scores": column("scores", pa.map_(pa.string(), pa.float32()), []),
                "abstained": column("abstained", pairs, []),
                "evidence": column("evidence", pa.string(), "[]"),
                "ingested_at": pa.array([START] * len(rows), INSTANT),
            }
        ),
        token=token,
    )


def publish(store: ClickHouseStore, metrics: list[WindowMetric]) -> None:
    def instants(values: list[datetime]) -> pa.Array[Any]:
        return pa.array(values, INSTANT)

    store.insert(
        "window_metrics_raw",
        pa.table(
            {
                "window_start": instants([one.window.start for one in metrics]),
                "window_end": instants([one.window.end for one in metrics]),
                "application": [one.series.application for one in metrics],
                "segment_dimension": [one.series.dimension for one in metrics],
                "segment_value": [one.series.value for one in metrics],
                "metric": [one.metric for one in metrics],
                "value": pa.array([one.value for one in metrics], pa.float64()),
                "n": pa.array([one.n for one in metrics], pa.uint64()),
                "total": pa.array([one.total for one in metrics], pa.uint64()),
                "ci_low": pa.array([one.ci_low for one in metrics], pa.float64()),
                "ci_high": pa.array([one.ci_high for one in metrics], pa.float64()),
                "revision": pa.array([0] * len(metrics), pa.uint32()),
                "detail": ["{}"] * len(metrics),
                "published_at": instants([START] * len(metrics)),
            }
        ),
        token="metrics",
    )
    windows = sorted({one.window for one in metrics})
    store.insert(
        "windows_raw",
        pa.table(
            {
                "window_start": instants([one.start for one in windows]),
                "window_end": instants([one.end for one in windows]),
                "revision": pa.array([0] * len(windows), pa.uint32()),
                "rows": pa.array([1] * len(windows), pa.uint64()),
                "closed_at": instants([START] * len(windows)),
            }
        ),
        token="windows",
    )


def rule(metric: str, when: str = "> 5 %", **changes: Any) -> Rule:
    return Rule.model_validate({"name": "r", "metric": metric, "when": when, "min_events": 1} | changes)


def reading(the_rule: Rule, metric: WindowMetric) -> Reading:
    return read(the_rule, metric.window, metric, Memory([the_rule], SIZE))


def told(store: ClickHouseStore, the_rule: Rule, metric: WindowMetric, state: AlertState | None = None) -> Notification:
    labels = metric.series.labels()
    identity = fingerprint(the_rule.name, labels)
    _, [transition] = step(the_rule, state or AlertState(), identity, labels, reading(the_rule, metric))
    [note] = compose(store, SETTINGS, THRESHOLDS, the_rule, [Change(transition, metric)])
    return note


def shop(place: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"id-{place}",
        "timestamp": START + timedelta(seconds=place),
        "input": f"question {place}",
        "output": f"answer {place}",
        "latency_ms": 100.25 + place * 7.1 % 31,
        "output_chars": 10 + place,
        "output_tokens": 3 + place,
        "input_tokens": 2 + place if place % 3 else None,
        "cost_usd": 0.0001 * place if place % 4 else None,
        "error": "" if place % 5 else f"timeout {place}",
        "scores": [("toxicity.output", place / 40)] + ([("hallucination", 1 - place / 40)] if place % 2 else []),
        "abstained": [] if place % 2 else [("hallucination", "no contexts")],
    } | more


MIXED = [
    *(shop(place, model=EVIL if place % 4 else f"m-{place}", tags=[("team", "a")]) for place in range(40)),
    *(shop(place, id=f"o-{place}", application=EVIL, model="m") for place in range(12)),
    shop(0, id="before", timestamp=START - timedelta(milliseconds=1)),
    shop(0, id="after", timestamp=NOW.end),
]


def test_the_sql_computes_the_number_for_every_metric_of_every_series(store: ClickHouseStore) -> None:
    fill(store, MIXED)
    metrics = aggregate(store, NOW, SETTINGS.segments, THRESHOLDS)
    drift = [WindowMetric(NOW, SeriesKey(EVIL), "drift.input.p_value", 0.001, 500, 900)]
    publish(store, metrics + drift)
    reader = Reader(store.settings, SETTINGS.web)
    kinds = set()
    for metric in metrics + drift:
        sql = reproduce(metric, THRESHOLDS, SETTINGS.segments.max_values)
        [line] = reader.run(sql, default_format="JSONCompactEachRow").body.splitlines()
        found = orjson.loads(line)[0]
        kinds.add((metric.metric, metric.series.dimension, metric.series.value == OTHER))
        if isnan(metric.value):
            assert found is None, sql
        else:
            assert float(found) == pytest.approx(metric.value, rel=1e-12), sql
    reader.close()
    assert len({name for name, _, _ in kinds}) == 8 + 3 * len(THRESHOLDS) + 1
    assert {(dimension, other) for _, dimension, other in kinds} == {
        (ALL, False), ("model", False), ("model", True), ("tags.team", False),
    }  # fmt: skip


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40))
def test_a_shell_and_a_chat_leave_the_sql_as_it_is(value: str) -> None:
    text = literal(value)
    assert not set(text[1:-1]) & set("\"$`!'&<>;|()*?\n\r\t")
    assert "\\" not in text.replace("\\x", "")


def test_a_shell_hands_over_exactly_the_sql_and_runs_nothing() -> None:
    metric = WindowMetric(NOW, SeriesKey(EVIL, "model", EVIL), "toxicity.output.rate", 0.5, 10, 10)
    sql = reproduce(metric, THRESHOLDS, 3)
    found = subprocess.run(["bash", "-c", f'printf %s "{sql}"'], capture_output=True, check=True, timeout=10)
    assert found.stdout.decode() == sql


def test_a_page_says_what_where_since_when_and_how_much_against_what(store: ClickHouseStore) -> None:
    fill(store, [shop(place, model="m-2") for place in range(40)])
    [metric] = (
        one
        for one in aggregate(store, NOW, SETTINGS.segments, THRESHOLDS)
        if (one.metric, one.series.value) == ("toxicity.output.rate", "m-2")
    )
    earlier = [
        WindowMetric(
            Window(START - back * SIZE, START - (back - 1) * SIZE), metric.series, metric.metric, value, 50, 50
        )
        for back, value in ((1, 0.02), (2, 0.01), (13, 0.9))
    ]
    publish(store, earlier)
    note = told(store, rule("toxicity.output.rate", title="The assistant abuses customers", group_by=["model"]), metric)
    assert note.title == "The assistant abuses customers: shop, model m-2"
    assert note.summary == (
        "7.5 % of inferences (3 of 40 scored) reached 0.9 for toxicity.output between 14:00 and 14:15 UTC on 1 March. "
        "It was 1.5 % on average in the 2 windows before. The rule fires at > 5 %."
    )
    assert (note.threshold, note.n, note.value) == ("> 5 %", 40, 0.075)
    assert note.reference == "1.5 % on average in the 2 windows before"
    assert note.url == f"http://127.0.0.1:8123/alerts/{note.alert_id}"
    assert note.examples == (
        "“answer 39” (score 0.98; 14:00:39, id id-39)",
        "“answer 38” (score 0.95; 14:00:38, id id-38)",
        "“answer 37” (score 0.93; 14:00:37, id id-37)",
    )


def test_a_resolve_says_what_it_was(store: ClickHouseStore) -> None:
    metric = WindowMetric(NOW, SeriesKey("shop"), "error.rate", 0.01, 100, 100)
    firing = AlertState(State.FIRING, START - 3 * SIZE, START - 2 * SIZE)
    note = told(store, rule("error.rate"), metric, firing)
    assert (
        note.summary
        == "Back to normal after 1h. 1 % of calls (1 of 100) failed between 14:00 and 14:15 UTC on 1 March."
    )
    assert note.examples == ()


def test_a_description_ends_with_the_runbook(store: ClickHouseStore) -> None:
    metric = WindowMetric(NOW, SeriesKey("shop"), "error.rate", 0.5, 100, 100)
    note = told(store, rule("error.rate", description="Call Ann.", runbook_url="https://r.example/1"), metric)
    assert note.description == "Call Ann.\nRunbook: https://r.example/1"


@pytest.mark.parametrize(
    ("the_rule", "value", "expected"),
    [
        (rule("error.rate"), 0.5, "“question 0” (failed: timeout 0; 14:00:00, id id-0)"),
        (rule("latency_ms.p95", "> 10"), 130, "“question 13” (131 ms; 14:00:13, id id-13)"),
        (rule("latency_ms.p95", "< 1000"), 130, "“question 0” (100 ms; 14:00:00, id id-0)"),
        (rule("cost_usd.sum", "> 0"), 1, "“question 39” ($0.00; 14:00:39, id id-39)"),
        (rule("output_chars.mean", "< 100"), 30, "“answer 0” (10 characters; 14:00:00, id id-0)"),
        (rule("hallucination.coverage", "< 90 %"), 0.5, "“answer 0” (not scored: no contexts; 14:00:00, id id-0)"),
        (rule("hallucination.mean", "> 10 %"), 0.5, "“answer 1” (score 0.98; 14:00:01, id id-1)"),
    ],
)
def test_examples_are_the_rows_that_moved_the_number(
    store: ClickHouseStore, the_rule: Rule, value: float, expected: str
) -> None:
    fill(store, [shop(place) for place in range(40)])
    note = told(store, the_rule, WindowMetric(NOW, SeriesKey("shop"), the_rule.metric, value, 40, 40))
    assert len(note.examples) == 3
    assert note.examples[0] == expected


def test_drift_shows_the_rows_the_test_named_in_its_order(store: ClickHouseStore) -> None:
    fill(store, [shop(place) for place in range(40)])
    detail = {"examples": ["id-7", "id-3", "id-9", "id-1"], "reference": "baseline v2", "n_reference": 1000}
    metric = WindowMetric(NOW, SeriesKey("shop"), "drift.input.p_value", 0.001, 500, 900, detail=detail)
    note = told(store, rule("drift.input.p_value", "<= 0.01"), metric)
    assert [line.split("”")[0] for line in note.examples] == ["“question 7", "“question 3", "“question 9"]
    assert note.title == "Inputs differ from the reference: shop"
    assert (
        "500 inputs between 14:00 and 14:15 UTC on 1 March compared with baseline v2 (1,000 rows): p-value 0.001."
        in (note.summary)
    )


def test_the_drift_of_outputs_given_their_inputs_shows_outputs(store: ClickHouseStore) -> None:
    fill(store, [shop(place) for place in range(40)])
    detail = {"examples": ["id-7"], "reference": "baseline v2", "n_reference": 1000, "explanation": EXPLAINED}
    name = "drift.output_given_input.p_value"
    note = told(
        store, rule(name, "<= 0.01"), WindowMetric(NOW, SeriesKey("shop"), name, 0.001, 500, 900, detail=detail)
    )
    assert note.title.startswith("Outputs given their inputs differ from the reference (solar panels")
    assert "500 outputs given their inputs between 14:00 and 14:15 UTC on 1 March compared" in note.summary
    assert note.findings[0].endswith("(11 % of outputs, 95 % interval 8 to 14 %)")
    assert note.examples[0].startswith("“answer 7")
    assert note.picture.endswith("/explanation.svg")


def test_the_recurrence_of_drift_is_told_as_how_often_it_happens_without(store: ClickHouseStore) -> None:
    detail = {"reference": "baseline v2", "n_reference": 1000, "since": "2026-03-01T13:15:00+00:00"}
    series, name = SeriesKey("shop"), "drift.input.recurrence"
    budget = Rule.model_validate({"name": "r", "metric": "drift.input", "false_alarms": "1 per 30d"})
    note = told(store, budget, WindowMetric(NOW, series, name, 1500.0, 2000, 900, detail=detail))
    assert note.title == "Inputs differ from the reference: shop"
    assert note.summary == (
        "2,000 inputs between 13:15 and 14:15 UTC on 1 March compared with baseline v2 (1,000 rows): "
        "evidence this strong appears without drift once in 4.1 years. "
        "The rule fires at > 30 days (false alarms: 1 per 30d)."
    )


EXPLAINED = {
    "new": {"value": 0.11, "low": 0.08, "high": 0.14},
    "gone": {"value": 0.2, "low": 0.1, "high": 0.3},
    "keywords": ["solar panels", "feed-in tariff", "roof", "inverter"],
    "gone_keywords": ["night storage"],
    "segments": [{"dimension": "model", "value": EVIL, "rows": 50, "share": 0.62, "elsewhere": 0.09}],
    "note": "",
}


def test_drift_names_the_new_topic_how_much_it_is_and_where(store: ClickHouseStore) -> None:
    detail = {"examples": ["id-7"], "reference": "baseline v2", "n_reference": 1000, "explanation": EXPLAINED}
    metric = WindowMetric(NOW, SeriesKey("shop"), "drift.input.p_value", 0.001, 500, 900, detail=detail)
    note = told(store, rule("drift.input.p_value", "<= 0.01"), metric)
    assert note.title == "Inputs differ from the reference (solar panels, feed-in tariff, roof): shop"
    assert note.summary.startswith(
        "New: solar panels, feed-in tariff, roof (11 % of inputs, 95 % interval 8 to 14 %). 500 inputs between 14:00 "
        "and 14:15 UTC on 1 March compared with baseline v2 (1,000 rows): p-value 0.001."
    )
    assert note.findings == (
        "New: solar panels, feed-in tariff, roof, inverter (11 % of inputs, 95 % interval 8 to 14 %)",
        f"model {EVIL}: 62 % of its 50 inputs are new, 9 % elsewhere",
        "Gone: night storage (20 % of the reference's inputs, 95 % interval 10 to 30 %)",
    )
    assert note.picture == f"http://127.0.0.1:8123/api/v1/alerts/{note.alert_id}/explanation.svg"
    assert outbox_copy(note) == note


def outbox_copy(note: Notification) -> Notification:
    """The note as the outbox stores it and reads it back."""
    return decode(encode(note))


@pytest.mark.parametrize(
    "explanation", [None, "words", {}, EXPLAINED | {"new": {"share": 1}}, EXPLAINED | {"segments": [{"value": "8"}]}]
)
def test_an_explanation_of_another_version_is_left_out(store: ClickHouseStore, explanation: Any) -> None:
    detail = {"reference": "baseline v2", "n_reference": 1000, "explanation": explanation}
    metric = WindowMetric(NOW, SeriesKey("shop"), "drift.input.p_value", 0.001, 500, 900, detail=detail)
    note = told(store, rule("drift.input.p_value", "<= 0.01"), metric)
    assert note.title == "Inputs differ from the reference: shop"
    assert (note.findings, note.picture) == ((), "")


def test_where_no_group_stands_out_none_is_claimed() -> None:
    unproven = Brief(Share(0.04, 0.0, 0.2), Share(0.3, 0.0, 0.5), note="no texts")
    assert group(unproven, "output") == ""
    assert findings(unproven, "output") == (
        "No group of new outputs stands out; the examples are the least usual ones.",
        "(no texts)",
    )
    wordless = Brief(Share(0.3, 0.2, 0.4), Share(0.0, 0.0, 0.1))
    assert group(wordless, "output").startswith("New: outputs unlike those of the reference (30 % of outputs")


def test_evidence_is_shown_in_place_of_the_whole_text_and_long_texts_are_cut(store: ClickHouseStore) -> None:
    evidence = [
        {"name": "toxicity.output", "field": "output", "text": "rude", "score": 1.0},
        {"name": "hallucination", "field": "output", "text": "Refunds take 9 days.", "score": 0.4},
        {"name": "hallucination", "field": "output", "text": "We have 99 shops.", "score": 0.9, "reason": "number 99"},
    ]
    scores = [("hallucination", 0.9)]
    fill(store, [
        shop(0, scores=[("hallucination", 0.95)], output="word " * 1000),
        shop(1, scores=scores, evidence=orjson.dumps(evidence).decode()),
        shop(2, scores=[("hallucination", 0.8)], output=""),
    ])  # fmt: skip
    note = told(
        store, rule("hallucination.rate"), WindowMetric(NOW, SeriesKey("shop"), "hallucination.rate", 1.0, 3, 3)
    )
    cut, proven, empty = note.examples
    assert cut.startswith("“word word")
    assert 190 < cut.index("”") < 205
    assert proven == "“We have 99 shops.” (score 0.90, number 99; 14:00:01, id id-1)"
    assert empty.startswith("(no text stored) (score 0.80")


def test_each_of_many_instances_gets_its_own_examples_and_past(store: ClickHouseStore) -> None:
    rows = [shop(place, model=f"m-{place % 4}") for place in range(40)]
    rows += [shop(place, id=f"rare-{place}", model=f"rare-{place}") for place in range(3)]
    fill(store, rows)
    the_rule = rule("toxicity.output.rate", "> -1", group_by=["model"])
    metrics = [
        one
        for one in aggregate(store, NOW, SETTINGS.segments, THRESHOLDS)
        if one.metric == the_rule.metric and one.series.dimension == "model"
    ]
    assert OTHER in {one.series.value for one in metrics}
    changes = []
    for metric in metrics:
        labels = metric.series.labels()
        _, [transition] = step(the_rule, AlertState(), fingerprint("r", labels), labels, reading(the_rule, metric))
        changes.append(Change(transition, metric))
    notes = compose(store, SETTINGS, THRESHOLDS, the_rule, changes)
    by_model = {
        note.labels["model"]: [line.rpartition("id ")[2].rstrip(")") for line in note.examples] for note in notes
    }
    assert by_model == {
        "m-0": ["id-36", "id-32", "id-28"],
        "m-1": ["id-37", "id-33", "id-29"],
        "m-2": ["id-38", "id-34", "id-30"],
        OTHER: ["id-39", "id-35", "id-31"],
    }


@pytest.mark.parametrize(
    ("metric", "detail", "title", "said", "shown"),
    [
        (
            "drift.latency_ms.p_value",
            {"median": [403.0, 665.0], "p95": [900.0, 1512.0]},
            "Latency differs from the reference: shop",
            "Latency of 500 calls between 14:00 and 14:15 UTC on 1 March compared with baseline v2 (1,000 rows): "
            "median 665 ms, then 403 ms; 95 % are at most 1,512 ms, then 900 ms; p-value 0.001.",
            "“question 7” (119 ms; 14:00:07, id id-7)",
        ),
        (
            "drift.hallucination.effect",
            {"median": [0.1, 0.4], "p95": [0.5, 0.9]},
            "hallucination differs from the reference: shop",
            "hallucination of 500 calls between 14:00 and 14:15 UTC on 1 March compared with baseline v2 (1,000 rows): "
            "median 0.4, then 0.1; 95 % are at most 0.9, then 0.5; distance 0.001.",
            "“answer 7” (score 0.82; 14:00:07, id id-7)",
        ),
        (
            "drift.model.psi",
            {"changes": [["m-3", 0.0, 0.43], ["m-1", 0.8, 0.41]], "psi_limit": 0.0123},
            "Mix of models differs from the reference: shop",
            "Mix of models of 500 calls between 14:00 and 14:15 UTC on 1 March compared with baseline v2 (1,000 rows): "
            "m-3 43 %, then 0 %; m-1 41 %, then 80 %; PSI stays below 0.0123 in 999 of 1,000 windows without a change; "
            "PSI 0.001.",
            "“question 7” (14:00:07, id id-7)",
        ),
    ],
)
def test_the_drift_of_a_column_says_from_what_to_what(
    store: ClickHouseStore, metric: str, detail: Mapping[str, Any], title: str, said: str, shown: str
) -> None:
    fill(store, [shop(place) for place in range(40)])
    full = {"examples": ["id-7", "id-3"], "reference": "baseline v2", "n_reference": 1000} | dict(detail)
    note = told(store, rule(metric, "> 0"), WindowMetric(NOW, SeriesKey("shop"), metric, 0.001, 500, 900, detail=full))
    assert note.title == title
    assert said in note.summary
    assert note.examples[0] == shown
    assert len(note.examples) == 2


def test_a_p_value_beyond_imagination_is_told_in_few_digits(store: ClickHouseStore) -> None:
    fill(store, [shop(place) for place in range(4)])
    metric = WindowMetric(NOW, SeriesKey("shop"), "drift.latency_ms.p_value", 3e-300, 500, 900)
    note = told(store, rule("drift.latency_ms.p_value", "< 0.01"), metric)
    assert "in less than 1 window of 1,000,000,000." in note.summary
