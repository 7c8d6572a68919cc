"""An embedded store for one part of the benchmark."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from inferwatch.infra.clickhouse.migrate import migrate
from inferwatch.infra.clickhouse.store import ClickHouseStore, open_store
from inferwatch.schemas.settings import RetentionSettings, StoreSettings


@contextmanager
def temporary_store() -> Iterator[ClickHouseStore]:
    """Open an empty store in a folder that is gone afterwards; it keeps rows of any day, as nothing expires."""
    with tempfile.TemporaryDirectory() as folder:
        retention = RetentionSettings(**dict.fromkeys(RetentionSettings.model_fields, 10_000))
        settings = StoreSettings(dsn=SecretStr(f"chdb://{folder}/store"), retention=retention)
        migrate(settings)
        with open_store(settings) as store:
            yield store
