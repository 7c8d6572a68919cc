"""Fit the grounding model: ``python -m inferwatch.detectors.hallucination.fit DATA_FOLDER --out weights.json``.

DATA_FOLDER holds the data sets of corpora.py, which stay outside the repository. Every figure it prints is of a
family that was left out of the fit (with its twin, where two share passages). See also families and fit_without.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from inferwatch.detectors.base import F32, Encoder, Item
from inferwatch.detectors.encoder.cache import CachedEncoder
from inferwatch.detectors.encoder.sentence_transformer import SentenceTransformerEncoder
from inferwatch.detectors.evaluation.calibration import calibration
from inferwatch.detectors.evaluation.quality import quality
from inferwatch.detectors.hallucination.corpora import (
    FOLDS,
    SEED,
    WRITTEN_HERE,
    Examples,
    families,
    fold_of,
    for_calibration,
    others,
    widen,
)
from inferwatch.detectors.hallucination.detector import Hallucination
from inferwatch.detectors.hallucination.grounding import FEATURES, ground, read
from inferwatch.detectors.hallucination.model import PACKAGED, GroundingModel
from inferwatch.detectors.logistic import log_odds

__all__ = ["Examples", "families", "fit_without"]

_minimize: Any = minimize  # scipy has no types
_isotonic: Any = IsotonicRegression  # nor has scikit-learn
_RIDGE = 0.002
_ROUNDS = 4
# A family counts by what it teaches about answers to questions, not by how many rows or domains it happens to have.
_FAMILY_WEIGHT = {"begin": 1.0, "memnet": 1.0, "support": 1.0, "anyscale": 0.5}
_A_DOMAIN = 0.25
_CALIBRATING, _TESTING = "calibrating", "testing"
_EDGE = 0.01
"""No few answers make it surer than that."""


@dataclass(frozen=True)
class Claims:
    """Features of the claims of a family's answers: (m, f); whose they are, and of its answers label and splits."""

    features: F32
    owners: npt.NDArray[np.int64]
    labels: npt.NDArray[np.bool_]
    calibrates: npt.NDArray[np.bool_]
    changed: npt.NDArray[np.bool_]
    folds: Mapping[str, npt.NDArray[np.int64]]

    def of(self, wanted: npt.NDArray[np.bool_]) -> Claims:
        """Return the answers that ``wanted``, (n,), says."""
        rows = wanted[self.owners]
        number = np.cumsum(wanted) - 1
        return Claims(
            self.features[rows],
            number[self.owners[rows]],
            self.labels[wanted],
            self.calibrates[wanted],
            self.changed[wanted],
            {purpose: fold[wanted] for purpose, fold in self.folds.items()},
        )


Taught = Mapping[str, tuple[Claims, Claims]]
"""Of each family the claims as they are, and with wrong copies added."""


def fit_without(folder: Path, left_out: str, work: Path) -> Hallucination:
    """Return the detector fitted without the family ``left_out``; empty leaves out nothing.

    Args:
        folder: holds ``grounding/`` with the data sets.
        left_out: a name of ``families(folder)``; with BEGIN goes memnet and with memnet BEGIN, which share passages.
        work: where weights are kept and found again.

    Raises:
        ValueError: there is no such family.
    """
    return _kept(work, left_out or "nothing", lambda: fit_claims(_claims_of(folder), left_out, _encoder().family))


def fit_without_contexts(folder: Path, fold: int, work: Path) -> Hallucination:
    """Return the detector fitted on every family, without the answers whose contexts are in one of ``FOLDS`` parts.

    Args:
        folder: holds ``grounding/`` with the data sets.
        fold: the part; ``in_part`` says what is in it.
        work: where weights are kept and found again.
    """

    def fitted() -> GroundingModel:
        return fit_claims(_outside(_claims_of(folder), _TESTING, fold), "", _encoder().family)

    return _kept(work, f"contexts-{fold}", fitted)


def _kept(work: Path, without: str, fitted: Callable[[], GroundingModel]) -> Hallucination:
    kept = work / f"hallucination-without-{without}.json"
    if not kept.exists():
        work.mkdir(parents=True, exist_ok=True)
        fitted().save(kept)
    return Hallucination(GroundingModel.load(kept))


def in_part(examples: Examples, fold: int) -> npt.NDArray[np.bool_]:
    """Return (n,) which answers ``fit_without_contexts`` left out."""
    return np.array([fold_of(item, _TESTING) == fold for item in examples.items], np.bool_)


