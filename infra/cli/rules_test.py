"""``inferwatch rules test``: do the rules fire where they should, and only there?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inferwatch.infra.cli.rule_settings import settings_with_rules

if TYPE_CHECKING:
    from inferwatch.infra.rule_test_files import TestFile
    from inferwatch.schemas.rule_tests import RuleTest
    from inferwatch.streams.alerting.rule_tests import Difference


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.pass_context
def test(ctx: click.Context, files: tuple[Path, ...]) -> None:
    """Run the tests in FILES: input series, and the alerts they must lead to.

    Needs no store and no service. Exit status 1 where an alert differs from what is expected, 2 where a file is wrong.
    """
    failed = 0
    for path in files:
        failed += _run(path)
    if failed:
        ctx.exit(1)


def _run(path: Path) -> int:
    """Run one file, print what came of it and return how many checks failed."""
    from inferwatch.infra.rule_test_files import read_tests
    from inferwatch.schemas.errors import Misconfigured
    from inferwatch.streams.alerting.rule_tests import differences

    file = read_tests(path)
    named = file.content.configuration
    settings = settings_with_rules(path.parent / named if named else None)
    file.check_names(settings.active_rules)
    failed = checks = 0
    for place, one in enumerate(file.content.tests):
        try:
            found = differences(one, settings.active_rules, settings.windows)
        except Misconfigured as error:
            raise Misconfigured(f"{file.at('tests', place)}: tests[{place}]: {error}") from error
        checks += len(one.alert_rule_test)
        failed += len(found)
        for difference in found:
            click.echo("\n".join(_told(file, place, one, difference)))
    tests = len(file.content.tests)
    result = click.style("FAIL", fg="red") if failed else click.style("PASS", fg="green")
    click.echo(f"{result} {path}: {tests} test{'s' * (tests != 1)}, {checks} checks, {failed} failed")
    return failed


def _told(file: TestFile, place: int, test: RuleTest, difference: Difference) -> Iterator[str]:
    from inferwatch.streams.alerting.wording import span

    check = test.alert_rule_test[difference.check]
    at = file.at("tests", place, "alert_rule_test", difference.check)
    yield f"{at}: {test.name!r}: {check.alertname} at {span(check.eval_time)}"
    for expected in difference.missing:
        value = "" if expected.exp_value is None else f"  {expected.exp_value:g}"
        yield click.style(f"    expected  {expected.exp_state:<10} {_labels(expected.exp_labels)}{value}", fg="green")
    for got in difference.unexpected:
        number = "no number" if isnan(got.value) else f"{got.value:g} of n={got.n}"
        since = "" if got.since is None else f", since {_after(got.since - test.start)}"
        yield click.style(f"    got       {got.state:<10} {_labels(dict(got.labels))}  {number}{since}", fg="red")
    if not difference.unexpected:
        yield click.style("    got       no alert of these labels", fg="red")
    elif not difference.missing:
        yield click.style("    expected  no other alert", fg="green")


def _after(length: timedelta) -> str:
    from inferwatch.streams.alerting.wording import span

    return span(length) if length else "0"


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{labels[name]}"' for name in sorted(labels)) + "}"
