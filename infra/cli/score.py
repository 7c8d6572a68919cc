"""``inferwatch score``."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from inferwatch.infra.cli.options import pass_settings

if TYPE_CHECKING:
    from inferwatch.schemas.settings import Settings


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the lines here. Default: standard output.",
)
@click.pass_context
@pass_settings
def score(settings: Settings, ctx: click.Context, file: str, output: Path | None) -> None:
    """Score the inference logs of FILE as the service would, and write one JSON line each.

    FILE holds JSON lines or one JSON array, plain or .gz; - reads standard input. A line has every score with its value
    or the reason why there is none, its threshold, whether it is a hit, and the evidence, with offsets into the text
    as it is stored: redacted, and cut to limits.max_text_chars. Nothing is stored, and budgets do not hold: every
    detector scores every record.

    Records that cannot be read are named by line on standard error and passed over; the exit status is then 1.
    """
    if output is not None and output.resolve() == Path(file).resolve():
        raise click.UsageError(f"-o {output} is the file that is read: name another")
    if output is None:
        bad = _score(settings, file, click.get_binary_stream("stdout"))
    else:
        with output.open("wb") as lines:
            bad = _score(settings, file, lines)
    if bad:
        click.echo(f"inferwatch: {bad} records of {file} could not be read", err=True)
        ctx.exit(1)


def _score(settings: Settings, file: str, lines: IO[bytes]) -> int:
    """Write the lines; return how many records could not be read."""
    import orjson

    from inferwatch.infra.scorer import scorer
    from inferwatch.streams.logfiles import numbered
    from inferwatch.streams.scored import described, problems

    bad = 0
    with scorer(settings) as own:
        for prepared in own.prepare(numbered(file)):
            for problem in problems(prepared):
                bad += 1
                click.echo(f"{file}:{problem.place}: {problem.reason}: {problem.detail}", err=True)
            for said in described(prepared, own.thresholds, settings.privacy.store_text, own.encoder.revision):
                lines.write(orjson.dumps(said) + b"\n")
            lines.flush()
    return bad
