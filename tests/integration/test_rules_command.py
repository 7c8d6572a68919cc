"""The commands on rules, against windows that were published into a real store, here and through the service."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from inferwatch.infra.cli import main
from inferwatch.infra.cli.report import opened
from inferwatch.infra.clickhouse.store import ClickHouseStore, open_store
from inferwatch.infra.configuration import load
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.metrics import WindowMetric, wilson
from inferwatch.schemas.settings import StoreSettings
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.alerting.engine import Alerting
from inferwatch.streams.alerting.looks import Look
from inferwatch.streams.alerting.recorded import reach, recorded
from inferwatch.streams.publication import Publication, publication
from tests.integration.test_sql_endpoint import serve

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAYS = 28
RULES = """
rules:
  - {name: errors, metric: error.rate, when: "> 5 %", resolve_when: "< 3 %", min_events: 50}
  - {name: errors-by-model, metric: error.rate, when: "ci_low > 5 %", group_by: [model], applications: [shop]}
"""


def published(seed: int = 7, hours: int = DAYS * 24, every: int = 200) -> list[tuple[Publication, datetime]]:
    """Four weeks of hourly windows of two applications: incidents, a gap of a night, late rows now and then."""
    rng = np.random.default_rng(seed)
    found = []
    for hour in range(hours):
        window = Window(START + HOUR * hour, START + HOUR * (hour + 1))
        if 300 <= hour < 309:
            continue
        revisions = 2 if hour % 37 == 5 else 1
        for revision in range(revisions):
            metrics: list[WindowMetric] = []
            for application in ("shop", "bank"):
                trouble = application == "shop" and hour % every in (every // 4, every // 4 + 1, every // 4 + 2)
                for key in (
                    SeriesKey(application),
                    SeriesKey(application, "model", "m-1"),
                    SeriesKey(application, "model", "m-2"),
                ):
                    n = 40 if application == "bank" else 200 + 20 * revision
                    hits = int(rng.binomial(n, 0.15 if trouble else 0.01))
                    metrics.append(WindowMetric(window, key, "error.rate", hits / n, n, n, *wilson(hits, n)))
                    metrics.append(WindowMetric(window, key, "inferences", n, n, n))
                metrics.append(WindowMetric(window, SeriesKey(application), "toxicity.output.rate", nan, 0, 100))
            late = timedelta(minutes=1 + 150 * revision)
            found.append((publication(window, revision, 100 + revision, metrics), window.end + late))
    return sorted(found, key=lambda one: one[1])


def fill(store: ClickHouseStore) -> None:
    tables = [(each.metric_rows(at), each.window_row(at)) for each, at in published()]
    for name, rows in zip(("window_metrics_raw", "windows_raw"), zip(*tables, strict=True), strict=True):
        store.insert(name, pa.concat_tables(rows), token=name)


def configuration(folder: Path, dsn: str) -> Path:
    config = folder / "inferwatch.yaml"
    config.write_text(f"store: {{dsn: '{dsn}'}}\nwindows: {{size: 1h}}\n{RULES}")
    return config


@pytest.fixture
def configured(store: ClickHouseStore, tmp_path: Path) -> Path:
    """A configuration of a store that is filled, and open here."""
    fill(store)
    return configuration(tmp_path, store.settings.dsn.get_secret_value())


@pytest.fixture(scope="module")
def filled(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled store that nobody has open and every test only reads."""
    folder = tmp_path_factory.mktemp("filled") / "store"
    shutil.copytree(migrated, folder, symlinks=True)
    with open_store(StoreSettings(dsn=SecretStr(f"chdb://{folder}"))) as store:
        fill(store)
    return folder


@pytest.fixture
def alone(filled: Path, tmp_path: Path) -> Path:
    return configuration(tmp_path, f"chdb://{filled}")


def plain(metric: WindowMetric) -> tuple[Any, ...]:
    """Return what two metrics are compared by; NaN is the same as NaN."""
    numbers = map(repr, (metric.value, metric.ci_low, metric.ci_high))
    return metric.window, metric.series, metric.metric, metric.n, metric.total, metric.revision, *numbers


def run(config: Path, *arguments: str) -> tuple[int, str, str]:
    found = CliRunner().invoke(main, ["-c", str(config), "rules", *arguments], catch_exceptions=False)
    return found.exit_code, found.stdout, found.stderr


def test_the_windows_come_back_in_the_order_they_were_published_in(store: ClickHouseStore, configured: Path) -> None:
    settings = load(configured, {})
    start, end = reach(store) or (START, START)
    assert (start, end) == (START, START + DAYS * 24 * HOUR)
    looks = list(recorded(store, settings.rules, start, end))
    wanted = [(each.window, each.revision) for each, _ in published()]
    assert [(look.window, look.revision) for look in looks] == wanted
    numbers = {each.token: each for each, _ in published()}
    for look, each in zip(looks, numbers.values(), strict=True):
        own = [metric for metric in each.metrics if metric.metric == "error.rate"]
        assert sorted(map(plain, look.metrics)) == sorted(map(plain, own))


