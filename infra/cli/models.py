"""``inferwatch models``: the faster encoders, made on this machine from the configured model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inferwatch.infra.cli.options import pass_settings
from inferwatch.schemas.errors import Misconfigured

if TYPE_CHECKING:
    from inferwatch.schemas.settings import Settings


@click.group()
def models() -> None:
    """Build the faster encoders from `encoder.model`, and list what is built.

    They go to `encoder.models_dir`, by default a folder of the user's cache. With `encoder.backend: auto` a start
    builds the int8 model itself where it is missing, unless there are drift references of torch.
    """


@models.command()
@click.option("--again", is_flag=True, help="Build also what is there.")
@pass_settings
def build(settings: Settings, again: bool) -> None:
    """Quantise and distil; some twenty seconds, 1 GB of memory. What is there already is left."""
    from inferwatch.detectors.encoder.build import build_models
    from inferwatch.detectors.encoder.built import models_folder

    build_models(models_folder(settings.encoder.models_dir), model=settings.encoder.model, again=again, say=click.echo)


@models.command(name="list")
@pass_settings
def list_models(settings: Settings) -> None:
    """Say what is built of the configured model, and what is not."""
    from inferwatch.detectors.encoder.built import FILES, Built, models_folder
    from inferwatch.detectors.encoder.folder import family_of, model_folder

    family = family_of(model_folder(settings.encoder.model))
    for kind in FILES:
        try:
            found = Built.load(models_folder(settings.encoder.models_dir), family, kind)
        except Misconfigured as error:
            click.echo(f"{kind}: {error}")
            continue
        likeness = found.manifest.cosine_mean
        near = "a space of its own" if likeness is None else f"mean cosine to the original {likeness:.4f}"
        click.echo(f"{kind}: {found.revision}, {found.dim} numbers, {near}, in {found.folder}")
