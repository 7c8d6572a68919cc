"""The rendered table definitions, for one machine and for a cluster.

A cluster cannot run here, so this file is what is known of its DDL. After a deliberate change, write the files again:
``INFERWATCH_WRITE_GOLDEN=1 pytest tests/golden/test_ddl.py``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inferwatch.infra.clickhouse.lexer import statements
from inferwatch.infra.clickhouse.migrate import JOURNAL, migrations, render
from inferwatch.schemas.settings import StoreSettings

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ddl_single.sql", StoreSettings()),
        ("ddl_cluster.sql", StoreSettings(cluster="main", database="watch")),
    ],
)
def test_the_ddl_is_what_was_agreed(name: str, settings: StoreSettings) -> None:
    rendered = [render(JOURNAL, settings).strip()]
    for migration in migrations():
        rendered += migration.statements(settings)
    text = "".join(f"{statement};\n\n" for statement in rendered)
    golden = HERE / name
    if os.environ.get("INFERWATCH_WRITE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def test_on_a_cluster_every_statement_runs_everywhere_and_every_table_is_replicated() -> None:
    settings = StoreSettings(cluster="main")
    for migration in migrations():
        for statement in migration.statements(settings):
            assert "ON CLUSTER `main`" in statement
            if "ENGINE = " in statement:
                assert "ENGINE = Replicated" in statement


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';' ; SELECT '\\';' ; SELECT 'it'';s'", ["SELECT ';'", "SELECT '\\';'", "SELECT 'it'';s'"]),
        ('SELECT 1 AS ";" ; SELECT 1 AS `;`', ['SELECT 1 AS ";"', "SELECT 1 AS `;`"]),
        ("-- a; b\nSELECT 1; /* c; d */ SELECT 2 -- e;", ["SELECT 1", "SELECT 2"]),
        ("SELECT '--', '/*'; SELECT 2", ["SELECT '--', '/*'", "SELECT 2"]),
        ("SELECT $$;$$; SELECT $x$ ' ; $x$", ["SELECT $$;$$", "SELECT $x$ ' ; $x$"]),
        (" ;; -- nothing\n;", []),
    ],
)
def test_scripts_are_split_at_the_semicolons_that_end_statements(script: str, found: list[str]) -> None:
    assert statements(script) == found
