"""Fixtures for every test.

The embedded engine holds one folder per process: one after the other works, two at once do not. ``store`` gives each
test its own folder and closes it. A test that needs two stores at once opens the second on the same folder with
another database: ``open_store(another("name"))``. A store a test opens itself must be closed before the test ends
(``with open_store(…)``).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import hypothesis
import pytest
from pydantic import SecretStr
from threadpoolctl import threadpool_limits

from inferwatch.detectors.encoder import choose
from inferwatch.detectors.encoder.build import build_models
from inferwatch.detectors.encoder.built import models_folder
from inferwatch.infra.clickhouse.migrate import migrate
from inferwatch.infra.clickhouse.store import ClickHouseStore, open_store
from inferwatch.schemas.settings import RetentionSettings, StoreSettings
from tests.support.databases import copied

# A busy machine is no reason to fail: examples are judged by what they show, not by how long they took.
hypothesis.settings.register_profile(
    "inferwatch", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], derandomize=True
)
hypothesis.settings.load_profile("inferwatch")


@pytest.fixture(scope="session", autouse=True)
def one_thread_for_matrices() -> Iterator[None]:
    """Matrices as small as those of tests gain nothing from threads, and lose much to them where other tests run."""
    import_module("scipy.linalg")  # brings a BLAS of its own, which must be there to be limited
    with threadpool_limits(1, "blas"):
        yield


@pytest.fixture(scope="session", autouse=True)
def no_models_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let no test depend on what ``inferwatch models build`` left on the machine it runs on."""
    empty = str(tmp_path_factory.mktemp("no-models"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choose, "models_folder", lambda configured: models_folder(configured or empty))
        yield


@pytest.fixture(scope="session")
def built_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of built models, made once."""
    folder = tmp_path_factory.mktemp("models")
    build_models(folder)
    return folder


@pytest.fixture
def store_settings(tmp_path: Path) -> StoreSettings:
    """An embedded store in a fresh folder, not yet created.

    It keeps rows for decades: retention counts from ``ingested_at`` by the machine's clock, and a test whose own clock
    stands at some fixed day would see its rows dropped as they arrive.
    """
    return embedded(tmp_path / "store")


def embedded(folder: Path) -> StoreSettings:
    retention = RetentionSettings(**dict.fromkeys(RetentionSettings.model_fields, 10_000))
    return StoreSettings(dsn=SecretStr(f"chdb://{folder}"), retention=retention)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an empty store with every table, made once: creating them takes most of a short test's time."""
    folder = tmp_path_factory.mktemp("migrated") / "store"
    migrate(embedded(folder))
    return folder


@pytest.fixture
def store(store_settings: StoreSettings, migrated: Path) -> Iterator[ClickHouseStore]:
    """A fresh, migrated, embedded store: the real engine in this process."""
    folder = store_settings.dsn.get_secret_value().removeprefix("chdb://")
    shutil.copytree(migrated, folder, symlinks=True)
    with open_store(store_settings) as opened:
        yield opened


@pytest.fixture
def another(store: ClickHouseStore, store_settings: StoreSettings) -> Callable[[str], StoreSettings]:
    """Make another empty database of the same folder, by name."""
    return lambda name: copied(store_settings, name)
