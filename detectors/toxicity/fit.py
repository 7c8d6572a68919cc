"""Fit the toxicity model: n-grams by logistic regression, networks by gradient descent, both calibrated together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from inferwatch.detectors.base import F32
from inferwatch.detectors.toxicity.corpus import SEED, Labelled
from inferwatch.detectors.toxicity.features import BUCKETS, PATTERNS, Reading
from inferwatch.detectors.toxicity.model import Blend, Kinds, Network, inputs

F64 = npt.NDArray[np.float64]
_logistic: Any = LogisticRegression  # scikit-learn has no types
_sparse: Any = csr_matrix  # nor has this class
# Half of all n-grams lie in the few long answers, which teach nothing that their sentences do not.
_LONG = 600
_MOST_ACTIVE = 96
# Where the n-grams alone hold toxic for likelier than not: 95 % of held-out insults and threats, 3 % of LLM sentences.
_SCREEN = 0.0
_HIDDEN, _NETWORKS, _EPOCHS, _BATCH = 48, 2, 4, 1024
_RATE, _DECAY, _NOISE, _DROP, _DROP_PATTERNS, _SMOOTH = 3e-3, 0.05, 0.02, 0.2, 0.3, 0.02
_KINDS = {
    "hate": "hate", "slurs": "hate", "agreeing": "hate", "threat": "threat", "insult": "insult", "sexual": "sexual",
    "profane": "obscenity", "offensive": "obscenity",
}  # fmt: skip


def fit(rows: Sequence[Labelled], vectors: F32, metadata: dict[str, Any]) -> Blend:
    """Fit on the train part, calibrate (Platt) on the calibrate part; sources weigh the same within a class.

    ``vectors`` is (n, dim) float32 of the n ``rows``. The same rows and vectors give the same model on one machine.
    """
    toxic = np.array([row.toxic for row in rows])
    parts = np.array([row.part for row in rows])
    weights = balance(rows)
    reading = Reading.of([row.text for row in rows])
    x = inputs(vectors, reading)
    train, calibrate = parts == "train", parts == "calibrate"
    short = np.array([len(row.text) < _LONG for row in rows])
    table, scale, bias = _grams(reading, train & short, toxic, weights)
    networks = tuple(_network(x[train], toxic[train], weights[train], SEED + i) for i in range(_NETWORKS))
    kinds = _kinds(x, rows, train)
    raw = Blend(table, scale, bias, networks, kinds, 1.0, 0.0, 0.0, metadata)
    logits = raw.logits(vectors, reading)
    platt = _logistic(C=1e6).fit(logits[calibrate, None], toxic[calibrate], sample_weight=weights[calibrate])
    slope, shift = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    return Blend(table, scale, bias, networks, kinds, slope, shift, _SCREEN, metadata)


def balance(rows: Sequence[Labelled]) -> F64:
    """Weigh each row so that a class is a half, and so that a large source counts as the square root of its size.

    Each kind of contrast counts as a source: what tells hate from its report is said nowhere else.
    """
    keys = [(row.toxic, f"{row.source} {row.kind}" if row.source == "contrasts" else row.source) for row in rows]
    counts: dict[tuple[bool, str], int] = {}
    for key in keys:
        counts[key] = counts.get(key, 0) + 1
    raw = {key: n**-0.5 for key, n in counts.items()}
    totals = {toxic: sum(n * raw[key] for key, n in counts.items() if key[0] is toxic) for toxic in (True, False)}
    return np.array([raw[key] / totals[key[0]] for key in keys]) * len(rows) / 2


def _grams(
    reading: Reading, train: npt.NDArray[np.bool_], toxic: npt.NDArray[np.bool_], weights: F64
) -> tuple[npt.NDArray[np.int8], float, float]:
    """Return the int8 table of n-gram weights, its scale, and the bias."""
    buckets, owners = reading.grams()
    counts = np.bincount(owners, minlength=reading.n)
    order = np.argsort(owners, kind="stable")
    data = (1 / np.sqrt(np.maximum(counts, 1)))[owners[order]].astype(np.float32)
    starts = np.concatenate([[0], np.cumsum(counts)])
    matrix = _sparse((data, buckets[order].astype(np.int32), starts), shape=(reading.n, BUCKETS))
    matrix.sum_duplicates()
    matrix = matrix[np.flatnonzero(train)]
    seen = np.bincount(matrix.indices, minlength=BUCKETS)
    rarity = (np.log((1 + matrix.shape[0]) / (1 + seen)) / 5 * (seen > 1)).astype(np.float32)
    matrix.data *= rarity[matrix.indices]
    model = _logistic(C=3.0, max_iter=25, tol=1e-3)
    model.fit(matrix, toxic[train], sample_weight=weights[train])
    found = model.coef_[0] * rarity
    scale = float(np.abs(found).max() / 127) or 1.0
    return np.round(found / scale).astype(np.int8), scale, float(model.intercept_[0])


def _network(x: F32, toxic: npt.NDArray[np.bool_], weights: F64, seed: int) -> Network:
    """Return one network; vectors get noise and patterns fall away at random, so that no single one decides.

    Patterns are sparse: a text has some thirty of them, of which the layer adds up the rows.
    """
    random = torch.Generator().manual_seed(seed)
    width = x.shape[1]
    dim = width - PATTERNS
    vectors, active = torch.from_numpy(x[:, :dim]), torch.from_numpy(_active(x[:, dim:]))
    wanted = torch.from_numpy(toxic.astype(np.float32)) * (1 - 2 * _SMOOTH) + _SMOOTH
    counted = torch.from_numpy(weights.astype(np.float32))
    # The last column of a layer goes straight to the output; the last row of the second stands for no pattern.
    of_vectors = (torch.rand(dim, _HIDDEN + 1, generator=random) * 2 - 1) / width**0.5
    of_patterns = (torch.rand(PATTERNS + 1, _HIDDEN + 1, generator=random) * 2 - 1) / width**0.5
    out = (torch.rand(_HIDDEN, generator=random) * 2 - 1) / _HIDDEN**0.5
    parameters = [of_vectors, of_patterns, torch.zeros(_HIDDEN + 1), out]
    for parameter in parameters:
        parameter.requires_grad_()
    of_vectors, of_patterns, bias, out = parameters
    optimizer = torch.optim.AdamW(parameters, lr=_RATE, weight_decay=_DECAY)
    steps = len(x) // _BATCH
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=_EPOCHS * steps + 1)
    for _ in range(_EPOCHS):
        order = torch.randperm(len(x), generator=random)
        for step in range(steps):
            picked = order[step * _BATCH : (step + 1) * _BATCH]
            read, ids = vectors[picked], active[picked]
            read = read + torch.randn(read.shape, generator=random) * _NOISE
            kept = ((ids < PATTERNS) & (torch.rand(ids.shape, generator=random) > _DROP_PATTERNS)).float()
            seen = torch.nn.functional.embedding_bag(
                ids, of_patterns, mode="sum", per_sample_weights=kept / (1 - _DROP_PATTERNS)
            )
            layer = read @ of_vectors + seen + bias
            deep = torch.relu(layer[:, :-1])
            deep = deep * (torch.rand(deep.shape, generator=random) > _DROP) / (1 - _DROP)
            logits = deep @ out + layer[:, -1]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted[picked], counted[picked])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            rate.step()
    layer_weights = torch.cat([of_vectors, of_patterns[:-1]]).detach().numpy().astype(np.float16).astype(np.float32)
    straight = np.concatenate([layer_weights[:, -1], out.detach().numpy()])
    biases = bias.detach().numpy()
    return Network(layer_weights[:, :-1], biases[:-1], straight, float(biases[-1]))


def _active(patterns: F32) -> npt.NDArray[np.int64]:
    """Return (n, 96) int64, which patterns a text has, the first 96 of them; PATTERNS where it has fewer."""
    rows, ids = np.nonzero(patterns)
    counts = np.bincount(rows, minlength=len(patterns))
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    found = np.full((len(patterns), _MOST_ACTIVE), patterns.shape[1], np.int64)
    held = place < _MOST_ACTIVE
    found[rows[held], place[held]] = ids[held]
    return found


def _kinds(x: F32, rows: Sequence[Labelled], train: npt.NDArray[np.bool_]) -> Kinds:
    """Return what names the kind of a toxic text; learnt from the sources that say it."""
    known = np.array([_KINDS.get(row.kind, "") if row.toxic else "" for row in rows])
    picked = np.flatnonzero(train & (known != ""))
    names, places = np.unique(known[picked], return_inverse=True)
    if len(names) < 2:
        return Kinds(("toxic",), np.zeros((x.shape[1], 1), np.float32), np.zeros(1, np.float32))
    model = _logistic(C=0.1, max_iter=200, class_weight="balanced").fit(x[picked], places)
    weights, bias = model.coef_.T.astype(np.float32), model.intercept_.astype(np.float32)
    if len(names) == 2:
        weights, bias = np.hstack([-weights, weights]), np.concatenate([-bias, bias])
    return Kinds(tuple(str(name) for name in names), weights, bias)
