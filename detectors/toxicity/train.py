"""Train the toxicity model: ``python -m inferwatch.detectors.toxicity.train DATA_FOLDER --work FOLDER``.

DATA_FOLDER is described in corpus.py. WORK keeps vectors and fitted models; both lie outside the repository. Encoding
takes minutes, fitting one or two; a second run with the same texts only fits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import F32, Batch, Encoder, Item
from inferwatch.detectors.encoder.load import load_encoder
from inferwatch.detectors.toxicity import corpus
from inferwatch.detectors.toxicity.corpus import Labelled
from inferwatch.detectors.toxicity.detector import Toxicity
from inferwatch.detectors.toxicity.fit import fit
from inferwatch.detectors.toxicity.kept import KeptEncoder
from inferwatch.detectors.toxicity.model import PACKAGED, Blend
from inferwatch.detectors.toxicity.obfuscation import clean
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import EncoderSettings

_FAMILY_OF = {"toxic_spans_sentences": "toxic_spans"}
_BENIGN = ("davidson", "halueval_questions", "halueval_sentences")
_THRESHOLDS = tuple(place / 100 for place in range(50, 100))
_BLOCK = 512
TRAINED_ON = ("davidson", "toxic_spans", "madlibs", "contrasts")


@dataclass(frozen=True)
class Examples:
    """Texts to test on, and whether each is toxic."""

    texts: tuple[str, ...]
    labels: npt.NDArray[np.bool_]


def families(folder: Path) -> dict[str, Examples]:
    """Return the labelled families, of each what no model of ``fit_without`` is trained or calibrated on.

    ``toxic_spans`` has toxic comments only; harmless tweets, questions and sentences of answers are put beside them.
    ``hatecheck`` is never trained on.
    """
    rows = [row for row in corpus.read(folder) if row.part == "test"]
    benign = [row for row in rows if not row.toxic and row.source in _BENIGN]
    found = {name: [row for row in rows if row.source == name] for name in TRAINED_ON}
    found["toxic_spans"] += benign
    found["hatecheck"] = corpus.hatecheck(folder)
    return {
        name: Examples(tuple(row.text for row in held), np.array([row.toxic for row in held]))
        for name, held in found.items()
    }


def fit_without(folder: Path, left_out: str, work: Path) -> Toxicity:
    """Return a detector fitted by the recipe of the shipped one on everything but the family ``left_out``.

    Args:
        folder: the data.
        left_out: a name of ``families``, or empty to leave nothing out.
        work: a folder to keep vectors and fitted models in.

    Raises:
        Misconfigured: there is no such family.
    """
    if left_out and left_out not in (*TRAINED_ON, "hatecheck"):
        raise Misconfigured(f"left_out names the family {left_out!r}; known: {', '.join(TRAINED_ON)}, hatecheck")
    work.mkdir(parents=True, exist_ok=True)
    encoder = KeptEncoder(production_encoder(), work)
    rows = [row for row in corpus.read(folder) if _FAMILY_OF.get(row.source, row.source) != left_out]
    texts_hash = hashlib.sha256("\0".join(row.text for row in rows).encode("utf-8", "replace")).hexdigest()[:16]
    kept = work / f"toxicity-{left_out or 'all'}-{texts_hash}-{encoder.revision}-{_recipe()}.npz"
    if not kept.is_file():
        metadata: dict[str, Any] = {
            "encoder_family": encoder.family,
            "encoder_revision": encoder.revision,
            "seed": corpus.SEED,
            "texts_sha256": texts_hash,
            "left_out": left_out,
            "counts": _counts(rows),
        }
        model = fit(rows, encoder.encode([clean(row.text) for row in rows]), metadata)
        metadata["threshold"] = choose_threshold(Toxicity(model), encoder, rows)
        model.save(kept)
    return Toxicity(Blend.load(kept))


def choose_threshold(detector: Toxicity, encoder: Encoder, rows: Sequence[Labelled]) -> float:
    """Return the least of the thresholds that flags none of the calibrate part's benign questions and answers.

    Benign are those of HaluEval: what people ask and what an LLM answers.
    """
    benign = [row.text for row in rows if row.source in ("halueval", "halueval_questions") and row.part == "calibrate"]
    values = scores(detector, encoder, benign)
    return next((limit for limit in _THRESHOLDS if limit > values.max()), _THRESHOLDS[-1])


def scores(detector: Toxicity, encoder: Encoder, texts: Sequence[str]) -> F32:
    """Return (n,) float32, what the detector says of each text as an output; 0 for an empty one."""
    found = []
    for first in range(0, len(texts), _BLOCK):
        items = [Item(output=text) for text in texts[first : first + _BLOCK]]
        found.append(detector.score(Batch.encode(items, [detector], encoder))[1].values)
    values: F32 = np.nan_to_num(np.concatenate(found))
    return values


def production_encoder() -> Encoder:
    """Return the int8 encoder that workers use; what is fitted on its vectors holds for the original's."""
    return load_encoder(EncoderSettings(backend="onnx-int8", cache_texts=0))


def _recipe() -> str:
    """Return a hash of the files that decide what a fitted model is, beside the texts."""
    folder = Path(__file__).parent
    names = ("features.py", "fit.py", "lexicon.yaml", "model.py", "obfuscation.py", "split.py")
    return hashlib.sha256(b"\0".join((folder / name).read_bytes() for name in names)).hexdigest()[:12]


def _counts(rows: Sequence[Labelled]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        key = f"{row.source}/{'toxic' if row.toxic else 'benign'}/{row.part}"
        counts[key] = counts.get(key, 0) + 1
    return counts


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="keeps vectors and fitted models between runs")
    parser.add_argument("--out", type=Path, default=PACKAGED)
    options = parser.parse_args(arguments)
    fit_without(options.folder, "", options.work).model.save(options.out)
    print(json.dumps(Blend.load(options.out).metadata, indent=1))


if __name__ == "__main__":
    main()
