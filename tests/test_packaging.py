"""What is declared for the wheel is what is on disk, and each file has one name to import it by."""

from __future__ import annotations

import ast
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("schemas", "detectors", "streams", "infra")
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
NOT_SHIPPED = ("infra/docker", "infra/k8s", "infra/grafana", "infra/prometheus")
"""Deployment files: used from a checkout, not from a wheel."""
SOURCES = sorted(path for part in (*PARTS, "tests") for path in (ROOT / part).rglob("*.py"))


def test_the_declared_packages_are_those_on_disk() -> None:
    on_disk = {
        "inferwatch." + ".".join(path.parent.relative_to(ROOT).parts)
        for part in PARTS
        for path in (ROOT / part).rglob("__init__.py")
    }
    assert set(CONFIG["packages"]) == on_disk
    assert set(CONFIG["package-dir"]) == {f"inferwatch.{part}" for part in PARTS}


def test_every_folder_with_code_is_a_package() -> None:
    for part in PARTS:
        for path in (ROOT / part).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), f"{path.parent} has no __init__.py"


def test_every_data_file_is_package_data_in_a_package() -> None:
    patterns = CONFIG["package-data"]["*"]
    for part in PARTS:
        for path in (ROOT / part).rglob("*"):
            name = path.relative_to(ROOT).as_posix()
            if path.is_dir() or path.suffix in (".py", ".pyc") or name.startswith(NOT_SHIPPED):
                continue
            assert any(fnmatch(path.name, pattern) for pattern in patterns), f"{name} would not be in the wheel"
            assert (path.parent / "__init__.py").exists(), f"{name} is in no package"


def test_every_part_is_typed() -> None:
    for part in PARTS:
        assert (ROOT / part / "py.typed").exists()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_bare_and_no_relative_import(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            names = [node.module or ""]
        for name in names:
            assert name.partition(".")[0] not in PARTS, f"line {node.lineno}: import inferwatch.{name}"