def test_of_two_publishers_of_a_revision_the_one_that_saw_more_counts(store: ClickHouseStore, configured: Path) -> None:
    settings = load(configured, {})
    window = Window(START, START + HOUR)
    for rows, value in ((90, 0.5), (500, 0.25)):
        metric = WindowMetric(window, SeriesKey("shop"), "error.rate", value, 100, 100)
        each = publication(window, 0, rows, [metric])
        store.insert("window_metrics_raw", each.metric_rows(START), token=each.token)
        store.insert("windows_raw", each.window_row(START), token=each.token)
    look = next(recorded(store, settings.rules, START, START + HOUR))
    assert [metric.value for metric in look.metrics] == [0.25]


def test_a_back_test_says_what_live_alerting_did(store: ClickHouseStore, tmp_path: Path) -> None:
    """Each window is published and decided in the closer's order; then the same store is back-tested."""
    config = tmp_path / "c.yaml"
    config.write_text(
        f"store: {{dsn: '{store.settings.dsn.get_secret_value()}'}}\nwindows: {{size: 1h}}\n{RULES}"
        "  - {name: held, metric: error.rate, when: '> 2 %', for: 1h, keep_firing_for: 2h}\n"
    )
    clock = ManualClock(START)
    alerting = Alerting(load(config, {}), store, {}, clock)
    for each, at in published(hours=72, every=24):
        clock.advance(at - clock.now())
        store.insert("window_metrics_raw", each.metric_rows(at), token=f"metrics {each.token}")
        alerting.decide(each.window, each.metrics)
        store.insert("windows_raw", each.window_row(at), token=f"window {each.token}")
    live = store.query(
        "SELECT rule, labels, minIf(a.at, to_state = 'firing') AS began, maxIf(a.at, to_state = 'resolved') AS ended "
        "FROM alerts AS a GROUP BY alert_id, rule, labels HAVING countIf(to_state = 'firing') > 0"
    ).to_pylist()
    store.close()
    code, out, err = run(config, "backtest", "--since", "60d", "--format", "json")
    assert code == 0, err

    def episode(rule: str, labels: Any, *times: Any) -> tuple[str, str, list[str]]:
        return rule, repr(sorted(dict(labels).items())), [f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in times]

    decided = sorted(episode(one["rule"], one["labels"], one["began"], one["ended"]) for one in live)
    assert len({rule for rule, _, _ in decided}) == 3
    told = [
        episode(one["rule"], one["labels"], *(datetime.fromisoformat(one[key]) for key in ("began", "ended")))
        for one in json.loads(out)["episodes"]
    ]
    assert sorted(told) == decided


def test_the_table_is_by_rule_and_application(alone: Path) -> None:
    code, out, err = run(alone, "backtest", "--since", "60d")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].startswith("2026-03-01 00:00 to 2026-03-29 00:00 UTC: 28.0 days, 663 windows, 18 revised")
    assert lines[1] == "The history is shorter than --since."
    rows = {tuple(line.split()[:2]): line.split() for line in lines[4:]}
    assert rows["errors", "shop"][2] == "4"
    assert rows["errors", "shop"][4] == "1.0"
    assert ("errors", "bank") not in rows, "its windows have fewer rows than min_events"
    assert rows["inferwatch-blind", "-"][2] == "0"
    assert "pages" in lines[-1]


def test_rules_that_are_not_live_yet_are_tested_from_a_file(alone: Path, tmp_path: Path) -> None:
    candidate = tmp_path / "candidate.yaml"
    candidate.write_text("rules: [{name: touchy, metric: error.rate, when: '> 1 %', min_events: 1}]\n")
    code, out, err = run(alone, "backtest", str(candidate), "--rule", "touchy", "--episodes")
    assert code == 0, err
    assert "touchy  shop" in out
    assert "touchy  bank" in out
    assert "errors" not in out
    assert "touchy [application=bank]  for 1h" in out
    assert run(alone, "backtest", str(candidate), "--rule", "toucy")[::2] == (
        2,
        "inferwatch: --rule must be one of touchy, inferwatch-blind, got 'toucy'\n",
    )


def test_only_the_end_of_the_history_counts(alone: Path) -> None:
    code, out, _ = run(alone, "backtest", "--since", "7d", "--rule", "errors", "--format", "json")
    assert code == 0
    found = json.loads(out)
    assert (found["since"], found["until"]) == ("2026-03-22T00:00:00Z", "2026-03-29T00:00:00Z")
    assert all(one["began"] > found["since"] for one in found["episodes"])
    assert found["windows"] == 7 * 24


