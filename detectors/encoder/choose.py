"""Which backend encodes: the configured one, or the fastest that runs here and is close to the model."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from inferwatch.detectors.encoder import samples
from inferwatch.detectors.encoder.backend import Backend
from inferwatch.detectors.encoder.built import INT8, Built, models_folder
from inferwatch.detectors.encoder.chunks import POOLING
from inferwatch.detectors.encoder.folder import family_of, model_folder
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import EncoderSettings

logger = logging.getLogger(__name__)

TORCH = "torch"
MARGIN = 1.25
_SECONDS = 0.4
_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Chosen:
    """An encoder, why it was taken, and the measured short texts a second of each backend that was tried."""

    encoder: Backend
    reason: str
    rates: dict[str, float] = field(default_factory=dict)


def choose(settings: EncoderSettings, prefer: str | None = None) -> Chosen:
    """Return the encoder that ``settings`` name, or with ``auto`` the best one that runs here.

    ``auto`` keeps the backend whose revision is ``prefer`` where it can run, because vectors of two revisions cannot be
    compared. Else it takes the int8 model, building it where it is missing, if that computes on this processor what it
    computed where it was built and torch is not a quarter faster: an int8 vector does not depend on what is encoded
    beside it, so that the same log gives the same windows to the last digit. It never takes the static tier, which is
    another trade.

    Args:
        settings: the encoder's part of the configuration.
        prefer: the revision of the drift references there are, if any.

    Raises:
        Misconfigured: the model folder is missing or cannot be loaded, or the configured backend is not built.
    """
    if settings.backend != "auto":
        return Chosen(_MAKE[settings.backend](settings), "configured")
    family = family_of(model_folder(settings.model))
    if prefer == f"{family}-{POOLING}":
        return Chosen(
            _torch(settings),
            f"drift references are of {prefer}; to change, set encoder.backend: {INT8} and make new ones",
        )
    if why := _need_int8(settings, family):
        return Chosen(_torch(settings), f"no int8 model: {why}")
    try:
        quick = _int8(settings)
    except Misconfigured as error:
        return Chosen(_torch(settings), f"the int8 model does not run here: {error}")
    if prefer == quick.revision:
        return Chosen(quick, f"drift references are of {prefer}")
    rates = {INT8: short_rate(quick), TORCH: torch_rate(settings)}
    best = quick if rates[INT8] >= rates[TORCH] / MARGIN else _torch(settings)
    return Chosen(best, "measured: " + ", ".join(f"{name} {rate:.0f}/s" for name, rate in rates.items()), rates)


def torch_rate(settings: EncoderSettings) -> float:
    """Return the short texts a second that torch reaches here; 0 where it cannot be measured, with a warning.

    It is measured in a process of its own. In this one torch would stay, some 500 MiB, although it is hardly ever what
    is taken.
    """
    said, why = _apart("inferwatch.detectors.encoder.choose", settings.model_dump_json())
    if why:
        logger.warning("torch cannot be measured: %s", why)
        return 0.0
    return float(said.split()[-1])


def short_rate(encoder: Backend, seconds: float = _SECONDS) -> float:
    """Return the short texts a second that ``encoder`` reaches, the best of a few rounds of ``seconds`` in all."""
    # As many as live traffic brings at once. Of thousands torch may encode more a second (bfloat16 on AMX 1.3 times
    # as many as int8), but in live batches of 200 records it hardly kept up with 0.7 of what a full topic had promised.
    texts = [f"{text} {number}" for number in range(16) for text in samples.SHORT]
    encoder.encode(texts[:2])
    best = 0.0
    for _ in range(_ROUNDS):
        done, start = 0, time.perf_counter()
        while (taken := time.perf_counter() - start) < seconds / _ROUNDS or not done:
            encoder.encode(texts)
            done += len(texts)
        best = max(best, done / taken)
    return best


def _need_int8(settings: EncoderSettings, family: str) -> str:
    """Build the int8 model unless it is there, in a process of its own; return why it is not there then, or nothing."""
    models = models_folder(settings.models_dir)
    try:
        Built.load(models, family, INT8)
        return ""
    except Misconfigured as error:
        logger.info("encoder: building the int8 model now, once, which takes some ten seconds (%s)", error)
    _, why = _apart("inferwatch.detectors.encoder.build", settings.model, str(models))
    return why


def _apart(module: str, *arguments: str) -> tuple[str, str]:
    """Run a module in a process of its own; return what it printed, and the last line of its complaint if it failed."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if not done.returncode:
        return done.stdout, ""
    return done.stdout, (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]


def _torch(settings: EncoderSettings) -> Backend:
    # Imported here: torch takes seconds, and the other backends run without it.
    from inferwatch.detectors.encoder.sentence_transformer import SentenceTransformerEncoder

    return SentenceTransformerEncoder(
        settings.model,
        dtype=settings.dtype,
        threads=settings.threads,
        batch_size=settings.batch_size,
        max_tokens=settings.max_tokens,
    )


def _int8(settings: EncoderSettings) -> Backend:
    from inferwatch.detectors.encoder.onnx_int8 import OnnxInt8Encoder

    encoder = OnnxInt8Encoder(
        model_folder(settings.model),
        models_folder(settings.models_dir),
        threads=settings.threads,
        max_tokens=settings.max_tokens,
    )
    encoder.verify()
    return encoder


def _static(settings: EncoderSettings) -> Backend:
    from inferwatch.detectors.encoder.static import StaticEncoder

    return StaticEncoder(
        model_folder(settings.model), models_folder(settings.models_dir), max_tokens=settings.max_tokens
    )


_MAKE: dict[str, Callable[[EncoderSettings], Backend]] = {TORCH: _torch, INT8: _int8, "static": _static}


if __name__ == "__main__":
    print(short_rate(_torch(EncoderSettings.model_validate_json(sys.argv[1]))))