@cache
def _encoder() -> CachedEncoder:
    return CachedEncoder(SentenceTransformerEncoder(threads=1), 50_000)


@cache
def _claims_of(folder: Path) -> Taught:
    encoder = _encoder()
    return {
        name: (claims_of(own, encoder), claims_of(widen(own, name), encoder, len(own.items)))
        for name, own in families(folder).items()
    }


def claims_of(examples: Examples, encoder: Encoder, plain: int = 0) -> Claims:
    """Return the features of every claim of ``examples``; those from ``plain`` on, if given, were made by ``widen``."""
    readings = [read(item) for item in examples.items]
    kept = [place for place, reading in enumerate(readings) if reading.claims]
    texts = list(dict.fromkeys(t for place in kept for t in (*readings[place].claims, *readings[place].sentences)))
    index = {text: row for row, text in enumerate(texts)}
    vectors = encoder.encode(texts)
    rows, owners = [], []
    for owner, place in enumerate(kept):
        own = readings[place]
        claims, sentences = ([index[text] for text in part] for part in (own.claims, own.sentences))
        rows.append(ground(examples.items[place], own, vectors[claims], vectors[sentences]).features)
        owners += [owner] * len(own.claims)
    items: list[Item] = [examples.items[place] for place in kept]
    calibrates = np.array([for_calibration(item) for item in items], np.bool_)
    changed = np.arange(len(examples.items))[kept] >= plain if plain else np.zeros(len(kept), np.bool_)
    folds = {
        purpose: np.array([fold_of(item, purpose) for item in items], np.int64) for purpose in (_CALIBRATING, _TESTING)
    }
    return Claims(np.concatenate(rows), np.array(owners), examples.labels[kept], calibrates, changed, folds)


def _outside(taught: Taught, purpose: str, fold: int) -> Taught:
    return {
        name: (plain.of(plain.folds[purpose] != fold), wide.of(wide.folds[purpose] != fold))
        for name, (plain, wide) in taught.items()
    }


def fit_claims(found: Taught, left_out: str, encoder: str) -> GroundingModel:
    """Return the model of all families but ``left_out``, which may be empty, for vectors of ``encoder``."""
    if left_out and left_out not in found:
        raise ValueError(f"no family {left_out!r}; there are {sorted(found)}")
    taught = {name: found[name] for name in others(list(found), left_out)}
    model = _regression(taught)
    metadata: dict[str, Any] = {
        "encoder_revision": encoder,
        "seed": SEED,
        "fitted_on": {name: len(wide.labels) for name, (_, wide) in taught.items()},
    }
    return GroundingModel(model.weights, model.bias, metadata, _calibration(taught))


def _regression(taught: Taught) -> GroundingModel:
    weights, bias = fit_families({name: wide.of(~wide.calibrates) for name, (_, wide) in taught.items()})
    model = GroundingModel(weights, bias, {})
    # One slope and one shift, of answers that the weights have not seen and nobody has changed.
    slope, shift = calibrate(model, {name: plain.of(plain.calibrates) for name, (plain, _) in taught.items()})
    return GroundingModel(slope * weights, slope * bias + shift, {})


def _calibration(taught: Taught) -> npt.NDArray[np.float64]:
    """Return the map of ``GroundingModel`` by the families of others, judged by regressions without their contexts.

    Answers weigh as in ``answer_weights``. References: B. Zadrozny & C. Elkan (2002), KDD, for isotonic regression;
    A. Oron & N. Flournoy (2017), Statistics in Biopharmaceutical Research 9(3), for lines between the middles of its
    steps, which keep the order of what a step takes together.
    """
    values, labels, weights = [], [], []
    for fold in range(FOLDS):
        model = _regression(_outside(taught, _CALIBRATING, fold))
        for name, (plain, _) in taught.items():
            own = plain.of(plain.folds[_CALIBRATING] == fold)
            if name != WRITTEN_HERE and len(own.labels):
                said = model.regression(own.features)
                values.append(said[decisive(own, said)])
                labels.append(own.labels)
                weights.append(answer_weights(name, plain.labels)[plain.folds[_CALIBRATING] == fold])
    if not np.concatenate(weights).any():
        return np.empty((0, 2))
    bins = calibration(np.concatenate(labels), np.concatenate(values), np.concatenate(weights))
    level = _isotonic().fit(bins.score, bins.bad, bins.share).predict(bins.score)
    first = np.flatnonzero(np.diff(level, prepend=-1) > 0)
    middle = np.add.reduceat(bins.share * bins.score, first) / np.add.reduceat(bins.share, first)
    return log_odds(np.stack([middle, level[first]], axis=1), _EDGE)