def test_the_running_service_is_asked_where_it_holds_the_store(
    store: ClickHouseStore, configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store stays open here as the service has it; the command cannot open it, and reads by SQL over HTTP."""
    settings = load(configured, {})
    direct = list(recorded(store, settings.rules, START, START + DAYS * 24 * HOUR))

    def refused(wanted: StoreSettings, **options: Any) -> ClickHouseStore:
        if wanted.embedded:
            raise Misconfigured("another process holds the folder")
        return open_store(wanted, **options)

    for endpoint in serve(store, settings):
        monkeypatch.setattr("inferwatch.infra.clickhouse.store.open_store", refused)
        with configured.open("a") as file:
            file.write(f"web: {{port: {endpoint.port}}}\n")
        with opened(load(configured, {})) as service:
            through = list(recorded(service, settings.rules, START, START + DAYS * 24 * HOUR))
        code, out, err = run(configured, "backtest", "--since", "60d")
    assert code == 0, err
    assert list(map(_content, through)) == list(map(_content, direct))
    assert "errors" in out


def _content(look: Look) -> tuple[Any, ...]:
    return look.window, look.revision, look.seen, [plain(metric) for metric in look.metrics]


def test_an_empty_store_says_so(store: ClickHouseStore, tmp_path: Path) -> None:
    store.close()
    config = tmp_path / "c.yaml"
    config.write_text(f"store: {{dsn: '{store.settings.dsn.get_secret_value()}'}}\n{RULES}")
    code, _, err = run(config, "backtest")
    assert code == 2
    assert "the store holds no closed window yet" in err


# Suggest -------------------------------------------------------------------------------------------------------------


def test_a_threshold_is_suggested_beside_what_the_present_one_gives(alone: Path) -> None:
    code, out, err = run(alone, "suggest", "error.rate", "--alerts", "1 per 7d", "--min-events", "50")
    assert code == 0, err
    first, suggested, gives, now, also = out.splitlines()
    assert first.startswith("error.rate, every application: ")
    assert suggested.startswith('  suggested  when: "> 0.')
    assert re.fullmatch(
        r"  gives      [34] alerts in 28.0 days, 1 per \S+d \(95 % interval 1 per \S+d to 1 per \S+d\)", gives
    )
    assert now.startswith("  now        errors, > 0.05: 4 alerts in 28.0 days")
    assert also.startswith("  now        errors-by-model, ci_low > 0.05: ")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["error.rate", "--alerts", "1 per 60d"], 1, "28.0 days of history are too short for one alert in 60 days"),
        (["error.rate", "--alerts", "often"], 2, "--alerts must be a number of false alarms per duration"),
        (
            ["error.rate", "--alerts", "1 per 1d", "--group-by", "tenant"],
            2,
            "--group-by must be in segments.dimensions",
        ),
        (["eror.rate", "--alerts", "1 per 1d"], 2, "did you mean 'error.rate'?"),
        (["toxicity.output.rate", "--alerts", "1 per 1d"], 1, "no window has a number of toxicity.output.rate"),
        (["latency_ms.p95", "--alerts", "1 per 1d", "--rule", "errors"], 2, "--rule errors is about error.rate"),
    ],
)
def test_what_cannot_be_suggested_is_said(alone: Path, arguments: Sequence[str], code: int, told: str) -> None:
    found, _, err = run(alone, "suggest", *arguments)
    assert found == code
    assert told in err


def test_a_short_history_is_said_to_be_one(alone: Path) -> None:
    code, out, _ = run(alone, "suggest", "error.rate", "--alerts", "1 per 14d")
    assert code == 0
    assert out.splitlines()[-1].startswith("  The history is short: 2.0 such alerts are expected in it")


# Check ---------------------------------------------------------------------------------------------------------------


def test_check_asks_the_store_about_names_and_sizes(alone: Path) -> None:
    with alone.open("a") as file:
        file.write(
            "  - {name: typo, metric: error.rate, when: '> 5 %', applications: [shpo]}\n"
            "  - {name: small, metric: error.rate, when: '> 5 %', applications: [bank], min_events: 100}\n"
            "  - {name: unseen, metric: error.rate, when: '> 5 %', group_by: [prompt_version]}\n"
        )
    code, out, err = run(alone, "check")
    assert code == 0
    assert "6 rules, correct" in out
    warnings = [line for line in err.splitlines() if "warning: rule" in line]
    assert warnings == [
        "warning: rule typo: applications: 'shpo' has no window of the last week (did you mean 'shop'?); "
        "there are: bank, shop",
        "warning: rule small: min_events: only 0 of the last week's 168 numbers are of 100 rows or more; "
        "the median is of 40",
        "warning: rule unseen: group_by: no row of the last week has a value of 'prompt_version'",
    ]
    assert "warning: rule" not in run(alone, "check", "--no-store")[2]


def test_check_makes_no_store_where_there_is_none(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(f"store: {{dsn: 'chdb://{tmp_path}/none'}}\n{RULES}")
    assert run(config, "check")[0] == 0
    assert not (tmp_path / "none").exists()
