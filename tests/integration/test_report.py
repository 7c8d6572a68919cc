"""The report that people read, from rows in the store to the HTML file."""

from __future__ import annotations

import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from inferwatch.infra.cli import main
from inferwatch.infra.cli.report import opened
from inferwatch.infra.clickhouse.store import ClickHouseStore, open_store
from inferwatch.infra.evidently.frames import Rows, read
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.settings import Settings, StoreSettings, WebSettings
from inferwatch.schemas.windows import SeriesKey, Window
from inferwatch.streams.publication import Publication
from inferwatch.streams.references import References
from inferwatch.streams.rows import INSTANT, vector_array
from tests.integration.test_sql_endpoint import serve

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
FIELDS = ("input", "output_given_input")
# What Evidently and its libraries warn of while they are imported is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")


def fill(store: ClickHouseStore, at: datetime, count: int, *, changed: bool) -> None:
    rng = np.random.default_rng(count)
    texts = [f"{'recall of the heater' if changed else 'where is my parcel'} {n}, please" for n in range(count)]
    ids = [f"{at:%H}-{n}" for n in range(count)]
    times = pa.array([at + n * timedelta(seconds=5) for n in range(count)], INSTANT)
    common = {"id": ids, "application": ["shop"] * count, "timestamp": times, "ingested_at": times}
    rows = common | {
        "input": texts,
        "output": ["certainly"] * count,
        "latency_ms": rng.lognormal(7 if changed else 6, 0.4, count),
        "input_chars": pa.array([len(text) for text in texts], pa.uint32()),
        "model": rng.choice(["m-1", "m-2"], count).tolist(),
        "scores": pa.array(
            [[("toxicity.input", value)] for value in rng.random(count)], pa.map_(pa.string(), pa.float32())
        ),
    }
    store.insert("inferences_raw", pa.table(rows), token=f"rows {at}")
    vectors = rng.standard_normal((count, 16)).astype(np.float32) + (2 if changed else 0)
    for field in FIELDS:
        encoded = common | {
            "field": [field] * count,
            "encoder_revision": ["enc-1"] * count,
            "vector": vector_array(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)),
        }
        store.insert("embeddings_raw", pa.table(encoded), token=f"vectors {field} {at}")


@pytest.fixture
def configured(store: ClickHouseStore, tmp_path: Path) -> Path:
    """A configuration of a store with a reference and a window that differs from it; nobody has it open."""
    fill(store, START, 200, changed=False)
    fill(store, START + HOUR, 100, changed=True)
    references = References(store, SystemClock())
    for field in FIELDS:
        references.build("shop", field, START, START + HOUR)
        references.promote("shop", field, "baseline", 1)
    window = Window(START + HOUR, START + 2 * HOUR)
    found = Publication(window, 0, 100, 0, (WindowMetric(window, SeriesKey("shop"), "inferences", 100, 100, 100),))
    store.insert("window_metrics_raw", found.metric_rows(START), token="metrics")
    store.insert("windows_raw", found.window_row(START), token="window")
    store.close()
    config = tmp_path / "c.yaml"
    dsn = store.settings.dsn.get_secret_value()
    config.write_text(f"store: {{dsn: '{dsn}'}}\ndrift: {{fields: [{', '.join(FIELDS)}], window_rows: 80}}\n")
    return config


def run(config: Path, *arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(main, ["-c", str(config), "report", "--application", "shop", *arguments])
    return found.exit_code, found.output


def test_it_says_what_changed_in_a_file_that_loads_nothing(
    configured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("a report must not reach for the network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    path = tmp_path / "report.html"
    code, said = run(configured, "--window", "last", "-o", str(path))
    assert code == 0, said
    lines = said.splitlines()
    assert lines[0].endswith("shop, 2026-03-01 01:00 to 2026-03-01 02:00 UTC (80 rows) against baseline v1 (200 rows)")
    assert {"Embedding drift of inputs", "Embedding drift of outputs given their inputs"} <= set(lines)
    assert "Drift of latency_ms" in lines
    assert "Drift of input_chars" in lines
    assert not {"Drift of model", "Drift of toxicity.input"} & set(lines)
    html = path.read_text()
    assert "recall of the heater" in html
    assert "exact Kolmogorov-Smirnov p-value (inferwatch)" in html
    assert "input: words" in html
    assert "<script src" not in html
    code, said = run(configured, "--from", "2026-03-01T00:00Z", "--to", "2026-03-01T00:15Z", "-o", str(path))
    assert code == 0, said
    assert said.splitlines()[1:] == ["nothing has drifted"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--window", "2026-03-01T05:00Z"], "the newest start at 2026-03-01T01:00:00+00:00"),
        (["--window", "last", "--from", "2026-03-01"], "give --window, or both --from and --to"),
        (["--field", "output"], "has no drift reference of output"),
        (["--application", "bank"], "application 'bank' has no closed window; those that have: shop"),
    ],
)
def test_what_cannot_be_reported_is_said(configured: Path, tmp_path: Path, arguments: list[str], told: str) -> None:
    code, said = run(configured, *arguments, "-o", str(tmp_path / "report.html"))
    assert code == 2
    assert told in said


def test_without_its_libraries_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.yaml").write_text("")
    for name in [name for name in sys.modules if name.startswith("inferwatch.infra.evidently")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "evidently", None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    code, said = run(tmp_path / "c.yaml", "-o", str(tmp_path / "report.html"))
    assert code == 2
    assert "pip install 'inferwatch[report]'" in said


def test_it_asks_the_service_that_holds_the_store(
    store: ClickHouseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, START, 60, changed=False)
    settings = Settings(store=store.settings, web=WebSettings(user="ana", password=SecretStr("p w/1")))
    for endpoint in serve(store, settings):
        web = settings.web.model_copy(update={"port": endpoint.port})
        elsewhere = settings.model_copy(update={"web": web})

        def held(wanted: StoreSettings, **options: bool) -> ClickHouseStore:
            if wanted.embedded:
                raise Misconfigured("another process holds the folder")
            return open_store(wanted, **options)

        monkeypatch.setattr("inferwatch.infra.clickhouse.store.open_store", held)
        with opened(elsewhere) as asked:
            rows = Rows("shop", START, START + HOUR, 50, HOUR)
            frame = read(asked, rows, ["latency_ms", "model", "toxicity.input"], ["input"], "enc-1")
        assert len(frame) == 50
        assert len(frame["input vector"][0]) == 16
        assert frame["latency_ms"].notna().all()
