from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from inferwatch.infra.configuration import check, load
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import Settings

GOLDEN = Path(__file__).parents[2] / "golden" / "bad_config"
EXAMPLE = Path(__file__).parents[3] / "docs" / "inferwatch.example.yaml"


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.yaml")))
def test_each_mistake_is_named_with_its_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    with pytest.raises(Misconfigured) as caught:
        load(Path(f"{name}.yaml"), {})
    assert f"{caught.value}\n" == (GOLDEN / f"{name}.expected").read_text()


def test_no_file_and_no_environment_are_the_defaults() -> None:
    assert load(None, {}) == Settings()


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert load(tmp_path / "empty.yaml", {}) == Settings()


def test_the_example_is_correct_and_has_no_warnings() -> None:
    settings, warnings = check(EXAMPLE, {})
    assert [rule.name for rule in settings.rules] == [
        "toxic-answers",
        "unsupported-answers",
        "new-kind-of-question",
        "slow",
    ]
    assert settings.rules[0].hold == timedelta(minutes=5)
    assert warnings == []


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"nowhere\.yaml: No such file"):
        load(tmp_path / "nowhere.yaml", {})


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"kafka:\n  topic: caf\xe9\n")
    with pytest.raises(Misconfigured, match="UTF-8"):
        load(tmp_path / "latin.yaml", {})


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("kafka: {bootstrap_servers: 'a:1', partitions: 2}\nweb: {port: 9}\n")
    environ = {
        "INFERWATCH_KAFKA": "b:2",
        "INFERWATCH_STORE": "chdb:///data",
        "INFERWATCH__KAFKA__PARTITIONS": "8",
        "INFERWATCH__WINDOWS__SIZE": "1m",
        "INFERWATCH__SEGMENTS__DIMENSIONS": "[tenant]",
        "INFERWATCH__DETECTORS__THRESHOLDS": "{toxicity.output: 0.5}",
        "INFERWATCH__WEB__PASSWORD": "0042",
        "OTHER": "x",
    }
    settings = load(tmp_path / "c.yaml", environ)
    assert settings.kafka.bootstrap_servers == "b:2"
    assert settings.kafka.partitions == 8
    assert settings.store.dsn.get_secret_value() == "chdb:///data"
    assert settings.windows.size == timedelta(minutes=1)
    assert settings.segments.dimensions == ("tenant",)
    assert settings.detectors.thresholds == {"toxicity.output": 0.5}
    assert settings.web.port == 9
    assert settings.web.password.get_secret_value() == "0042", "text settings are taken as they stand, not as YAML"


def test_a_mistake_in_the_environment_names_the_variable() -> None:
    with pytest.raises(Misconfigured) as caught:
        load(
            None,
            {"INFERWATCH__WEB__PROT": "1", "INFERWATCH__KAFKA__PARTITIONS": "none", "INFERWATCH__WEB__USER__X": "1"},
        )
    lines = str(caught.value).splitlines()
    assert "INFERWATCH__WEB__PROT: web.prot: is not a setting (did you mean 'port'?)" in lines
    assert "INFERWATCH__KAFKA__PARTITIONS: kafka.partitions: must be a whole number, got 'none'" in lines


def test_a_secret_may_come_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text("https://hooks.slack.com/services/T/B/x\n")
    (tmp_path / "c.yaml").write_text("receivers: [{type: slack, name: team, webhook_url_file: hook}]\n")
    receiver = load(tmp_path / "c.yaml", {}).receivers[0]
    assert receiver.type == "slack"
    assert receiver.webhook_url.get_secret_value() == "https://hooks.slack.com/services/T/B/x"


def test_detectors_of_ones_own_are_known_everywhere_by_name(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-1\n")
    (tmp_path / "c.yaml").write_text(
        "detectors:\n"
        "  enabled: [toxicity, mine, pair, judged]\n"
        "  thresholds: {mine.output: 0.9, pair: 0.1, judged: 0.6}\n"
        "  budgets: {judged: {share: 0.01, guide: mine.input}}\n"
        "  models:\n"
        "    mine: {kind: classifier, path: m, labels: {bad: 1}, reads: [input, output]}\n"
        "    pair: {kind: cross-encoder, path: m, high_is: better}\n"
        "  judges:\n"
        "    judged: {url: 'https://api.example.com/v1', model: m-1, api_key_file: key}\n"
        "drift: {columns: [mine.input]}\n"
        "rules: [{name: r, metric: judged.rate, when: '> 5 %'}, {name: s, metric: mine.output.mean, when: '> 0.5'}]\n"
    )
    settings, warnings = check(tmp_path / "c.yaml", {})
    assert settings.detectors.judges["judged"].api_key.get_secret_value() == "sk-1"
    assert settings.detectors.models["pair"].fields == ("contexts", "output")
    assert not any("judged" in line for line in warnings)
    _, warnings = check(tmp_path / "c.yaml", {"INFERWATCH__PRIVACY__REDACT": "false"})
    assert any("detectors.judges.judged: privacy.redact is off: texts leave this machine" in line for line in warnings)


def test_an_unknown_detector_is_told_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "detectors: {enabled: [mien], models: {mine: {kind: classifier, path: m, labels: {bad: 1}}}}\n"
    )
    with pytest.raises(
        Misconfigured, match=r"enabled\[0\]: must be one of .*, mine, got 'mien' \(did you mean 'mine'\?\)"
    ):
        load(tmp_path / "c.yaml", {})


