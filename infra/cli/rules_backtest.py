"""``inferwatch rules backtest``: what would these rules have done?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inferwatch.infra.cli.options import Length, configuration
from inferwatch.infra.cli.progress import shown
from inferwatch.infra.cli.reference import Instant
from inferwatch.infra.cli.report import opened
from inferwatch.infra.cli.rule_settings import settings_with_rules
from inferwatch.schemas.errors import Misconfigured

if TYPE_CHECKING:
    from inferwatch.schemas.rules import Rule
    from inferwatch.streams.alerting.backtest import Report, Summary
    from inferwatch.streams.ports import Store

HEAD = ("rule", "application", "fired", "pages", "a week", "median", "longest", "in all", "")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.option(
    "--since", type=Length(positive=True), default="30d", show_default=True, help="How much history, back from its end."
)
@click.option("--until", type=Instant(), help="End of the history used (RFC 3339). Default: the newest window.")
@click.option("--rule", "names", multiple=True, help="Only this rule; may be repeated.")
@click.option("--episodes", is_flag=True, help="List every alert, too.")
@click.option("--format", "fmt", type=click.Choice(["table", "json"]), default="table", show_default=True)
def backtest(
    file: Path | None, since: timedelta, until: datetime | None, names: tuple[str, ...], episodes: bool, fmt: str
) -> None:
    """Run the rules over stored windows: what would have fired, how often, for how long.

    With FILE, the rules of that file, which need not be live: a whole configuration, or nothing but rules. Windows are
    seen in the order in which they were closed and revised, by the code that decides live alerts. Nobody is notified
    and nothing is stored. Reads through the running service where that holds the embedded store.
    """
    from inferwatch.streams.alerting.backtest import backtest as run
    from inferwatch.streams.alerting.backtest import lookback
    from inferwatch.streams.alerting.recorded import recorded

    settings = settings_with_rules(file)
    rules = chosen(settings.active_rules, names)
    with opened(configuration().settings) as store:
        start, end, first = period(store, since, until)
        back = lookback(rules, settings.windows)
        looks = shown(recorded(store, rules, start - back, end), start - back, end)
        report = run(rules, looks, settings.windows, start, end)
    if fmt == "json":
        click.echo(_json(report, rules))
        return
    for line in _told(report, rules, short=first > end - since, past=first <= start - back):
        click.echo(line)
    if episodes:
        click.echo()
        for line in _episodes(report):
            click.echo(line)


def chosen(rules: Sequence[Rule], names: Sequence[str]) -> list[Rule]:
    """Return the ``rules`` of these names; without names, all.

    Raises:
        Misconfigured: there is no such rule.
    """
    known = [rule.name for rule in rules]
    for name in names:
        if name not in known:
            raise Misconfigured(f"--rule must be one of {', '.join(known) or 'none'}, got {name!r}")
    return [rule for rule in rules if not names or rule.name in names]


def period(store: Store, since: timedelta, until: datetime | None) -> tuple[datetime, datetime, datetime]:
    """Return start and end of the history to use, and where the stored history begins.

    Raises:
        Misconfigured: there is none, or none before ``until``.
    """
    from inferwatch.streams.alerting.recorded import reach

    there = reach(store)
    if there is None:
        raise Misconfigured("the store holds no closed window yet: let the service run, or use inferwatch replay")
    first, last = there
    end = last if until is None else min(until, last)
    if end <= first:
        raise Misconfigured(
            f"--until must be after {first.isoformat()}, where the history begins, got {end.isoformat()}"
        )
    return max(first, end - since), end, first


def _told(report: Report, rules: Sequence[Rule], *, short: bool, past: bool) -> Iterator[str]:
    from inferwatch.streams.alerting.wording import span

    days = (report.until - report.since) / timedelta(days=1)
    revised = f", {report.revisions} revised" if report.revisions else ""
    period = f"{report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC"
    yield f"{period}: {days:.1f} days, {report.windows:,} windows{revised}"
    if short:
        yield "The history is shorter than --since."
    if not past:
        yield "It begins without a past: what a rule compares with, or how long it had held, may be missing at first."
    yield ""
    rows = [HEAD, *(_row(one) for one in report.summaries(rules))]
    yield from aligned(rows)
    total = sum(one.pages for one in report.episodes)
    longest = max((one.lasted(report.until) for one in report.episodes), default=timedelta(0))
    yield ""
    yield (
        f"{total} pages, {total / (days / 7):.1f} a week"
        + (f"; the longest alert lasted {span(longest)}" if total else "")
    )


def _row(one: Summary) -> tuple[str, ...]:
    from inferwatch.streams.alerting.wording import span

    if not one.fired:
        return (one.rule, "-", "0", "0", "0", "", "", "", "")
    notes = [f"{one.open} still open"] * (one.open > 0) + [f"{one.silences} without data"] * (one.silences > 0)
    lengths = (span(length) for length in (one.median, one.longest, one.total))
    return (
        one.rule, one.application, str(one.fired), str(one.pages), f"{one.per_week:.1f}", *lengths, ", ".join(notes),
    )  # fmt: skip


def aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield ``rows`` with their columns under each other; numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if column < 2 or column == len(row) - 1 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _episodes(report: Report) -> Iterator[str]:
    from inferwatch.streams.alerting.wording import span

    for one in report.episodes:
        place = ", ".join(f"{name}={value}" for name, value in sorted(one.labels.items()))
        ended = "still open" if one.ended is None else f"for {span(one.lasted(report.until))}"
        silent = ", without data" if one.silent else ""
        yield f"{one.began:%Y-%m-%d %H:%M}  {one.rule} [{place}]  {ended}{silent}"


def _json(report: Report, rules: Sequence[Rule]) -> str:
    import orjson

    def plain(value: object) -> object:
        if isinstance(value, timedelta):
            return value.total_seconds()
        raise TypeError(f"no JSON for {type(value).__name__}")

    found = {
        "since": report.since,
        "until": report.until,
        "windows": report.windows,
        "revisions": report.revisions,
        "rules": [asdict(one) for one in report.summaries(rules)],
        "episodes": [asdict(one) for one in report.episodes],
    }
    return orjson.dumps(found, default=plain, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z).decode()
