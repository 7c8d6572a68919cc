"""What the documents say is what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from inferwatch.infra.catalogue import FIXED, column_metrics, detector_names, metrics, scores
from inferwatch.infra.cli.schema import rendered
from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.infra.configuration import load
from inferwatch.infra.judge.prompt import load_prompt
from inferwatch.infra.settings_page import render
from inferwatch.schemas.errors import InvalidRecord
from inferwatch.schemas.inference import parse

ROOT = Path(__file__).parents[3]
WIRE = json.loads((ROOT / "schemas" / "wire" / "inference.v1.json").read_text())
GOOD = {"id": "a", "timestamp": "2026-01-31T08:00:00Z", "application": "support", "input": "Hello?"}


def test_the_committed_wire_schema_is_the_generated_one() -> None:
    assert (ROOT / "schemas" / "wire" / "inference.v1.json").read_text() == rendered("inference") + "\n"


def test_the_settings_page_is_the_generated_one() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == render()


@pytest.mark.parametrize(
    "record",
    [
        GOOD,
        GOOD | {"timestamp": 1769846400000},
        GOOD | {"schema_version": 1, "unknown": "x", "tags": {"channel": "chat"}},
        GOOD | {"input": [{"role": "user", "content": "Hello?"}], "output": "Hi."},
        GOOD | {"contexts": ["a", "b"], "usage": {"input_tokens": 1}, "latency_ms": 2.5, "cost_usd": 0},
    ],
)
def test_schema_and_parser_accept(record: dict[str, object]) -> None:
    jsonschema.validate(record, WIRE)
    parse(record)


@pytest.mark.parametrize(
    "record",
    [
        {name: value for name, value in GOOD.items() if name != "id"},
        {name: value for name, value in GOOD.items() if name != "timestamp"},
        {name: value for name, value in GOOD.items() if name != "input"},
        GOOD | {"id": ""},
        GOOD | {"id": 7},
        GOOD | {"timestamp": True},
        GOOD | {"timestamp": ["2026"]},
        GOOD | {"input": 5},
        GOOD | {"input": [{"content": "no role"}]},
        GOOD | {"latency_ms": -1},
        GOOD | {"latency_ms": "fast"},
        GOOD | {"usage": {"input_tokens": -4}},
        GOOD | {"usage": 12},
        GOOD | {"contexts": "one"},
        GOOD | {"tags": {"n": 1}},
        GOOD | {"schema_version": 2},
    ],
)
def test_schema_and_parser_refuse(record: dict[str, object]) -> None:
    with pytest.raises(InvalidRecord):
        parse(record)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(record, WIRE)


def test_the_readme_shows_records_and_rules_that_are_accepted(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
        parse(json.loads(block))
        jsonschema.validate(json.loads(block), WIRE)
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        (tmp_path / "c.yaml").write_text(re.sub(r"(\w+)_file: \S+", r"\1: https://example.com", block))
        load(tmp_path / "c.yaml", {})


def test_the_alerts_page_names_every_metric_and_its_rules_load(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "alerts.md").read_text()
    for name in FIXED:
        assert f"`{name}`" in text, name
    for score in scores(detector_names()):
        assert f"`{score}`" in text, score
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        named = {name for names in re.findall(r"receivers: \[(.*?)\]", block) for name in names.split(", ")}
        to = [{"type": "slack", "name": name, "webhook_url": "https://hooks.example/1"} for name in sorted(named)]
        written = yaml.safe_load(block)
        (tmp_path / "c.yaml").write_text(yaml.safe_dump({"receivers": to} | written))
        found = load(tmp_path / "c.yaml", {})
        assert [len(found.rules), len(found.event_rules)] == [
            len(written.get(key, ())) for key in ("rules", "event_rules")
        ]


def test_the_models_page_shows_configurations_that_are_accepted(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "models.md").read_text(), re.DOTALL)
    described, judged, prompt = blocks
    for block in (described, judged):
        (tmp_path / "c.yaml").write_text(re.sub(r"(\w+)_file: \S+", r"\1: k", block))
        assert load(tmp_path / "c.yaml", {}).detectors.budgets
    (tmp_path / "p.yaml").write_text(prompt)
    assert load_prompt(str(tmp_path / "p.yaml"), "x").revision.startswith("tone.v1-")


def test_the_catalogue_has_each_metric_once() -> None:
    names = metrics(scores(detector_names()), ("input", "output"))
    names += column_metrics(scores(detector_names()), ("input", "output"), ("scores", "latency_ms", "model"))
    assert len(names) == len(set(names))
    assert "toxicity.output.rate" in names
    assert "drift.input.p_value" in names
    assert "drift.toxicity.output.effect" in names
    assert "drift.model.psi" in names
    assert "drift.latency_ms.psi" not in names


def test_the_sql_page_names_every_view_and_its_columns(store: ClickHouseStore) -> None:
    text = (ROOT / "docs" / "sql.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|$", text, re.MULTILINE)
    found = store.query(
        "SELECT table, name FROM system.columns WHERE database = currentDatabase() "
        "AND table IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View')"
    ).to_pylist()
    views: dict[str, set[str]] = {}
    for row in found:
        views.setdefault(row["table"], set()).add(row["name"])
    assert {name for name, _ in rows} == set(views)
    for name, columns in rows:
        outside = re.sub(r"\([^)]*\)", "", columns)
        named = {re.match(r"\w+", column)[0] for column in re.findall(r"`([^`]+)`", outside)}  # type: ignore[index]
        assert named <= views[name], f"{name}: {named - views[name]}"


def test_the_sql_examples_run(store: ClickHouseStore) -> None:
    blocks = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "sql.md").read_text(), re.DOTALL)
    assert len(blocks) >= 5
    for block in blocks:
        store.query(block)
