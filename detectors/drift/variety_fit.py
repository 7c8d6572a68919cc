"""Measure how vectors of texts vary: ``python -m inferwatch.detectors.drift.variety_fit DATA_FOLDER``.

DATA_FOLDER holds grounding/halueval_general.json (RUCAIBox/HaluEval, MIT): 4,507 questions to a chat model, of all
kinds, and its answers. What is kept of them is a covariance, no text. The texts are cut as those of
``make bench-drift`` are; none of that benchmark's is among them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inferwatch.detectors.drift.variety import PACKAGED, loadings_of
from inferwatch.detectors.encoder.load import load_encoder
from inferwatch.schemas.settings import EncoderSettings

_CHARACTERS = 900


def read(folder: Path) -> list[str]:
    """Return the distinct questions, and all answers."""
    with (folder / "grounding" / "halueval_general.json").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    questions = sorted({row["user_query"][:_CHARACTERS] for row in rows})
    return [*questions, *(row["chatgpt_response"][:_CHARACTERS] for row in rows)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=PACKAGED)
    options = parser.parse_args(arguments)
    encoder = load_encoder(EncoderSettings(backend="onnx-int8"))
    texts = read(options.folder)
    loadings = loadings_of(encoder.encode(texts).astype(np.float64))
    np.savez_compressed(options.out, loadings=loadings.astype(np.float16), family=encoder.family, texts=len(texts))
    print(f"{options.out}: {loadings.shape} from {len(texts)} texts, {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
