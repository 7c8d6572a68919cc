"""The fitted model: a table of n-gram weights, small networks over the shared vector and the word classes, blended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import F32
from inferwatch.detectors.logistic import probability
from inferwatch.detectors.toxicity.features import Reading
from inferwatch.schemas.errors import Misconfigured

PACKAGED = Path(__file__).with_name("weights.npz")
GRAM_SHARE = 0.5
F16 = npt.NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class Network:
    """``[x, relu(x @ hidden + hidden_bias)] @ out + bias`` for x = [vector, patterns].

    ``hidden`` is (d, h), ``hidden_bias`` (h,), ``out`` (d + h,).
    """

    hidden: F32
    hidden_bias: F32
    out: F32
    bias: float

    def __call__(self, x: F32) -> F32:
        """Return (n,) float32 for (n, d)."""
        width = x.shape[1]
        found: F32 = (
            x @ self.out[:width]
            + np.maximum(x @ self.hidden + self.hidden_bias, 0) @ self.out[width:]
            + np.float32(self.bias)
        )
        return found


@dataclass(frozen=True, eq=False)
class Kinds:
    """Which kind of toxicity it is, given that it is one: ``x @ weights + bias``, the largest of ``names`` wins."""

    names: tuple[str, ...]
    weights: F32
    bias: F32

    def __call__(self, x: F32) -> list[str]:
        """Return the name for each row of (n, d)."""
        return [self.names[place] for place in np.argmax(x @ self.weights + self.bias, axis=1)]


@dataclass(frozen=True, eq=False)
class Blend:
    """Log odds ``slope * (mean of the networks' + half of the n-grams') + shift``: calibrated, see MODEL_CARD.md.

    Attributes:
        table: (BUCKETS,) int8, ``scale`` times which is the weight of an n-gram.
        scale: see ``table``.
        bias: of the n-grams.
        networks: read alike; their mean counts.
        kinds: names the kind.
        slope: of the calibration.
        shift: of the calibration.
        screen: what the n-grams must say of a sentence before it gets a vector.
        metadata: the encoder the networks belong to, the data's hash, the seed, the threshold.
    """

    table: npt.NDArray[np.int8]
    scale: float
    bias: float
    networks: tuple[Network, ...]
    kinds: Kinds
    slope: float
    shift: float
    screen: float
    metadata: dict[str, Any]

    def lexical(self, reading: Reading) -> F32:
        """Return (n,) float32, what the n-grams of n texts say, before the calibration. No vector is needed."""
        sums, counts = reading.sums(self.table)
        return (self.scale * sums / np.sqrt(np.maximum(counts, 1)) + self.bias).astype(np.float32)

    def suspicious(self, reading: Reading, most: int) -> list[int]:
        """Return which texts are worth a vector, by their n-grams alone: ascending places, at most ``most``."""
        found = self.lexical(reading)
        worst = np.argsort(-found, kind="stable")[:most]
        return sorted(worst[found[worst] >= self.screen].tolist())

    def logits(self, vectors: F32, reading: Reading) -> F32:
        """Return (n,) float32 log odds of n texts with (n, dim) vectors."""
        x = inputs(vectors, reading)
        networks: F32 = np.mean([network(x) for network in self.networks], axis=0)
        raw = networks + GRAM_SHARE * self.lexical(reading)
        found: F32 = (self.slope * raw + self.shift).astype(np.float32)
        return found

    def __call__(self, vectors: F32, reading: Reading) -> F32:
        """Return (n,) float32 probabilities."""
        return probability(self.logits(vectors, reading))

    def save(self, path: Path) -> None:
        """Write the model; the same model gives the same bytes but for the archive's time stamp."""
        arrays: dict[str, Any] = {
            "table": self.table,
            "kinds": _half(self.kinds.weights),
            "kinds_bias": self.kinds.bias,
        }
        for place, network in enumerate(self.networks):
            arrays |= {f"hidden{place}": _half(network.hidden), f"hidden_bias{place}": network.hidden_bias}
            arrays |= {f"out{place}": network.out, f"bias{place}": np.float32(network.bias)}
        head = {
            "numbers": {
                "scale": self.scale,
                "bias": self.bias,
                "slope": self.slope,
                "shift": self.shift,
                "screen": self.screen,
            },
            "networks": len(self.networks),
            "kinds": self.kinds.names,
            "metadata": self.metadata,
        }
        np.savez_compressed(path, head=np.array(json.dumps(head)), **arrays)

    @classmethod
    def load(cls, path: Path = PACKAGED) -> Blend:
        """Read a model.

        Raises:
            Misconfigured: the file is missing or not a model.
        """
        try:
            with np.load(path, allow_pickle=False) as held:
                head = json.loads(str(held["head"]))
                networks = tuple(_network(held, place) for place in range(head["networks"]))
                kinds = Kinds(tuple(head["kinds"]), held["kinds"].astype(np.float32), held["kinds_bias"])
                return cls(held["table"], networks=networks, kinds=kinds, metadata=head["metadata"], **head["numbers"])
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise Misconfigured(f"{path} is not a toxicity model: {error}; train one with toxicity/train.py") from error


def inputs(vectors: F32, reading: Reading) -> F32:
    """Return (n, dim + PATTERNS) float32, what the networks read."""
    return np.concatenate([vectors * np.float32(20**0.5), reading.patterns()], axis=1)


def _half(array: F32) -> F16:
    return array.astype(np.float16)


def _network(held: Any, place: int) -> Network:
    return Network(
        held[f"hidden{place}"].astype(np.float32),
        held[f"hidden_bias{place}"].astype(np.float32),
        held[f"out{place}"].astype(np.float32),
        float(held[f"bias{place}"]),
    )


def worst(values: F32, counts: Sequence[int]) -> F32:
    """Return the largest of each run of ``counts`` values; every count is at least 1."""
    held = np.array(counts, np.int64)
    found: F32 = np.maximum.reduceat(values, np.cumsum(held) - held) if len(held) else values
    return found
