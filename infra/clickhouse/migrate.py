"""Brings the database to the newest table definitions: numbered SQL files, each applied once.

A file's statements must be repeatable (IF NOT EXISTS, OR REPLACE): ClickHouse has no transactions over DDL, so a
start that crashed half-way, or two starts at once, apply a file again. A file that was applied is never edited;
only the retention may change, and then the tables' TTL follows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from string import Template

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from inferwatch.infra.clickhouse.connection import connect
from inferwatch.infra.clickhouse.failures import failure
from inferwatch.infra.clickhouse.lexer import statements
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import StoreSettings

JOURNAL = """
CREATE TABLE IF NOT EXISTS ${database}.schema_migrations ${on_cluster} (
    name String,
    checksum String,
    retention Map(String, String),
    applied_at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree(applied_at)
ORDER BY name
"""
LONGEST_DAYS = 20_000
"""A TTL is a 32-bit DateTime, which ends in 2106: beyond it wraps around, and rows would be dropped as they arrive."""
_TTL = re.compile(r"CREATE TABLE IF NOT EXISTS (?P<table>\S+).*^TTL (?P<ttl>[^\n]+)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    name: str
    script: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.script.encode()).hexdigest()

    def statements(self, settings: StoreSettings) -> list[str]:
        """Return its statements, ready to run."""
        return [render(statement, settings) for statement in statements(self.script)]


def migrations() -> list[Migration]:
    """Return every migration, in order."""
    folder = resources.files("inferwatch.infra.clickhouse.migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [Migration(file.name.removesuffix(".sql"), file.read_text("utf-8")) for file in files]


def render(statement: str, settings: StoreSettings) -> str:
    """Fill in the ``${…}`` of one statement.

    With ``settings.cluster``, DDL runs ON CLUSTER and tables are replicated, with the server's default replica path.
    """
    values = {
        "database": settings.database,
        "on_cluster": f"ON CLUSTER `{settings.cluster}`" if settings.cluster else "",
        "replicated": "Replicated" if settings.cluster else "",
        "part_removal_threshold": "1000000" if settings.embedded else "100",
        **_retention(settings),
    }
    return Template(statement).substitute(values)


def migrate(settings: StoreSettings) -> list[str]:
    """Create the database and apply what is missing.

    Harmless to repeat, and for several processes to do at once.

    Returns:
        What was done, in order; empty when there was nothing to do.

    Raises:
        Misconfigured: an applied file was changed since, or the store cannot be opened (see ``open_store``).
        StoreUnavailable: a server did not answer.
    """
    with connect(settings, {"session_timezone": "UTC"}, database=False) as client:
        try:
            return list(_migrate(client, settings))
        except ClickHouseError as error:
            raise failure(error, f"migrate database {settings.database!r}") from error


def _migrate(client: Client, settings: StoreSettings) -> Iterator[str]:
    client.command(render("CREATE DATABASE IF NOT EXISTS ${database} ${on_cluster}", settings))
    client.command(render(JOURNAL, settings))
    applied = _applied(client, settings)
    for migration in migrations():
        if migration.name not in applied:
            for statement in migration.statements(settings):
                client.command(statement)
            _record(client, settings, migration)
            yield migration.name
            continue
        checksum, retention = applied[migration.name]
        if checksum != migration.checksum:
            raise Misconfigured(
                f"migration {migration.name} was changed after it had been applied to database "
                f"{settings.database!r} (applied: {checksum[:12]}, now: {migration.checksum[:12]}); "
                f"restore the file and put the change into a new one"
            )
        if retention != _retention(settings):
            for table, ttl in _changed_ttls(migration, retention, settings):
                client.command(f"ALTER TABLE {table} {render('${on_cluster}', settings)} MODIFY TTL {ttl}")
                yield f"{migration.name}: {table} TTL {ttl}"
            _record(client, settings, migration)


def _changed_ttls(migration: Migration, before: dict[str, str], settings: StoreSettings) -> Iterator[tuple[str, str]]:
    for statement in statements(migration.script):
        found = _TTL.search(statement)
        if found is None:
            continue
        now = render(found["ttl"], settings)
        if now != Template(found["ttl"]).safe_substitute(before):
            yield render(found["table"], settings), now


def _retention(settings: StoreSettings) -> dict[str, str]:
    days: dict[str, int] = settings.retention.model_dump()
    for name, value in days.items():
        if value > LONGEST_DAYS:
            raise Misconfigured(f"store.retention.{name} must be at most {LONGEST_DAYS}, got {value}")
    return {name: str(value) for name, value in days.items()}


def _applied(client: Client, settings: StoreSettings) -> dict[str, tuple[str, dict[str, str]]]:
    rows = client.query(
        f"SELECT name, checksum, retention FROM {settings.database}.schema_migrations FINAL"
    ).result_rows
    return {name: (checksum, dict(retention)) for name, checksum, retention in rows}


def _record(client: Client, settings: StoreSettings, migration: Migration) -> None:
    retention = _retention(settings)
    client.command(
        f"INSERT INTO {settings.database}.schema_migrations "
        "SELECT {name:String}, {checksum:String}, mapFromArrays({keys:Array(String)}, {days:Array(String)}), now64(3)",
        parameters={
            "name": migration.name,
            "checksum": migration.checksum,
            "keys": list(retention),
            "days": list(retention.values()),
        },
    )
