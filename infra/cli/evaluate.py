"""``inferwatch evaluate``."""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import click

from inferwatch.infra.cli.desk import select
from inferwatch.infra.cli.options import pass_settings
from inferwatch.infra.cli.reference import Instant
from inferwatch.schemas.errors import Misconfigured

if TYPE_CHECKING:
    from inferwatch.schemas.settings import Settings
    from inferwatch.streams.judged import Judged
    from inferwatch.streams.labels import Label, Verdicts
    from inferwatch.streams.scored import Problem


@click.command()
@click.option("--labels", "file", type=click.Path(exists=True, dir_okay=False, allow_dash=True), help="File of labels.")
@click.option("--from-feedback", is_flag=True, help="Take the feedback in the store: thumbs, or labels (--positive).")
@click.option("--score", "names", multiple=True, metavar="NAME", help="Only this score; may be repeated.")
@click.option("--precision", type=click.FloatRange(0, 1, min_open=True), default=0.9, show_default=True)
@click.option(
    "--calibrate", is_flag=True, help="Also fit the scores to the labels, so that 0.8 means eight bad rows in ten."
)
@click.option("--positive", multiple=True, metavar="LABEL", help="A label that means bad; may be repeated.")
@click.option(
    "--negative", multiple=True, metavar="LABEL", help="A label that means fine. Default: every other than --positive."
)
@click.option("--application", default="", help="Only feedback on this application.")
@click.option("--since", type=Instant(), default=None, help="Only feedback given from then on (RFC 3339).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.pass_context
@pass_settings
def evaluate(
    settings: Settings,
    ctx: click.Context,
    file: str | None,
    from_feedback: bool,
    names: tuple[str, ...],
    precision: float,
    calibrate: bool,
    positive: tuple[str, ...],
    negative: tuple[str, ...],
    application: str,
    since: datetime | None,
    as_json: bool,
) -> None:
    """Measure the scores on inferences that people judged, and propose thresholds for a wanted precision.

    --labels: JSON lines, one JSON array, or CSV, with id and label, joined with the stored scores; application, score
    and weight (how many rows a row stands for) are optional. Rows that are inference logs with a label are scored here
    and now. Labels are yes/no, true/false, 1/0, bad/good, or what --positive and --negative name.

    Every number has a 95 % interval. Rows that a budget drew count for those it passed over. Ends with the lines to
    paste into the configuration. Exit status 1 when a row could not be read.
    """
    from inferwatch.infra import evaluation
    from inferwatch.infra.configured_detectors import maps
    from inferwatch.streams.labels import Verdicts, read_labels

    if (file is not None) == from_feedback:
        raise click.UsageError("name one source of labels: --labels FILE or --from-feedback")
    verdicts = Verdicts.of(positive, negative)
    if file is not None:
        labels, problems = read_labels(file, verdicts)
    else:
        labels, problems = _feedback(settings, verdicts if positive else None, application, since)
    for problem in problems:
        click.echo(f"{file or 'feedback'}:{problem.place}: {problem.reason}: {problem.detail}", err=True)
    judged, lost, limits, unread = _judge(settings, labels)
    for problem in unread:
        click.echo(f"{file}:{problem.place}: {problem.reason}: {problem.detail}", err=True)
    if lost:
        click.echo(f"{lost} of {len(labels)} labels are of inferences that are not known", err=True)
    chosen = {name: one for name, one in judged.items() if len(one.labels) and (not names or name in names)}
    if not chosen:
        wanted = f" {', '.join(names)}" if names else ""
        had = ", ".join(name for name, one in judged.items() if len(one.labels)) or "none"
        raise Misconfigured(f"no labelled row has the score{wanted}: {len(labels)} labels, scores of them: {had}")
    if calibrate:
        held = maps(settings.detectors)
        found = [
            evaluation.evaluate_calibrated(name, one, limits.get(name), precision, held.get(name))
            for name, one in chosen.items()
        ]
    else:
        found = [evaluation.evaluate(name, one, limits.get(name), precision) for name, one in chosen.items()]
    if as_json:
        scores = [one.as_json() for one in found]
        click.echo(json.dumps({"labels": len(labels), "unknown": lost, "precision": precision, "scores": scores}))
    else:
        for one in found:
            click.echo("\n".join(evaluation.text(one, calibrate=calibrate)) + "\n")
        click.echo("\n".join(evaluation.settings_lines(found)) or "no threshold to propose")
    for line in evaluation.left_behind(found, settings):
        click.echo(line, err=True)
    if problems or unread:
        ctx.exit(1)


def _feedback(
    settings: Settings, verdicts: Verdicts | None, application: str, since: datetime | None
) -> tuple[list[Label], list[Problem]]:
    from inferwatch.infra.stored_labels import feedback_labels

    return feedback_labels(partial(select, settings), verdicts, application, since)


def _judge(settings: Settings, labels: list[Label]) -> tuple[dict[str, Judged], int, dict[str, float], list[Problem]]:
    """Return score -> labelled rows, labels of unknown inferences, thresholds of now, and logs that are none."""
    from inferwatch.streams import scored
    from inferwatch.streams.judged import join, of_prepared

    if not any(label.log for label in labels):
        from inferwatch.infra.catalogue import enabled_scores
        from inferwatch.infra.stored_labels import scores_of

        judged, lost = join(labels, scores_of(partial(select, settings), labels))
        return judged, lost, {**enabled_scores(settings.detectors), **settings.detectors.thresholds}, []

    from inferwatch.infra.scorer import scorer

    with scorer(settings) as own:
        batches = list(own.prepare((label.place, label.log) for label in labels if label.log))
        judged, lost = join(labels, of_prepared(batches))
        unread = [problem for batch in batches for problem in scored.problems(batch)]
        return judged, lost - len(unread), own.thresholds, unread
