"""The drift numbers of all series of a window beside one another: q-values, and one budget of false alarms. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from inferwatch.detectors.drift.multiplicity import benjamini_hochberg
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import RECURRENCE

_P, _Q = ".p_value", ".q_value"


def shared(metrics: Sequence[WindowMetric]) -> list[WindowMetric]:
    """Return the drift numbers of one window with a q-value beside each p-value, and recurrences that add up.

    The q-values are over every p-value there is, of any series and field. A recurrence is divided by the number of
    series that have one of the same name: a rule looks at all of them, and its budget of false alarms is for the rule.
    """
    judged = [metric for metric in metrics if metric.metric.endswith(_P)]
    q_values = benjamini_hochberg([metric.value for metric in judged])
    watched = Counter(metric.metric for metric in metrics if metric.metric.endswith(RECURRENCE) and metric.known)
    found = [
        replace(metric, value=metric.value / watched[metric.metric])
        if watched[metric.metric] and metric.known
        else metric
        for metric in metrics
    ]
    return found + [
        replace(metric, metric=metric.metric.removesuffix(_P) + _Q, value=value)
        for metric, value in zip(judged, q_values, strict=True)
    ]
