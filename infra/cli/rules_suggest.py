"""``inferwatch rules suggest``: which threshold gives as many alerts as somebody wants to have?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from inferwatch.infra.cli.options import Length, configuration
from inferwatch.infra.cli.progress import busy, shown
from inferwatch.infra.cli.reference import Instant
from inferwatch.infra.cli.report import opened
from inferwatch.infra.cli.rule_settings import settings_with_rules
from inferwatch.infra.cli.rules_backtest import chosen, period
from inferwatch.schemas.errors import Misconfigured, Permanent

if TYPE_CHECKING:
    from inferwatch.schemas.rules import Rule
    from inferwatch.schemas.settings import Settings
    from inferwatch.streams.alerting.suggestion import Rate, Suggestion

LESS_IS_WORSE = (".p_value", ".q_value", ".coverage")


@click.command()
@click.argument("metric")
@click.option("--alerts", "wanted", required=True, help="How many are wanted, such as '1 per 7d', over all series.")
@click.option(
    "--since", type=Length(positive=True), default="30d", show_default=True, help="How much history, back from its end."
)
@click.option("--until", type=Instant(), help="End of the history used (RFC 3339). Default: the newest window.")
@click.option("--application", "applications", multiple=True, help="Only this one; may be repeated.")
@click.option("--group-by", help="A segment dimension.")
@click.option("--for", "hold", type=Length(positive=True), help="How long the condition must hold.")
@click.option("--min-events", type=click.IntRange(1), help="Windows of fewer rows are not judged. Default: 20.")
@click.option("--rule", help="Take all of these from this rule of the configuration.")
@click.option("--below/--above", default=None, help="What is bad. Default: below for p-values, coverage and the like.")
def suggest(
    metric: str,
    wanted: str,
    since: timedelta,
    until: datetime | None,
    applications: tuple[str, ...],
    group_by: str | None,
    hold: timedelta | None,
    min_events: int | None,
    rule: str | None,
    below: bool | None,
) -> None:
    """Suggest a threshold for METRIC that gives a wanted rate of alerts, from stored history.

    The history counts as it is, incidents included. Says also what the rules on METRIC give that are configured now.
    """
    from inferwatch.schemas.rules import Condition, Rule, parse_budget
    from inferwatch.streams.alerting.backtest import lookback
    from inferwatch.streams.alerting.recorded import recorded
    from inferwatch.streams.alerting.suggestion import NoNumbers, Rate, fired
    from inferwatch.streams.alerting.suggestion import suggest as find

    settings = settings_with_rules(None)
    try:
        every = timedelta(days=parse_budget(wanted))
    except ValueError as error:
        raise Misconfigured(f"--alerts {error}") from error
    _check_metric(settings, metric)
    if group_by is not None and group_by not in (known := settings.segments.dimensions):
        raise Misconfigured(f"--group-by must be in segments.dimensions ({', '.join(known)}), got {group_by!r}")
    if rule is not None:
        asked = chosen(settings.active_rules, [rule])[0]
        if asked.metric != metric:
            raise Misconfigured(f"--rule {rule} is about {asked.metric}, not about {metric}")
    else:
        falling = metric.endswith(LESS_IS_WORSE) or metric in ("feedback.rating.mean", "inferences")
        asked = Rule(name="suggested", metric=metric, when=Condition(operator="<" if falling else ">", threshold=1.0))
    asked = _with(asked, applications, group_by, hold, min_events, below)
    if asked.burn_rate is not None:
        raise Misconfigured(
            f"rule {asked.name} has a burn_rate, whose factor follows from the budget and not from history"
        )
    present = [one for one in settings.active_rules if one.metric == metric]
    with opened(configuration().settings) as store:
        start, end, _ = period(store, since, until)
        history = end - start
        if history < every:
            raise Permanent(_too_short(history, every))
        rules = [asked, *present]
        past = start - lookback(rules, settings.windows)
        looks = list(shown(recorded(store, rules, past, end), past, end))
    try:
        with busy("trying thresholds"):
            found = find(asked, looks, settings.windows, start, end, every)
    except NoNumbers as error:
        where = f" of {', '.join(applications)}" if applications else ""
        raise Permanent(f"{error}{where} in the last {history / timedelta(days=1):.1f} days") from error
    now = [
        (one, Rate(len(fired(one, looks, settings.windows, start, end)), history / timedelta(days=1)))
        for one in present
    ]
    for line in _told(asked, found, now, history, every):
        click.echo(line)


def _with(
    rule: Rule,
    applications: Sequence[str],
    group_by: str | None,
    hold: timedelta | None,
    min_events: int | None,
    below: bool | None,
) -> Rule:
    """Return ``rule`` with what the options say."""
    changes: dict[str, object] = {}
    if applications:
        changes["applications"] = tuple(applications)
    if group_by is not None:
        changes["group_by"] = (group_by,)
    if hold is not None:
        changes["hold"] = hold
    if min_events is not None:
        changes["min_events"] = min_events
    if below is not None:
        changes["when"] = rule.when.model_copy(update={"operator": "<" if below else ">"})
        changes["resolve_when"] = None
    return rule.model_copy(update=changes)


def _check_metric(settings: Settings, metric: str) -> None:
    from difflib import get_close_matches

    from inferwatch.infra.catalogue import known_metrics

    known = known_metrics(settings)
    if metric not in known:
        near = get_close_matches(metric, known, n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        raise Misconfigured(
            f"METRIC must be a metric of a window, got {metric!r}{meant}; inferwatch rules check lists them"
        )


def _too_short(history: timedelta, every: timedelta) -> str:
    from inferwatch.streams.alerting.suggestion import ENOUGH

    have, one, enough = (length / timedelta(days=1) for length in (history, every, every * ENOUGH))
    return (
        f"{have:.1f} days of history are too short for one alert in {one:g} days: not one is expected in them. "
        f"{enough:g} days would do; --since looks further back, where there is more"
    )


def _told(
    rule: Rule, found: Suggestion, now: Sequence[tuple[Rule, Rate]], history: timedelta, every: timedelta
) -> Iterator[str]:
    from inferwatch.streams.alerting.suggestion import ENOUGH
    from inferwatch.streams.alerting.wording import span

    scope = ", ".join(rule.applications) or "every application"
    by = f" by {rule.group_by[0]}" if rule.group_by else ""
    held = f", for {span(rule.hold)}" if rule.hold else ""
    yield f"{rule.metric}{by}, {scope}{held}: {found.numbers:,} numbers of {history / timedelta(days=1):.1f} days"
    interval = f"95 % interval of the threshold {found.low:.3g} to {found.high:.3g}"
    yield f'  suggested  when: "{found.condition}"   ({interval})'
    yield f"  gives      {_rate(found.rate)}"
    for one, rate in now:
        yield f"  now        {one.name}, {one.when}: {_rate(rate)}"
    if history < every * ENOUGH:
        expected = history / every
        yield f"  The history is short: {expected:.1f} such alerts are expected in it, under {ENOUGH}: a first guess."


def _rate(rate: Rate) -> str:
    alerts = f"{rate.fired} alert{'s' * (rate.fired != 1)} in {rate.days:.1f} days"
    most, least = 1 / rate.high, 1 / rate.low if rate.low else None
    spread = f"at most 1 per {most:.3g}d" if least is None else f"1 per {most:.3g}d to 1 per {least:.3g}d"
    each = f", 1 per {rate.days / rate.fired:.3g}d" if rate.fired else ""
    return f"{alerts}{each} (95 % interval {spread})"
