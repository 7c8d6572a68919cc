"""Which metrics and scores exist under given settings, without loading a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import entry_points

from inferwatch.schemas.baselines import CANARY
from inferwatch.schemas.columns import is_mix, resolve
from inferwatch.schemas.feedback import KINDS
from inferwatch.schemas.rules import BLIND, OF_DRIFT
from inferwatch.schemas.settings import DetectorSettings, Settings

GROUP = "inferwatch.detectors"

FIXED = (
    "inferences",
    BLIND,
    "error.rate",
    "latency_ms.p50",
    "latency_ms.p95",
    "input_tokens.mean",
    "output_tokens.mean",
    "output_chars.mean",
    "cost_usd.sum",
    "feedback.thumb.rate",
    "feedback.rating.mean",
    *(f"feedback.{kind}.count" for kind in KINDS),
)
OF_A_SCORE = ("rate", "mean", "coverage")
OF_A_CANARY = ("p_value", "effect")
OF_A_MIX = (*OF_DRIFT, "psi")


def detector_names() -> list[str]:
    """Return the names of the installed detectors."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def scores(detectors: Iterable[str]) -> Mapping[str, float]:
    """Return score name -> default threshold of the known ones of ``detectors``, from their classes.

    Raises:
        ImportError: a plug-in's module cannot be imported.
    """
    wanted = set(detectors)
    found: dict[str, float] = {}
    for point in entry_points(group=GROUP):
        if point.name in wanted:
            found |= dict(point.load().emits)
    return found


def enabled_scores(settings: DetectorSettings) -> Mapping[str, float]:
    """Return score name -> default threshold of the enabled detectors: the installed, and those of the configuration.

    Raises:
        ImportError: a plug-in's module cannot be imported.
    """
    found = dict(scores(settings.enabled))
    for name in settings.enabled:
        if made := settings.models.get(name) or settings.judges.get(name):
            found |= made.emits(name)
    if settings.calibration:
        from inferwatch.detectors.calibrated import thresholds
        from inferwatch.infra.configured_detectors import maps

        return thresholds(found, maps(settings))
    return found


def metrics(score_names: Iterable[str], drift_fields: Sequence[str]) -> list[str]:
    """Return every metric name a window can have."""
    return [
        *FIXED,
        *(f"{score}.{part}" for score in sorted(score_names) for part in OF_A_SCORE),
        *(f"drift.{field}.{part}" for field in drift_fields for part in OF_DRIFT),
        *(f"{CANARY}{field}.{part}" for field in drift_fields for part in OF_A_CANARY),
    ]


def column_metrics(score_names: Iterable[str], drift_fields: Sequence[str], drift_columns: Sequence[str]) -> list[str]:
    """Return the names of the drift of columns; there are none without fields, which have the references."""
    columns = resolve(drift_columns, sorted(score_names)) if drift_fields else ()
    return [f"drift.{column}.{part}" for column in columns for part in (OF_A_MIX if is_mix(column) else OF_DRIFT)]


def known_metrics(settings: Settings) -> list[str]:
    """Return every metric name a window can have under ``settings``.

    Raises:
        ImportError: a plug-in's module cannot be imported.
    """
    names = list(enabled_scores(settings.detectors))
    return metrics(names, settings.drift.fields) + column_metrics(names, settings.drift.fields, settings.drift.columns)
