"""What was counted is what Prometheus reads."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from inferwatch.infra.telemetry import MOST_SERIES, Telemetry
from inferwatch.streams.telemetry import (
    ABSTENTIONS,
    DROPPED,
    EVENT_TO_ROW,
    INSERT,
    LAG,
    METRICS,
    SCORED,
    WATERMARK,
    Counter,
    Histogram,
    Metric,
)


def samples(telemetry: Telemetry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in text_string_to_metric_families(telemetry.text().decode()):
        for sample in family.samples:
            found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_counters_add_up_and_begin_at_nought() -> None:
    telemetry = Telemetry()
    assert samples(telemetry)["inferwatch_records_scored_total", ()] == 0
    telemetry.add(SCORED, 3)
    telemetry.add(SCORED, 4)
    telemetry.add(DROPPED, 1, "invalid_json")
    found = samples(telemetry)
    assert found["inferwatch_records_scored_total", ()] == 7
    assert found["inferwatch_records_dropped_total", (("reason", "invalid_json"),)] == 1


def test_an_empty_observation_is_none() -> None:
    telemetry = Telemetry()
    telemetry.observe(EVENT_TO_ROW, np.array([]))
    assert not any(name.startswith(EVENT_TO_ROW.name) for name, _ in samples(telemetry))


@pytest.mark.parametrize(
    "metric", [metric for metric in METRICS if isinstance(metric, Histogram)], ids=lambda m: m.name
)
def test_every_histogram_is_cumulative(metric: Histogram) -> None:
    telemetry = Telemetry()
    values = [bound * factor for bound in metric.buckets for factor in (0.999, 1, 1.001)]
    labels = ["x"] * len(metric.labels)
    telemetry.observe(metric, values, *labels)
    found = samples(telemetry)
    own = tuple(zip(metric.labels, labels, strict=True))
    for bound in metric.buckets:
        key = (f"{metric.name}_bucket", tuple(sorted((*own, ("le", str(float(bound)))))))
        assert found[key] == sum(value <= bound for value in values), bound
    assert found[f"{metric.name}_count", own] == len(values)
    assert found[f"{metric.name}_sum", own] == pytest.approx(sum(values))
    assert list(metric.buckets) == sorted(metric.buckets)


def test_what_is_read_at_the_scrape_may_be_unknown() -> None:
    telemetry = Telemetry()
    lag: dict[tuple[str, ...], float] | None = None
    telemetry.sample(LAG, lambda: lag)
    telemetry.sample(WATERMARK, lambda: 12.5)
    assert not any(name == LAG.name for name, _ in samples(telemetry))
    lag = {("0",): 3.0, ("1",): 0.0}
    found = samples(telemetry)
    assert found[LAG.name, (("partition", "0"),)] == 3
    assert found[WATERMARK.name, ()] == 12.5


def test_reasons_without_end_do_not_make_series_without_end() -> None:
    telemetry = Telemetry()
    for n in range(MOST_SERIES + 50):
        telemetry.add(ABSTENTIONS, 1, "score", f"reason {n}")
    found = {labels: value for (name, labels), value in samples(telemetry).items() if name == ABSTENTIONS.name}
    assert len(found) == MOST_SERIES + 1
    assert found[("reason", "other"), ("score", "other")] == 50
    assert telemetry.total(ABSTENTIONS, "score") == {"score": MOST_SERIES, "other": 50}


def test_two_services_in_one_process_do_not_mix() -> None:
    one, other = Telemetry(), Telemetry()
    one.add(SCORED, 5)
    assert samples(other)[SCORED.name, ()] == 0


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_prometheus(metric: Metric) -> None:
    assert re.fullmatch(r"inferwatch(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == isinstance(metric, Counter)
    assert metric.text.endswith(".")
    assert not any(unit in metric.name for unit in ("_ms", "milli", "minutes", "_kb", "percent"))
    if isinstance(metric, Histogram):
        assert metric.name.endswith("_seconds")
    assert set(metric.labels) <= {
        "backend", "detector", "loop", "partition", "python", "queue", "reason", "receiver", "result", "revision",
        "rule", "score", "stage", "state", "status", "table", "version",
    }, "a new label: can its values be counted on one's fingers, and are they never ids, users or texts?"  # fmt: skip


def test_every_declared_metric_is_listed_once() -> None:
    source = (Path(__file__).parents[3] / "streams/telemetry.py").read_text()
    declared = re.findall(r'"(inferwatch_[a-z_]+)"', source)
    assert sorted(declared) == sorted(metric.name for metric in METRICS)
    assert len(set(declared)) == len(declared)


def test_nothing_else_names_a_metric() -> None:
    root = Path(__file__).parents[3]
    for part in ("schemas", "detectors", "streams", "infra"):
        for path in (root / part).rglob("*.py"):
            if path.name != "telemetry.py":
                assert not re.search(r'"inferwatch_[a-z_]+_(total|seconds|records|info)"', path.read_text()), path


def test_a_label_of_an_insert_is_its_table() -> None:
    telemetry = Telemetry()
    telemetry.observe(INSERT, [0.02], "inferences_raw")
    assert samples(telemetry)["inferwatch_store_insert_seconds_count", (("table", "inferences_raw"),)] == 1
