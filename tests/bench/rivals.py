"""Conversations a second of this project, LangKit and Evidently, on the same texts, with the same model, in one run.

What all three compute is how near an output is to its input, from sentence vectors of both: LangKit's
``response.relevance_to_prompt``, Evidently's ``SemanticSimilarity``. They get the bundled model from its folder. The
other scores they share with this project, toxicity foremost, need models from a hub and cannot run without it.

This project does what its worker does with a record: decode and redact it, encode both texts, score toxicity and
hallucination. So it does more than the others, and the ratio is a lower bound. Sides take turns, round after round.

The rivals are installed into an environment of their own (``rivals.txt``; some 6 GB, because of torch).

    python -m tests.bench.rivals [--conversations 512] [--rounds 3] [--output DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from inferwatch.detectors.encoder.folder import model_folder
from inferwatch.infra.assembly import load_models
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.settings import Settings
from inferwatch.streams.pipeline import Pipeline
from tests.bench.encoding import bare, describe
from tests.bench.environment import environment
from tests.bench.machine import RESULTS, machine, write
from tests.bench.workloads import raw, records, stamped

HERE = Path(__file__).parent
OWN = "inferwatch"


class Rivals:
    """The process they run in."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        quiet = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
        command = [
            environment("rivals", HERE / "rivals.txt", "some 6 GB (torch)"),
            "-W",
            "ignore",
            HERE / "rival_process.py",
            model_folder("bundled"),
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=quiet, text=True)
        self.about = self.ask(json.dumps(pairs))

    def __enter__(self) -> Rivals:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def ask(self, line: str) -> dict[str, Any]:
        """Return the answer to one line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        found = self._process.stdout.readline()
        if not found:
            raise RuntimeError(f"the rivals' process ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(found)
        return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--conversations", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    about = machine()
    settings = Settings()
    loaded, detectors = load_models(settings)
    encoder = bare(loaded)
    found = records("short", options.conversations)
    raws = raw(stamped(found, 100))
    pairs = [(one["input"], one["output"]) for one in found]
    pipeline = Pipeline(settings, encoder, detectors, None, SystemClock())  # type: ignore[arg-type]
    step = settings.kafka.batch_records

    def own() -> float:
        start = time.perf_counter()
        for at in range(0, len(raws), step):
            pipeline.prepare(raws[at : at + step])
        return time.perf_counter() - start

    pipeline.prepare(raws[:step])
    with Rivals(pairs) as rivals:
        seconds: dict[str, list[float]] = {OWN: [], **{name: [] for name in rivals.about["sides"]}}
        for _ in range(options.rounds):
            for name, taken in seconds.items():
                answer = {"seconds": own(), "scored": len(raws)} if name == OWN else rivals.ask(name)
                if answer["scored"] != len(pairs):
                    raise RuntimeError(f"{name} scored {answer['scored']} of {len(pairs)} conversations")
                taken.append(answer["seconds"])
        versions = rivals.about["versions"]
    sides = {}
    for name, taken in seconds.items():
        ratios = [other / mine for other, mine in zip(taken, seconds[OWN], strict=True)]
        sides[name] = {
            "per_s": len(pairs) / statistics.median(taken),
            "seconds": taken,
            "own_speedups": ratios,
            "own_speedup": statistics.median(ratios),
        }
        print(
            f"{name}: {sides[name]['per_s']:.1f} conversations/s; {OWN} {sides[name]['own_speedup']:.1f}x", flush=True
        )
    write(
        "rivals",
        {
            "machine": about,
            "encoder": describe(encoder),
            "versions": versions,
            "conversations": len(pairs),
            "rounds": options.rounds,
            "sides": sides,
        },
        options.output,
    )


if __name__ == "__main__":
    sys.exit(main())
