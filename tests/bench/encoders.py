"""Texts a second of every backend and of sentence-transformers itself, and how far their vectors are apart.

The yardstick is ``SentenceTransformer.encode`` as its users call it: fp32, 32 texts a batch, torch on all cores. All
sides encode the same distinct texts in one call each, in turn, round after round; the speed-up is taken round by round.
The chosen backend is what default settings load on this machine. The static tier has a yardstick of its own: model2vec
over the same token vectors.

    python -m tests.bench.encoders [--rounds 3] [--short 1024] [--long 160] [--output DIR]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from model2vec import StaticModel
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from inferwatch.detectors.base import F32
from inferwatch.detectors.encoder.folder import model_folder
from inferwatch.detectors.encoder.load import load_encoder
from inferwatch.detectors.encoder.static import StaticEncoder
from inferwatch.schemas.settings import EncoderSettings
from tests.bench.encoding import BACKENDS, bare, describe
from tests.bench.machine import RESULTS, machine, write
from tests.bench.workloads import WORDS, Writer

YARDSTICK = "sentence-transformers fp32"
CHOSEN = "chosen"
VECTORS = {"model2vec": "static"}
"""Side -> the side that it should agree with, where that is not the yardstick."""
SINGLES = 60
Encode = Callable[[Sequence[str]], F32]


def sentence_transformers() -> Encode:
    """Return the library's own encode, as its users call it."""
    model = SentenceTransformer(str(model_folder("bundled")), device="cpu", local_files_only=True)

    def encode(texts: Sequence[str]) -> F32:
        torch.set_num_threads(os.cpu_count() or 1)
        found: F32 = model.encode(list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False)
        return found

    return encode


def model2vec(static: StaticEncoder) -> Encode:
    """Return model2vec's own encode over the static tier's vectors, as its users call it."""
    tokenizer = Tokenizer.from_file(str(model_folder("bundled") / "tokenizer.json"))
    model = StaticModel(static.table, tokenizer, normalize=True)

    def encode(texts: Sequence[str]) -> F32:
        found: F32 = model.encode(list(texts), max_length=None)
        return found

    return encode


def measure(sides: dict[str, Encode], texts: Sequence[str], rounds: int) -> dict[str, dict[str, Any]]:
    """Return for each side its seconds round by round and its vectors' cosine to the yardstick's."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    vectors: dict[str, F32] = {}
    for encode in sides.values():
        encode(texts[: max(1, len(texts) // 8)])
    for _ in range(rounds):
        for name, encode in sides.items():
            start = time.perf_counter()
            vectors[name] = encode(texts)
            seconds[name].append(time.perf_counter() - start)
    found: dict[str, dict[str, Any]] = {}
    for name, taken in seconds.items():
        pairs = [own / yard for own, yard in zip(seconds[YARDSTICK], taken, strict=True)]
        near = VECTORS.get(name, YARDSTICK)
        found[name] = {
            "texts_per_s": len(texts) / statistics.median(taken),
            "seconds": taken,
            "speedups": pairs,
            "speedup": statistics.median(pairs),
            "cosine": cosine(vectors[name], vectors[near]),
        }
    return found


def cosine(own: F32, yardstick: F32) -> dict[str, float] | None:
    """Return mean and worst cosine; None where the two are no vectors of one space."""
    if own.shape != yardstick.shape:
        return None
    found = np.einsum("ij,ij->i", own, yardstick)
    return {"mean": round(float(found.mean()), 5), "p1": round(float(np.percentile(found, 1)), 5)}


def single(encode: Encode, texts: Sequence[str]) -> float:
    """Return the median seconds of encoding one text."""
    taken = []
    for text in texts:
        start = time.perf_counter()
        encode([text])
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--short", type=int, default=1024)
    parser.add_argument("--long", type=int, default=160)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    about = machine()
    loaded = {name: bare(load_encoder(EncoderSettings(**given))) for name, given in BACKENDS.items()}
    chosen = bare(load_encoder(EncoderSettings()))
    sides: dict[str, Encode] = {
        YARDSTICK: sentence_transformers(),
        CHOSEN: chosen.encode,
        **{name: encoder.encode for name, encoder in loaded.items()},
        "model2vec": model2vec(loaded["static"]),  # type: ignore[arg-type]
    }
    result: dict[str, Any] = {
        "machine": about,
        "encoders": {name: describe(encoder) for name, encoder in {CHOSEN: chosen, **loaded}.items()},
    }
    for kind, n in (("short", options.short), ("long", options.long)):
        write_one = Writer(f"encoders/{kind}", WORDS[kind])
        texts = [write_one.text() for _ in range(n)]
        singles = [write_one.text() for _ in range(SINGLES)]
        found = measure(sides, texts, options.rounds)
        for name, encode in sides.items():
            found[name]["single_p50_s"] = single(encode, singles)
            print(
                f"{kind}: {name}: {found[name]['texts_per_s']:.0f} texts/s, {found[name]['speedup']:.2f}x", flush=True
            )
        result[kind] = {"texts": n, "sides": found}
    write("encoders", result, options.output)


if __name__ == "__main__":
    main()
