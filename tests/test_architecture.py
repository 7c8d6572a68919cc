"""The rules of the house that a linter or a reader would otherwise have to remember."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("schemas", "detectors", "streams", "infra")
MODULES = sorted(path for part in PARTS for path in (ROOT / part).rglob("*.py"))
WALL_CLOCK = {
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_imports_go_one_way(tmp_path: Path) -> None:
    """import-linter sees the packages through a tree of links: it does not follow mapped package folders."""
    tree = tmp_path / "inferwatch"
    tree.mkdir()
    for part in PARTS:
        (tree / part).symlink_to(ROOT / part)
    script = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", script, "--no-cache", "--config", str(ROOT / "pyproject.toml")],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_only_one_file_imports_faust() -> None:
    found = [name_of(path) for path in MODULES if any(name.partition(".")[0] == "faust" for name in imported(path))]
    assert found == ["streams/kafka.py"]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_wall_clock_is_read_in_one_file(path: Path) -> None:
    if name_of(path) == "schemas/clock.py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            dotted = ast.unparse(node)
            assert not any(dotted == one or dotted.endswith(f".{one}") for one in WALL_CLOCK), (
                f"line {node.lineno}: {dotted}"
            )
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            assert {alias.name for alias in node.names} <= {"sleep"}, f"line {node.lineno}: import from time"


@pytest.mark.parametrize("path", [path for path in MODULES if path.name != "__init__.py"], ids=name_of)
def test_a_module_and_its_public_classes_say_what_they_are(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the module has no docstring"
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"line {node.lineno}: class {node.name} has no docstring"
