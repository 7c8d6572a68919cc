"""What the configuration makes of detectors: hub models and judges, made when asked for, and calibrated scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from inferwatch.detectors.base import Detector
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.hub import HubModelSettings
from inferwatch.schemas.judge import JudgeSettings
from inferwatch.schemas.settings import DetectorSettings

if TYPE_CHECKING:
    from inferwatch.detectors.calibrated import Platt


def configured(settings: DetectorSettings, clock: Clock) -> Mapping[str, Callable[[], Detector]]:
    """Return what makes each detector of ``models`` and ``judges``, by its name.

    Making one raises Misconfigured where a model is missing or unfit, or an address or prompt will not do.
    """
    made: dict[str, Callable[[], Detector]] = {}
    for name, model in settings.models.items():
        made[name] = partial(_model, name, model)
    for name, judge in settings.judges.items():
        made[name] = partial(_judge, name, judge, clock)
    return made


def maps(settings: DetectorSettings) -> dict[str, Platt]:
    """Return score -> its calibration."""
    from inferwatch.detectors.calibrated import Platt

    return {name: Platt(one.slope, one.shift) for name, one in settings.calibration.items()}


def _model(name: str, settings: HubModelSettings) -> Detector:
    from inferwatch.detectors.hub.detector import HubDetector  # torch: seconds

    return HubDetector(name, settings)


def _judge(name: str, settings: JudgeSettings, clock: Clock) -> Detector:
    from inferwatch.infra.judge.detector import Judge

    return Judge(name, settings, clock)
