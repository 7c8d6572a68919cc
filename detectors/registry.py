"""Detectors by name, found through the entry point group ``inferwatch.detectors``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points

from inferwatch.detectors.base import Detector, Encoder
from inferwatch.schemas.errors import Misconfigured

GROUP = "inferwatch.detectors"


def known_detectors() -> tuple[str, ...]:
    """Return the names of every installed detector."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def load_detectors(
    names: Sequence[str], encoder: Encoder | None = None, configured: Mapping[str, Callable[[], Detector]] | None = None
) -> list[Detector]:
    """Return one detector for each name, in that order, ready to use with ``encoder`` where one is given.

    ``configured`` makes those that the configuration describes, by name; only the named ones are made.

    Raises:
        Misconfigured: a name is unknown or installed twice, a plug-in cannot be loaded, two emit the same score name,
            or one was fitted on vectors of another encoder.
    """
    points = list(entry_points(group=GROUP))
    made = dict(configured or {})
    for name in made:
        if any(point.name == name for point in points):
            raise Misconfigured(
                f"detectors has {name!r} under models or judges, and so is an installed detector called"
            )
    detectors = [made[name]() if name in made else _load(name, points, made) for name in dict.fromkeys(names)]
    _distinct_scores(detectors)
    if encoder is not None:
        require_encoder(detectors, encoder)
    return detectors


def require_encoder(detectors: Iterable[Detector], encoder: Encoder) -> None:
    """Refuse detectors whose weights belong to another encoder.

    Raises:
        Misconfigured: names the detector, the families it knows and the encoder's.
    """
    for detector in detectors:
        if detector.families and encoder.family not in detector.families:
            raise Misconfigured(
                f"detector {detector.name!r} was trained for encoder {' and '.join(sorted(detector.families))}, "
                f"not for {encoder.family}: use encoder.model 'bundled' with another encoder.backend, remove "
                f"{detector.name!r} from detectors.enabled, or train it for this encoder"
            )


def _load(name: str, points: Sequence[EntryPoint], made: Iterable[str]) -> Detector:
    found = [point for point in points if point.name == name]
    if not found:
        known = sorted({*made, *(point.name for point in points)})
        near = get_close_matches(name, known, n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        raise Misconfigured(f"detectors.enabled names {name!r}{meant}; installed: {', '.join(known) or 'none'}")
    if len({point.value for point in found}) > 1:
        raise Misconfigured(f"two plug-ins are named {name!r}: {', '.join(point.value for point in found)}; remove one")
    try:
        made = found[0].load()()
    except (ImportError, AttributeError, TypeError) as error:
        raise Misconfigured(f"detector {name!r} ({found[0].value}) cannot be loaded: {error}") from error
    if not isinstance(made, Detector):
        raise Misconfigured(f"detector {name!r} ({found[0].value}) is a {type(made).__name__}, not a Detector")
    return made


def _distinct_scores(detectors: Iterable[Detector]) -> None:
    owner: dict[str, str] = {}
    for detector in detectors:
        for score in detector.emits:
            if score in owner:
                raise Misconfigured(
                    f"detectors {owner[score]!r} and {detector.name!r} both emit the score {score!r}; "
                    "enable only one of them"
                )
            owner[score] = detector.name
