"""The files of a hub model on this machine: where they are, whether all are there. Nothing is downloaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.hub import HubModelSettings

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_TOKENIZERS = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
_DECISIVE = (".json", ".txt", ".model", ".safetensors", ".bin", ".jinja")


def hub_folder(settings: HubModelSettings, place: str) -> Path:
    """Return the folder of the model that ``settings`` name, with every file it needs.

    Args:
        settings: a folder, or a repository and commit that is looked for in the hub's cache.
        place: of the settings in the configuration, for messages.

    Raises:
        Misconfigured: the folder or a file is missing. The message says which one, and how to get it.
    """
    folder = _named(settings, place) if settings.path is not None else _cached(settings, place)
    remedy = _remedy(settings)
    _parts(folder, place)
    core = core_folder(folder)
    for names in (("config.json",), _TOKENIZERS):
        if not any((core / name).is_file() for name in names):
            raise Misconfigured(f"{place}: {core / names[0]} does not exist; {remedy}")
    missing = _missing_weights(core)
    if missing is None:
        raise Misconfigured(f"{place}: {core / _WEIGHTS[0]} does not exist: the model has no weights; {remedy}")
    if missing:
        raise Misconfigured(f"{place}: {missing[0]} does not exist, one of {len(missing)} missing; {remedy}")
    return folder


def core_folder(folder: Path) -> Path:
    """Return where in a model's folder the transformers files are: itself, or a part that modules.json names."""
    return next((base for base in (folder, *_parts(folder, "")) if (base / "config.json").is_file()), folder)


def digest(folder: Path) -> str:
    """Return 16 hex digits of the SHA-256 over every file of ``folder`` that can decide a score."""
    found = hashlib.sha256()
    for file in sorted(_decisive(folder)):
        found.update(f"{file.relative_to(folder).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as handle:
            found.update(hashlib.file_digest(handle, "sha256").digest())
    return found.hexdigest()[:16]


def _named(settings: HubModelSettings, place: str) -> Path:
    folder = Path(settings.path or "").expanduser()
    if not folder.is_dir():
        raise Misconfigured(f"{place}.path: {folder} is not a folder on this machine; {_remedy(settings)}")
    return folder


def _cached(settings: HubModelSettings, place: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                str(settings.repo), revision=settings.revision, cache_dir=settings.cache_dir, local_files_only=True
            )
        )
    except LocalEntryNotFoundError as error:
        raise Misconfigured(
            f"{place}: {settings.repo} at {settings.revision} is not in {_cache(settings)}, and nothing is downloaded "
            f"at run time; {_remedy(settings)}"
        ) from error


def _cache(settings: HubModelSettings) -> str:
    from huggingface_hub.constants import HF_HUB_CACHE

    return settings.cache_dir or HF_HUB_CACHE


def _remedy(settings: HubModelSettings) -> str:
    if settings.repo is None:
        return "name the folder of a model saved by sentence-transformers or transformers (save_pretrained)"
    into = f" --cache-dir {settings.cache_dir}" if settings.cache_dir else ""
    return f"download it once: hf download {settings.repo} --revision {settings.revision}{into}"


def _parts(folder: Path, place: str) -> list[Path]:
    listed = folder / "modules.json"
    if not listed.is_file():
        return []
    try:
        return [folder / str(module["path"]) for module in json.loads(listed.read_text("utf-8"))]
    except (ValueError, KeyError, TypeError) as error:
        raise Misconfigured(f"{place}: {listed} is not a list of modules with a path: {error}") from error


def _missing_weights(base: Path) -> list[Path] | None:
    """Return which of the weights in ``base`` are not there; None where there are no weights at all."""
    for name in _WEIGHTS:
        if (base / name).is_file():
            return []
        index = base / f"{name}.index.json"
        if index.is_file():
            shards = json.loads(index.read_text("utf-8"))["weight_map"].values()
            return [base / shard for shard in sorted(set(shards)) if not (base / shard).is_file()]
    return None


def _decisive(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file.suffix in _DECISIVE and file.is_file() and not hidden:
            yield file
