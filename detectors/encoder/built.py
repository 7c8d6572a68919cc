"""What ``inferwatch models build`` leaves behind: a folder for each model, its manifest written last."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ValidationError

from inferwatch.detectors.base import F32
from inferwatch.schemas.errors import Misconfigured

INT8, STATIC = "onnx-int8", "static"
FILES = {INT8: "model.onnx", STATIC: "tokens.npz"}
"""Kind of built model -> the file that holds it."""
RECIPES = {INT8: 4, STATIC: 1}
"""Raised when the steps that make a model change; models of another recipe are built again."""
TEXTS, MEANS = "texts", "means"
"""What the int8 model takes and gives: (n, tokens) int64 ids of texts of one length, (n, dim) float32 means."""
MANIFEST = "manifest.json"
SAMPLES = "samples.npy"


class Manifest(BaseModel, frozen=True):
    """What a built model is.

    ``family`` is that of the model it was made from. ``cosine_mean`` and ``cosine_min`` compare its vectors of the
    sample texts with that model's; None where the two do not share a space.
    """

    kind: str
    recipe: int
    family: str
    revision: str
    dim: int
    sha256: str
    cosine_mean: float | None = None
    cosine_min: float | None = None
    made_with: Mapping[str, str]


class Built:
    """One built model on disk."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.revision, self.dim = manifest.revision, manifest.dim
        self.file = folder / FILES[manifest.kind]

    @classmethod
    def load(cls, models: Path, family: str, kind: str) -> Built:
        """Return the built model of ``kind`` made from ``family``.

        Raises:
            Misconfigured: there is none, it was made by another recipe, or its file is not the one that was built.
        """
        folder = place(models, family, kind)
        remedy = "run `inferwatch models build`"
        try:
            manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
        except FileNotFoundError as error:
            raise Misconfigured(f"encoder.backend {kind!r} is not built in {folder}: {remedy}") from error
        except (OSError, ValidationError) as error:
            raise Misconfigured(f"{folder / MANIFEST} cannot be read: {error}; {remedy}") from error
        if (manifest.kind, manifest.recipe, manifest.family) != (kind, RECIPES[kind], family):
            raise Misconfigured(
                f"{folder} holds {manifest.kind!r} by recipe {manifest.recipe} from {manifest.family}, wanted {kind!r} "
                f"by recipe {RECIPES[kind]} from {family}: {remedy}"
            )
        found = cls(folder, manifest)
        if not found.file.is_file() or hash_of(found.file) != manifest.sha256:
            raise Misconfigured(f"{found.file} is missing or not the file that was built: {remedy}")
        return found

    def samples(self) -> F32:
        """Return (n, dim) float32: this model's vectors of ``samples.TEXTS`` on the machine that built it.

        Raises:
            Misconfigured: the file is missing or damaged.
        """
        try:
            held: F32 = np.load(self.folder / SAMPLES, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise Misconfigured(f"{self.folder / SAMPLES} cannot be read: {error}; build the model again") from error
        return held


def models_folder(configured: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Return where built models lie: ``encoder.models_dir``, else a folder of the user's cache."""
    if configured:
        return Path(configured).expanduser()
    cache = environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "inferwatch" / "models"


def place(models: Path, family: str, kind: str) -> Path:
    """Return the folder of one built model; models made from different weights or by different recipes never meet."""
    return models / f"{family}-{kind}-{RECIPES[kind]}"


def hash_of(file: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
