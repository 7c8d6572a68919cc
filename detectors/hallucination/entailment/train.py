"""Train the cross-encoder.

    python -m inferwatch.detectors.hallucination.entailment.train DATA WORK [--public FOLDER] [--device cuda] [--out F]

DATA holds the data sets of corpora.py and ``--public`` those of nli.py; both stay outside the repository. WORK keeps
what each step makes, and a step whose result is there is not done again: WORK/pairs (prepare.py), WORK/fit (fit.py, for
which a GPU is better: carry the one there and the other back), and the features' weights without each family. Then of
all candidates that one is packaged which is best on the families left out, with slopes and shifts for it.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from inferwatch.detectors.base import F32, Encoder
from inferwatch.detectors.encoder.folder import BUNDLED, model_folder
from inferwatch.detectors.encoder.load import load_encoder
from inferwatch.detectors.evaluation.ranking import Ranked
from inferwatch.detectors.hallucination.corpora import WRITTEN_HERE, Examples, families
from inferwatch.detectors.hallucination.entailment.calibration import PACKAGED as CALIBRATION
from inferwatch.detectors.hallucination.entailment.calibration import Calibration, Claims, worst
from inferwatch.detectors.hallucination.entailment.cross_encoder import PACKAGED
from inferwatch.detectors.hallucination.entailment.fit import UNITS, Place, fit
from inferwatch.detectors.hallucination.entailment.prepare import owners, prepare
from inferwatch.detectors.hallucination.entailment.reader import Reader
from inferwatch.detectors.hallucination.fit import claims_of, fit_without
from inferwatch.detectors.hallucination.model import GroundingModel
from inferwatch.schemas.settings import EncoderSettings

Judged = Mapping[str, Mapping[str, Claims]]
"""The claims of each family as networks taught without it judge them, by START/CANDIDATE and family."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--public", type=Path, help="folder of the public sets; without it step 1 has made pairs only")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=PACKAGED)
    options = parser.parse_args(arguments)
    found = judged(options.data, options.work, options.public, options.device, options.workers)
    chosen = choose(found, "")
    print(f"chosen: {chosen}", flush=True)
    shutil.copy(options.work / "fit" / f"{chosen.replace('/', '-')}.npz", options.out)
    Calibration.fit(teachers(found[chosen], "")).save(options.out.with_name(CALIBRATION.name))


def judged(data: Path, work: Path, public: Path | None = None, device: str = "cpu", workers: int = 1) -> Judged:
    """Return every candidate's claims of the families left out, trained now where WORK does not hold them."""
    encoder = load_encoder(EncoderSettings(backend="onnx-int8"))
    source, pairs, fitted = model_folder(BUNDLED), work / "pairs", work / "fit"
    if not pairs.exists():
        prepare(data, public, pairs, encoder, Reader(source))
    if not (fitted / "judged.npz").exists():
        fit(Place(pairs, fitted, source, device), workers)
    own = families(data)
    cheap = {name: _cheap(name, examples, data, work, encoder) for name, examples in own.items()}
    whose = {name: owners(examples) for name, examples in own.items()}
    windows: dict[tuple[str, str], list[F32]] = {}
    with np.load(fitted / "judged.npz") as held:
        for key in held.files:
            start, name, _, family = key.split("/")
            windows.setdefault((f"{start}/{name}", family), []).append(held[key])
    found: dict[str, dict[str, Claims]] = {}
    for (candidate, family), logits in windows.items():
        cross = np.mean(logits, axis=0)
        found.setdefault(candidate, {})[family] = Claims(cheap[family], cross, whose[family], own[family].labels)
    return found


def choose(found: Judged, left_out: str) -> str:
    """Return the candidate with the largest mean area of both judgements, over the families outside a unit."""

    def area(candidate: str) -> float:
        others = teachers(found[candidate], left_out)
        meet = Calibration.fit(others)
        return float(np.mean([_area(own, meet(own.cheap, own.cross)) for own in others]))

    return max(found, key=area)


def teachers(found: Mapping[str, Claims], left_out: str) -> list[Claims]:
    """Return the claims of the families of others that are not in the unit ``left_out``."""
    return [own for name, own in found.items() if name not in (*UNITS[left_out], WRITTEN_HERE)]


def _cheap(name: str, examples: Examples, data: Path, work: Path, encoder: Encoder) -> F32:
    fit_without(data, name, work)
    model = GroundingModel.load(work / f"hallucination-without-{name}.json")
    return model.regression(claims_of(examples, encoder).features)


def _area(own: Claims, values: F32) -> float:
    return float(Ranked(own.labels, worst(own, values)).curve(np.ones(len(own.labels))).area)


if __name__ == "__main__":
    main()
