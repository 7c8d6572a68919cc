"""A window against its drift reference, as an Evidently report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.core.container import MetricOrContainer
from evidently.descriptors import NonLetterCharacterPercentage, SentenceCount, TextLength, WordCount
from evidently.presets import DataDriftPreset, TextEvals

from inferwatch.infra.evidently.columns import ColumnDrift
from inferwatch.infra.evidently.embedding import EmbeddingDrift
from inferwatch.infra.evidently.frames import TEXTS, vector_column
from inferwatch.infra.evidently.stattests import LEVEL, MIX, NUMBERS, register
from inferwatch.schemas.columns import is_mix
from inferwatch.schemas.drift_fields import text_of
from inferwatch.schemas.errors import Misconfigured
from inferwatch.streams.alerting.wording import compared

FEWEST = 30
ANY = 0.01
"""The share of drifted columns from which on the whole is called drifted: one of a hundred columns is enough."""
DESCRIPTORS = {
    "characters": TextLength,
    "words": WordCount,
    "sentences": SentenceCount,
    "% not letters": NonLetterCharacterPercentage,
}
"""What is computed of a text: only what needs no download. The service's own scores stand beside it."""


def write(
    current: pd.DataFrame,
    reference: pd.DataFrame,
    *,
    columns: Sequence[str],
    fields: Sequence[str],
    min_rows: int,
    about: str,
    path: Path,
) -> list[str]:
    """Write the report to ``path`` as one HTML file that loads nothing.

    Args:
        current: the window's rows, as ``frames.read`` returns them.
        reference: those of the reference's period.
        columns: numbers, mixes and scores to compare; one with fewer than 30 values on a side is left out.
        fields: whose vectors to compare.
        min_rows: fewest vectors on either side that are compared.
        about: what is compared with what, in one line.
        path: of the HTML file.

    Returns:
        The names of the tests that failed, which is to say of what has drifted.

    Raises:
        Misconfigured: either side has fewer than 30 rows.
    """
    for side, frame in (("window", current), ("reference's period", reference)):
        if len(frame) < FEWEST:
            raise Misconfigured(f"the {side} holds {len(frame)} rows, at least {FEWEST} are needed for a report")
    register()
    shown = [name for name in columns if min(current[name].notna().sum(), reference[name].notna().sum()) >= FEWEST]
    texts = [name for name in TEXTS if all((frame[name] != "").any() for frame in (current, reference))]
    numbers = [name for name in shown if not is_mix(name)]
    definition = DataDefinition(
        id_column="id",
        numerical_columns=numbers,
        categorical_columns=[name for name in shown if is_mix(name)],
        text_columns=list(texts),
        list_columns=[vector_column(field) for field in fields],
    )
    descriptors = [make(text, alias=f"{text}: {what}") for text in texts for what, make in DESCRIPTORS.items()]
    scores = [name for name in numbers if "." in name or name == "hallucination"]
    described = [*scores, *(one.alias for one in descriptors)]
    parts: list[MetricOrContainer] = [
        ColumnDrift(columns=shown, about=about),
        *(
            EmbeddingDrift(
                column=vector_column(field), text=text_of(field), compared=compared(field), min_rows=min_rows
            )
            for field in fields
        ),
        DataDriftPreset(
            columns=shown,
            num_method=NUMBERS.name,
            cat_method=MIX.name,
            threshold=LEVEL,
            drift_share=ANY,
        ),
        TextEvals(columns=described),
    ]
    sides = [
        Dataset.from_pandas(frame, data_definition=definition, descriptors=descriptors)
        for frame in (current, reference)
    ]
    # Evidently's own tests compare a column with the reference by fixed percentages, whatever the number of rows.
    made = Report(parts, include_tests=False).run(*sides)
    path.write_text(made.get_html_str(as_iframe=False), encoding="utf-8")
    return [test.name for test in made.tests_results if test.status.value == "FAIL"]
