"""``inferwatch reference`` on the real engine, from the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from aiohttp.test_utils import TestServer
from click.testing import CliRunner

from inferwatch.detectors.base import F32
from inferwatch.detectors.encoder import load
from inferwatch.infra.cli import main, reference_desk
from inferwatch.infra.clickhouse.store import ClickHouseStore, open_store
from inferwatch.infra.web.app import create_app
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import Settings, StoreSettings, WebSettings
from inferwatch.streams.references import References
from inferwatch.streams.references.sampling import Rows
from inferwatch.streams.rows import INSTANT, vector_array

START = datetime(2026, 3, 2, tzinfo=UTC)
PLACE = ("--application", "shop", "--field", "input")
PERIOD = ("--from", "2026-03-02", "--to", "2026-03-03T00:00:00Z")


class Letters:
    """Counts letters: quick, and like texts get like vectors."""

    revision, dim = "letters-1", 26

    def encode(self, texts: Sequence[str]) -> F32:
        found = np.array([[1e-3 + text.lower().count(chr(97 + n)) for n in range(26)] for text in texts], np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture
def run(tmp_path: Path, migrated: Path, store_settings: StoreSettings) -> Any:
    """Run the command against a store with 300 vectors of one day, 40 of them odd."""
    import shutil

    folder = store_settings.dsn.get_secret_value().removeprefix("chdb://")
    shutil.copytree(migrated, folder, symlinks=True)
    vectors = np.random.default_rng(0).standard_normal((300, 26)).astype(np.float32)
    vectors[120:160, :3] += 3
    n = len(vectors)
    table = {
        "application": pa.array(["shop"] * n),
        "field": pa.array(["input"] * n),
        "id": pa.array([f"id-{row}" for row in range(n)]),
        "timestamp": pa.array([START + timedelta(minutes=4 * row) for row in range(n)], INSTANT),
        "encoder_revision": pa.array(["letters-1"] * n),
        "vector": vector_array(vectors),
        "ingested_at": pa.array([START] * n, INSTANT),
    }
    with open_store(store_settings) as store:
        store.insert("embeddings_raw", pa.table(table), token="test")
    config = tmp_path / "inferwatch.yaml"
    config.write_text(f"store:\n  dsn: chdb://{folder}\n  retention:\n    embeddings_days: 10000\n")

    def call(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["-c", str(config), "reference", *arguments])
        assert result.exit_code == code, result.output
        return result.output

    return call


def test_a_period_is_built_shown_promoted_and_retired(run: Any) -> None:
    assert "was not built: not homogeneous: part 3 of 6 differs" in run("build", *PLACE, *PERIOD, "--strict", code=2)
    assert run("list") == "there are none\n"
    built = run("build", *PLACE, *PERIOD, "--rows", "200", "--seasonal", "auto")
    assert "shop input baseline v1: 200 vectors of 2026-03-02 00:00:00 to 2026-03-03 00:00:00, period" in built
    assert "warning: not homogeneous" in built
    assert "not in use yet: inferwatch reference promote" in built
    shown = json.loads(run("show", *PLACE, "--version", "1"))
    assert shown["verdict"]["seasonality"]["cycle"] == "off"
    assert shown["findings"] == shown["verdict"]["findings"]
    run("promote", *PLACE, "--version", "1", "--from", "2026-03-03T00:00:00Z")
    assert run("list").splitlines()[0].startswith("*! shop input baseline v1: 200 vectors")
    assert "counts for windows from 2026-03-03 00:00:00 on" in run("list")
    assert "has no baseline for windows from 2026-03-04T00:00:00+00:00 on" in run(
        "retire", *PLACE, "--from", "2026-03-04"
    )
    assert run("list").startswith(" ! shop input baseline v1")


def test_a_file_is_built_and_promoted(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = []
    monkeypatch.setattr(load, "load_encoder", lambda settings, prefer=None: held.append(prefer) or Letters())
    words = ["tea", "milk", "bread", "jam", "soup", "rice"]
    rng = np.random.default_rng(3)
    calls = [
        {
            "id": f"c-{n}",
            "timestamp": (START + timedelta(minutes=n)).isoformat(),
            "application": "shop",
            "input": " ".join(rng.choice(words, 4)),
        }
        for n in range(120)
    ]
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, calls)) + b"\nnonsense\n")
    built = run("build", *PLACE, "--file", str(path), "--name", "release 7", "--promote")
    assert "121 records, 120 taken" in built
    assert "not usable: invalid_json: 1" in built
    assert "shop input release 7 v1: 120 vectors" in built
    assert "promoted: counts for windows from 1970-01-01T00:00:00+00:00 on" in built
    run("build", *PLACE, "--file", str(path))
    assert held == [None, "letters-1"]


@pytest.mark.parametrize(
    "wrong", [(), PERIOD[:2], (*PERIOD, "--file", __file__), ("--file", __file__, "--seasonal", "auto")]
)
def test_either_a_period_or_files(run: Any, wrong: tuple[str, ...]) -> None:
    output = run("build", *PLACE, *wrong, code=2)
    assert "--from and --to" in output


async def test_the_service_answers_as_the_store_would(store: ClickHouseStore, store_settings: StoreSettings) -> None:
    server = TestServer(create_app(Settings(store=store_settings), store))
    await server.start_server()
    settings = Settings(store=store_settings, web=WebSettings(port=server.port))
    rows = Rows(
        tuple(f"c-{n}" for n in range(80)),
        np.random.default_rng(0).standard_normal((80, 5)).astype(np.float32),
        tuple(START + timedelta(minutes=n) for n in range(80)),
        (0,) * 80,
    )
    place = ("shop", "input", "file", 1)

    def ask() -> list[Any]:
        there = reference_desk._Service(settings)
        made = there.take(rows, application="shop", field="input", name="file", revision="letters-1", strict=True)
        since = there.promote(*place, START)
        with pytest.raises(Misconfigured, match="holds 0 vectors"):
            there.build(application="shop", field="input", name="b", start=START, end=START + timedelta(1), rows=60)
        return [made, there.list(), there.show(*place), since, there.retire("shop", "input", None)]

    made, listed, shown, since, retired = await asyncio.to_thread(ask)
    here = References(store, ManualClock(START))
    assert here.find(*place).rows == made["rows"] == 80
    np.testing.assert_array_equal(here.versions.load(*place).whole.vectors, rows.vectors)
    assert ([one["active"] for one in listed], shown["verdict"]["blocks"]) == ([True], 1)
    assert (since, retired) == ("2026-03-02T00:00:00Z", "1970-01-01T00:00:00Z")
    await server.close()