def test_a_secret_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\r\n")
    settings = load(None, {"INFERWATCH__WEB__PASSWORD_FILE": str(tmp_path / "password")})
    assert settings.web.password.get_secret_value() == "s3cret"


@pytest.mark.parametrize(
    "text",
    [
        "receivers: [{type: slack, name: team, webhook_url: [hunter2]}]",
        "receivers: [{type: slack, name: team, webhook_url: {a: hunter2}}]",
        "receivers: [{type: slack, name: team, webhook: hunter2}]",
        "receivers: [hunter2]",
        "receivers: hunter2",
        "kafka: hunter2",
        "kafka: {sasl_pasword: hunter2}",
        "store: {dsn: [hunter2]}",
        "web: {host: 0.0.0.0, pasword: hunter2}",
        "hunter2",
        "detectors: {judges: {j: {url: 'https://x', model: 1, api_key: hunter2}}}",
        "detectors: {judges: {j: {api_key: [hunter2]}}}",
        "detectors: {judges: {j: {apikey: hunter2}}}",
        "detectors: {judges: hunter2}",
    ],
)
def test_no_mistake_shows_a_secret(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text + "\n")
    with pytest.raises(Misconfigured) as caught:
        load(tmp_path / "c.yaml", {})
    assert "hunter2" not in str(caught.value)


def test_rules_without_receivers_and_no_rules_are_warned_of(tmp_path: Path) -> None:
    assert "so nothing will ever alert" in check(None, {})[1][0]
    (tmp_path / "c.yaml").write_text("rules: [{name: r, metric: error.rate, when: '> 5 %'}]\n")
    assert "in the dashboard and in SQL only" in check(tmp_path / "c.yaml", {})[1][0]


def test_a_file_of_nothing_but_rules_is_put_over_another(tmp_path: Path) -> None:
    base, rules = tmp_path / "base.yaml", tmp_path / "rules.yaml"
    base.write_text(
        "segments: {dimensions: [tenant]}\n"
        "rules: [{name: old, metric: error.rate, when: '> 500 %'}]\n"
        "receivers: [{type: slack, name: team, webhook_url_file: hook}]\n"
    )
    (tmp_path / "hook").write_text("https://hooks.example.org/x\n")
    rules.write_text("rules: [{name: new, metric: error.rate, when: '> 5 %', group_by: [tenant], receivers: [team]}]\n")
    settings, _ = check(rules, {}, base=base)
    assert [rule.name for rule in settings.rules] == ["new"]
    assert settings.segments.dimensions == ("tenant",)
    assert [receiver.name for receiver in settings.receivers] == ["team"]


def test_mistakes_of_two_files_are_named_in_their_own(tmp_path: Path) -> None:
    base, rules = tmp_path / "base.yaml", tmp_path / "rules.yaml"
    base.write_text("web:\n  prot: 1\n")
    rules.write_text("\n\nrules:\n  - {name: new, metric: eror.rate, when: '> 5 %'}\n")
    with pytest.raises(Misconfigured) as caught:
        check(rules, {}, base=base)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{base}:2: web.prot: is not a setting")
    assert second.startswith(f"{rules}:4: rules[0].metric: must be a metric")


def test_a_file_that_holds_more_than_rules_stands_alone(tmp_path: Path) -> None:
    base, whole = tmp_path / "base.yaml", tmp_path / "whole.yaml"
    base.write_text("web: {port: 9}\n")
    whole.write_text("rules: []\nmonitoring: {blind_alert: false}\n")
    assert check(whole, {}, base=base)[0].web.port == Settings().web.port


def test_files_of_secrets_can_be_left_unread(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("receivers: [{type: slack, name: team, webhook_url_file: /nowhere/hook}]\n")
    with pytest.raises(Misconfigured, match="cannot be read"):
        check(path, {})
    settings, _ = check(path, {}, secrets=False)
    assert [receiver.name for receiver in settings.receivers] == ["team"]