def answer_weights(name: str, labels: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return (n,) what each answer of a family counts when a probability is fitted to it: both classes the same.

    A family of which there is one class only has no say.
    """
    ones, zeros = max(1, labels.sum()), max(1, (~labels).sum())
    both = labels.any() and not labels.all()
    weights: npt.NDArray[np.float64] = (
        _FAMILY_WEIGHT.get(name, _A_DOMAIN) * np.where(labels, 1 / ones, 1 / zeros) * both
    )
    return weights


def fit_families(taught: Mapping[str, Claims]) -> tuple[F32, float]:
    """Fit where only answers have labels: of a wrong answer, the claim that looks worst is taken for the wrong one.

    In a family both classes weigh the same, and of the wrong ones those that were made wrong as much as the others.
    The choice of claims and the fit take turns.
    """
    weights, bias = np.ones(len(FEATURES), np.float32), 0.0
    for _ in range(_ROUNDS):
        features, labels, shares = [], [], []
        for name, own in taught.items():
            rows = decisive(own, own.features @ weights)
            wrong, changed = own.labels[own.owners[rows]], own.changed[own.owners[rows]]
            features.append(own.features[rows])
            labels.append(wrong)
            share = np.zeros(len(rows))
            for group, weight in ((~wrong, 1.0), (wrong & ~changed, 0.5), (wrong & changed, 0.5)):
                share[group] = weight / max(1, group.sum())
            shares.append(_FAMILY_WEIGHT.get(name, _A_DOMAIN) * share)
        weights, bias = fit(np.concatenate(features), np.concatenate(labels), np.concatenate(shares))
    return weights, bias


def decisive(claims: Claims, values: F32) -> npt.NDArray[np.int64]:
    """Return the row of the claim with the highest value of each answer."""
    order = np.lexsort((-values, claims.owners))
    first = np.ones(len(order), np.bool_)
    first[1:] = claims.owners[order][1:] != claims.owners[order][:-1]
    found: npt.NDArray[np.int64] = order[first]
    return found


def calibrate(model: GroundingModel, kept: Mapping[str, Claims]) -> tuple[float, float]:
    """Return slope (at least 0) and shift of the logits that fit answers of a split of their own (Platt 1999).

    Answers weigh as in ``answer_weights``; where none has a say the logits stay as they are.
    """
    logits, labels, shares = [], [], []
    for name, own in kept.items():
        values = own.features @ model.weights + np.float32(model.bias)
        logits.append(values[decisive(own, values)])
        labels.append(own.labels)
        shares.append(answer_weights(name, own.labels))
    if not np.concatenate(shares).any():
        return 1.0, 0.0
    (slope,), shift = fit(np.concatenate(logits)[:, None], np.concatenate(labels), np.concatenate(shares))
    return float(slope), shift


def fit(features: F32, labels: npt.NDArray[np.bool_], weights: npt.NDArray[np.float64]) -> tuple[F32, float]:
    """Return non-negative weights and a bias that minimise the weighted log loss with a small ridge penalty."""
    x, sign = features.astype(np.float64), np.where(labels, 1.0, -1.0)
    share = weights / weights.sum()

    def loss(theta: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        margin = sign * (x @ theta[:-1] + theta[-1])
        pull = -share * sign / (1 + np.exp(margin))
        gradient = np.append(x.T @ pull + 2 * _RIDGE * theta[:-1], pull.sum())
        return float(share @ np.logaddexp(0, -margin) + _RIDGE * (theta[:-1] @ theta[:-1])), gradient

    bounds = [(0.0, None)] * x.shape[1] + [(None, None)]
    found = _minimize(loss, np.zeros(x.shape[1] + 1), jac=True, bounds=bounds, method="L-BFGS-B").x
    return found[:-1].astype(np.float32), float(found[-1])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=PACKAGED)
    options = parser.parse_args(arguments)
    found = _claims_of(options.folder)
    family = _encoder().family
    report = {}
    for name, (plain, _) in found.items():
        model = fit_claims(found, name, family)
        values = model(plain.features)
        report[name] = quality(plain.labels, values[decisive(plain, values)]).as_json()
    model = fit_claims(found, "", family)
    model.save(options.out)
    weights = dict(zip(FEATURES, [round(float(w), 3) for w in model.weights], strict=True))
    print(json.dumps({"weights": weights, "bias": round(model.bias, 3), "left out": report}, indent=1))


if __name__ == "__main__":
    main()
