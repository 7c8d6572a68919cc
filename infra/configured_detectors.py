"""The detectors that the configuration describes: hub models and judges, each made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from inferwatch.detectors.base import Detector
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.hub import HubModelSettings
from inferwatch.schemas.judge import JudgeSettings
from inferwatch.schemas.settings import DetectorSettings


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


def _model(name: str, settings: HubModelSettings) -> Detector:
    from inferwatch.detectors.hub.detector import HubDetector  # torch: seconds

    return HubDetector(name, settings)


def _judge(name: str, settings: JudgeSettings, clock: Clock) -> Detector:
    from inferwatch.infra.judge.detector import Judge

    return Judge(name, settings, clock)
