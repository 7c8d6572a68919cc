"""Make the built models: quantise or distil, check against the original, put in place in one step.

As a program, ``python -m inferwatch.detectors.encoder.build MODEL FOLDER``, it makes the int8 model.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection
from importlib.metadata import version
from pathlib import Path

import numpy as np

from inferwatch.detectors.encoder import samples
from inferwatch.detectors.encoder.built import (
    FILES,
    INT8,
    MANIFEST,
    RECIPES,
    SAMPLES,
    STATIC,
    Built,
    Manifest,
    hash_of,
    place,
)
from inferwatch.detectors.encoder.chunks import POOLING
from inferwatch.detectors.encoder.folder import BUNDLED, family_of, model_folder
from inferwatch.schemas.errors import Misconfigured

LEAST_MEAN, LEAST = 0.985, 0.95
"""Least mean and least single cosine of int8 vectors to the original's, over the sample texts."""
_LIBRARIES = ("torch", "transformers", "onnx", "onnxruntime", "numpy")


def build_models(
    models: Path,
    *,
    model: str = BUNDLED,
    kinds: Collection[str] = (INT8, STATIC),
    again: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> list[Built]:
    """Build of ``kinds`` every model that is not there yet from ``model``; return them all.

    A kind is finished beside its place and moved there whole: a worker never sees half a model, and a build that is
    stopped leaves the old one.

    Args:
        models: the folder of built models, made where it is missing.
        model: ``bundled`` or a sentence-transformers folder.
        kinds: of ``built.FILES``.
        again: build also what is there.
        say: told each step.

    Raises:
        Misconfigured: the model cannot be built, the result is too far from the original, or the folder not written.
    """
    source = model_folder(model)
    family = family_of(source)
    makers = {INT8: _int8, STATIC: _static}
    found = []
    for kind in kinds:
        if not again and (there := _there(models, family, kind)):
            say(f"{kind}: already built, {there.revision}")
            found.append(there)
            continue
        try:
            models.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=models, prefix=".building-") as scratch:
                makers[kind](source, family, Path(scratch), say)
                _move(place(Path(scratch), family, kind), place(models, family, kind))
        except OSError as error:
            raise Misconfigured(f"{models} cannot be written: {error}; set encoder.models_dir") from error
        found.append(Built.load(models, family, kind))
        say(f"{kind}: built, {found[-1].revision}, {found[-1].file.stat().st_size / 1e6:.0f} MB in {found[-1].folder}")
    return found


def _there(models: Path, family: str, kind: str) -> Built | None:
    try:
        return Built.load(models, family, kind)
    except Misconfigured:
        return None


def _int8(source: Path, family: str, scratch: Path, say: Callable[[str], None]) -> None:
    from inferwatch.detectors.encoder.export import write_int8
    from inferwatch.detectors.encoder.onnx_int8 import OnnxInt8Encoder
    from inferwatch.detectors.encoder.sentence_transformer import SentenceTransformerEncoder

    folder = place(scratch, family, INT8)
    folder.mkdir()
    say(f"{INT8}: quantising {source}")
    file = folder / FILES[INT8]
    dim = write_int8(source, file)
    sha256 = hash_of(file)
    revision = f"int8-{hashlib.sha256(f'{family} {sha256} {POOLING}'.encode()).hexdigest()[:16]}"
    _write(
        folder,
        Manifest(
            kind=INT8,
            recipe=RECIPES[INT8],
            family=family,
            revision=revision,
            dim=dim,
            sha256=sha256,
            made_with=_versions(),
        ),
    )
    say(f"{INT8}: comparing with the original on {len(samples.TEXTS)} texts")
    original = SentenceTransformerEncoder(str(source), dtype="float32").encode(samples.TEXTS)
    made = OnnxInt8Encoder(source, scratch)
    own = made.encode(samples.TEXTS)
    np.save(folder / SAMPLES, own)
    cosines = (original * own).sum(axis=1)
    mean, least = float(cosines.mean()), float(cosines.min())
    say(f"{INT8}: cosine to the original {mean:.4f} in the mean, {least:.4f} at least")
    if mean < LEAST_MEAN or least < LEAST:
        raise Misconfigured(
            f"the int8 model of {source} is too far from the original: cosine {mean:.4f} in the mean, {least:.4f} at "
            f"least, wanted {LEAST_MEAN} and {LEAST}; use encoder.backend: torch on this machine"
        )
    _write(
        folder, made.built.manifest.model_copy(update={"cosine_mean": round(mean, 5), "cosine_min": round(least, 5)})
    )


def _static(source: Path, family: str, scratch: Path, say: Callable[[str], None]) -> None:
    from inferwatch.detectors.encoder.distil import distil

    folder = place(scratch, family, STATIC)
    folder.mkdir()
    say(f"{STATIC}: distilling a vector for each token of {source}")
    table = distil(source)
    np.savez(folder / FILES[STATIC], vectors=table)
    # The name is the recipe's, not the file's: machines differ in the last digit of some numbers, which moves no score,
    # and the heads that come with this package must find the vectors they were fitted on.
    revision = f"static{RECIPES[STATIC]}-{family.removeprefix('st-')}"
    _write(
        folder,
        Manifest(
            kind=STATIC,
            recipe=RECIPES[STATIC],
            family=family,
            revision=revision,
            dim=int(table.shape[1]),
            sha256=hash_of(folder / FILES[STATIC]),
            made_with=_versions(),
        ),
    )


def _versions() -> dict[str, str]:
    return {name: version(name) for name in _LIBRARIES}


def _write(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", "utf-8")


def _move(made: Path, target: Path) -> None:
    """Put ``made`` in the place of ``target``. Who builds at the same time and comes later, wins."""
    aside = made.with_name("replaced")
    while True:
        try:
            os.rename(made, target)
            break
        except OSError:
            if not target.is_dir():
                raise
            os.rename(target, aside)
            shutil.rmtree(aside)


if __name__ == "__main__":
    try:
        build_models(Path(sys.argv[2]), model=sys.argv[1], kinds=(INT8,))
    except Misconfigured as error:
        sys.exit(str(error))
