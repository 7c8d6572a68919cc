from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from inferwatch.infra.cli import COMMANDS, main


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(arguments), env={"INFERWATCH_CONFIG": ""})
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_exists(name: str) -> None:
    module = import_module(COMMANDS[name][0])
    command = getattr(module, name)
    assert isinstance(command, click.Command)
    assert command.help


def test_help_and_version_import_no_heavy_library() -> None:
    script = (
        "import sys\nfrom inferwatch.infra.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'faust', 'chdb', 'sklearn', 'pyarrow', 'numpy', 'aiohttp', 'pydantic', 'yaml'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)


def test_a_wrong_configuration_ends_with_status_2_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("web: {prot: 1}\nkafka: {partitions: 0}\n")
    code, out, err = run("-c", str(tmp_path / "c.yaml"), "rules", "check")
    assert code == 2
    assert out == ""
    assert err.splitlines() == [
        f"inferwatch: {tmp_path}/c.yaml:1: web.prot: is not a setting (did you mean 'port'?)",
        f"inferwatch: {tmp_path}/c.yaml:2: kafka.partitions: must be greater than or equal to 1, got 0",
    ]


def test_an_unknown_command_is_refused() -> None:
    code, _, err = run("wokrer")
    assert code == 2
    assert "No such command 'wokrer'" in err


def test_rules_check_says_who_is_told_of_what(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("rules: [{name: errors, metric: error.rate, when: '> 5 %', group_by: [model]}]\n")
    code, out, err = run("rules", "check", str(tmp_path / "c.yaml"))
    assert code == 0
    assert out.startswith("errors: error.rate > 5 % by model, every application; warning to nobody\n")
    assert "warning:" in err


@pytest.mark.parametrize("what", ["inference", "settings"])
def test_schema_prints_a_json_schema(what: str) -> None:
    code, out, _ = run("schema", what)
    assert code == 0
    assert json.loads(out)["type"] == "object"
