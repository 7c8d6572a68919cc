"""Real outputs of ten models to the same 805 prompts, as vectors; and synthetic vectors beside them.

The file (``alpaca_eval.jsonl.gz``: tatsu-lab/alpaca_eval results, CC-BY-NC-4.0) is not part of this repository; say
where it is with ``--data``. Its vectors are made once for an encoder revision and kept in the user's cache folder.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import F32
from inferwatch.detectors.drift.given import rest
from inferwatch.detectors.encoder.build import build_models
from inferwatch.detectors.encoder.built import models_folder
from inferwatch.detectors.encoder.load import load_encoder
from inferwatch.schemas.settings import EncoderSettings
from tests.bench.encoding import bare

ROOT = Path(__file__).parents[3]
DATA = ROOT.parent / "shared" / "data" / "logs" / "alpaca_eval.jsonl.gz"
CHARACTERS = 900
"""Of a text that are encoded: about what the bundled encoder reads at once."""
CLUSTERS, DIM = 12, 384
SYNTHETIC = 6000

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pool:
    """All vectors that windows are drawn from, and what each row is.

    Attributes:
        vectors: (N, dim) float32: the outputs, the distinct inputs, the synthetic rows, the outputs given their inputs.
        table: (generators, prompts) row of each output.
        generators: their names.
        inputs: (prompts,) row of each prompt's input.
        sources: (prompts,) which of the five collections a prompt is from.
        synthetic: rows of a mixture of clusters.
        novel: rows of one further cluster, which that mixture lacks.
        given: (generators, prompts) row of each output given its input (``detectors.drift.given``).
        revision: of the encoder.
        file: first characters of the data file's SHA-256.
    """

    vectors: F32
    table: Rows
    generators: tuple[str, ...]
    inputs: Rows
    sources: npt.NDArray[np.str_]
    synthetic: Rows
    novel: Rows
    given: Rows
    revision: str
    file: str

    @property
    def outputs(self) -> Rows:
        """The rows of all outputs."""
        return self.table.ravel()

    def of_fields(self, rows: Rows) -> tuple[Rows, ...]:
        """Return ``rows``, and where they are of outputs those of the same outputs given their inputs."""
        outputs = rows.max(initial=0) < self.table.size
        return (rows, self.given.ravel()[rows]) if outputs else (rows,)

    def of(self, generator: str) -> Rows:
        """Return the rows of a generator's outputs, by prompt."""
        return self.table[self.generators.index(generator)]


def load(file: Path) -> Pool:
    """Return the pool; texts are encoded where the cache does not hold them.

    Raises:
        SystemExit: there is no such file.
    """
    if not file.exists():
        sys.exit(
            f"no data at {file}: bench-drift draws from AlpacaEval outputs (alpaca_eval.jsonl.gz, CC-BY-NC-4.0, not "
            'part of this repository); say where they are with ARGS="--data FILE"'
        )
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    with gzip.open(file, "rt") as lines:
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    build_models(models_folder(None), say=lambda words: print(words, flush=True))
    encoder = bare(load_encoder(EncoderSettings(backend="onnx-int8")))
    generators = tuple(sorted({row["generator"] for row in rows}))
    prompts = sorted({int(row["prompt_index"]) for row in rows})
    found = {(row["generator"], int(row["prompt_index"])): row for row in rows}
    order = [found[generator, prompt] for generator in generators for prompt in prompts]
    first = order[: len(prompts)]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferwatch" / "bench-drift"
    kept = cache / f"{hashlib.sha256(encoder.revision.encode()).hexdigest()[:12]}-{digest}-{CHARACTERS}.npz"
    if not kept.exists():
        print(f"encoding {len(order) + len(first)} texts into {kept}: once, a few minutes", flush=True)
        outputs = encoder.encode([row["output"][:CHARACTERS] for row in order])
        inputs = encoder.encode([row["instruction"][:CHARACTERS] for row in first])
        cache.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".partial.npz")
        np.savez(partial, outputs=outputs, inputs=inputs)
        partial.replace(kept)
    with np.load(kept) as vectors:
        outputs, inputs = vectors["outputs"], vectors["inputs"]
    mixture, novel = synthetic(SYNTHETIC, SYNTHETIC // 4, seed=0)
    given = rest(outputs, np.tile(inputs, (len(generators), 1)))
    ends = np.cumsum([len(outputs), len(inputs), len(mixture), len(novel), len(given)])
    return Pool(
        np.concatenate([outputs, inputs, mixture, novel, given]).astype(np.float32),
        np.arange(ends[0]).reshape(len(generators), len(prompts)),
        generators,
        np.arange(ends[0], ends[1]),
        np.array([row["dataset"] for row in first]),
        np.arange(ends[1], ends[2]),
        np.arange(ends[2], ends[3]),
        np.arange(ends[3], ends[4]).reshape(len(generators), len(prompts)),
        encoder.revision,
        digest,
    )


def synthetic(rows: int, novel: int, *, seed: int) -> tuple[F32, F32]:
    """Return ``rows`` unit vectors of a mixture of clusters, and ``novel`` of one cluster more.

    Clusters have sizes from a Dirichlet law and directions about a common one, as topics of one application have; the
    spread within a cluster falls from direction to direction, as that of embeddings does.
    """
    rng = np.random.default_rng(seed)
    scales = 1 / np.sqrt(1 + np.arange(DIM))
    common = rng.standard_normal(DIM) * 0.5
    centres = common + rng.standard_normal((CLUSTERS + 1, DIM)) * 0.6
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    spread = scales / np.linalg.norm(scales)
    labels = rng.choice(CLUSTERS, rows, p=rng.dirichlet(np.full(CLUSTERS, 2.0)))
    labels = np.concatenate([labels, np.full(novel, CLUSTERS)])
    found = centres[labels] + 1.2 * rng.standard_normal((len(labels), DIM)) * spread
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found[:rows].astype(np.float32), found[rows:].astype(np.float32)
