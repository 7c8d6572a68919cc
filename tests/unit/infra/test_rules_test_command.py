"""``inferwatch rules test``: our own test files pass, and what is wrong with one is told by line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from inferwatch.infra.cli import main

ROOT = Path(__file__).parents[3]
OWN = [ROOT / "docs" / "rules_test.example.yaml", *sorted((ROOT / "tests" / "rules").glob("*_test.yaml"))]
CONFIGURATION = """
rules:
  - {name: errors, metric: error.rate, when: "> 5 %"}
"""
TEST = """\
configuration: inferwatch.yaml
tests:
  - name: a bad window
    input_series:
      - series: 'error.rate{application="shop"}'
        values: '0.01 0.1'
        n: 100
    alert_rule_test:
      - eval_time: 10m
        alertname: errors
        exp_alerts:
          - exp_labels: {application: shop}
            exp_value: 0.1
"""


def run(*files: Path, config: str = "") -> tuple[int, list[str], list[str]]:
    found = CliRunner().invoke(main, ["rules", "test", *map(str, files)], env={"INFERWATCH_CONFIG": config})
    return found.exit_code, found.stdout.splitlines(), found.stderr.splitlines()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "inferwatch.yaml").write_text(CONFIGURATION)
    path = tmp_path / "test.yaml"
    path.write_text(TEST)
    return path


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_our_own_files_pass(path: Path) -> None:
    code, out, err = run(path)
    assert (code, err) == (0, []), out
    assert out[-1].startswith("PASS")


def test_every_kind_of_rule_is_in_our_own_files() -> None:
    text = (ROOT / "tests" / "rules" / "semantics.yaml").read_text()
    for key in ("for:", "keep_firing_for:", "ci_low", "compare:", "burn_rate:", "no_data:", "group_by:"):
        assert key in text, key


def test_a_test_that_passes_says_how_much_was_tested(file: Path) -> None:
    assert run(file) == (0, [f"PASS {file}: 1 test, 1 checks, 0 failed"], [])


def test_a_difference_is_shown_from_both_sides_and_the_status_is_1(file: Path) -> None:
    file.write_text(TEST.replace("exp_value: 0.1", "exp_value: 0.2"))
    code, out, _ = run(file)
    assert code == 1
    assert out == [
        f"{file}:9: 'a bad window': errors at 10m",
        '    expected  firing     {application="shop"}  0.2',
        '    got       firing     {application="shop"}  0.1 of n=100, since 5m',
        f"FAIL {file}: 1 test, 1 checks, 1 failed",
    ]


def test_an_alert_that_nobody_expected_and_one_that_did_not_come(file: Path) -> None:
    file.write_text(TEST.replace("application: shop", "application: bank"))
    assert run(file)[1][1:3] == [
        '    expected  firing     {application="bank"}  0.1',
        '    got       firing     {application="shop"}  0.1 of n=100, since 5m',
    ]
    file.write_text(TEST.replace("0.01 0.1'", "0.01 0.01'"))
    assert run(file)[1][1:3] == [
        '    expected  firing     {application="shop"}  0.1',
        '    got       inactive   {application="shop"}  0.01 of n=100',
    ]


def test_one_file_that_fails_fails_all(file: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(TEST.replace("10m", "5m"))
    code, out, _ = run(bad, file)
    assert code == 1
    assert [line.split()[0] for line in out if line.startswith(("PASS", "FAIL"))] == ["FAIL", "PASS"]


def test_the_configured_rules_are_tested_where_the_file_names_none(file: Path, tmp_path: Path) -> None:
    file.write_text(TEST.replace("configuration: inferwatch.yaml\n", ""))
    assert run(file, config=str(tmp_path / "inferwatch.yaml"))[0] == 0


def test_files_of_secrets_are_not_needed(file: Path, tmp_path: Path) -> None:
    receiver = "receivers: [{type: slack, name: team, webhook_url_file: /nowhere/secret}]\n"
    (tmp_path / "inferwatch.yaml").write_text(CONFIGURATION + receiver)
    assert run(file)[0] == 0


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("error.rate{", "eror.rate{", "5: must be of a metric that a rule looks at (blind, error.rate), "
         "got 'eror.rate' (did you mean 'error.rate'?)"),
        ("alertname: errors", "alertname: error", "10: must be a rule (errors, inferwatch-blind), got 'error' "
         "(did you mean 'errors'?)"),
        ("'0.01 0.1'", "'0.01 0,1'", "6: tests[0].input_series[0].values: must be values of windows such as "
         "'0+0.01x5 _x2 0.3', got '0,1'"),
        ("eval_time: 10m", "eval_time: soon", "9: tests[0].alert_rule_test[0].eval_time: must be a duration such as "
         "30s, 5m or 1h30m, got 'soon'"),
        ("exp_value", "exp_vale", "13: tests[0].alert_rule_test[0].exp_alerts[0].exp_vale: is not a key of this part "
         "(did you mean 'exp_value'?)"),
        ("application=", "app=", "5: tests[0].input_series[0].series: must be like "
         "error.rate{application=\"support\"}, got 'error.rate{app=\"shop\"}': application is required, "
         "and at most one segment dimension allowed"),
        ("n: 100", "n: 1 2 3", "3: tests[0]: n must have one part, or one for each of the 2 values, got 3"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_told_by_line(file: Path, old: str, new: str, told: str) -> None:
    file.write_text(TEST.replace(old, new))
    assert run(file) == (2, [], [f"inferwatch: {file}:{told}"])


def test_a_wrong_rule_is_told_as_check_does(file: Path, tmp_path: Path) -> None:
    (tmp_path / "inferwatch.yaml").write_text(CONFIGURATION.replace("5 %", "500 %"))
    code, _, err = run(file)
    assert code == 2
    assert "rules[0].when: can never hold" in err[0]


@pytest.mark.parametrize(("text", "told"), [("tests: [", "is not YAML"), ("[]", "must be a mapping with tests")])
def test_what_is_no_test_file_is_said_to_be_none(file: Path, text: str, told: str) -> None:
    file.write_text(text)
    code, _, err = run(file)
    assert code == 2
    assert told in err[0]
