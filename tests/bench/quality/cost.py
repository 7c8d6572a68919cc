"""What toxicity and hallucination add to the encoder's time, on the same records in one run.

    python -m tests.bench.quality.cost [--data FOLDER] [--rounds 5] [--rows 3000] [--output DIR]

The encoder's time is that of the whole inputs and outputs, which drift needs anyway. A detector adds its own work
(cutting, words, arithmetic) and the texts that only it asks the encoder for: sentences, contexts. Sides take turns.

Time is the processor's, of all threads: a busy worker encodes one batch while it works on another, so what a detector
takes from it is core-seconds. By the clock, with the encoder on every core and the detector on one, the same work is a
larger share (``elapsed``).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from inferwatch.detectors.base import Batch, Detector, Encoder, Item
from inferwatch.detectors.hallucination.detector import Hallucination
from inferwatch.detectors.hallucination.fit import families
from inferwatch.detectors.toxicity.corpus import alpaca
from inferwatch.detectors.toxicity.detector import Toxicity
from tests.bench.encoding import bare, describe
from tests.bench.machine import machine, write
from tests.bench.quality import scoring, sets
from tests.bench.quality.arguments import arguments

FEWEST = 64
_threads: Any = threadpool_limits  # it has no types


class Seconds(NamedTuple):
    """What some work took: of the processor, all threads together, and by the clock."""

    processor: float
    elapsed: float


NOTHING = Seconds(0.0, 0.0)


def main() -> None:
    options = arguments(__doc__)
    about = machine()
    data = sets.need(options.data)
    encoder = bare(scoring.encoder())
    most = max(FEWEST, options.rows // 8)
    grounded = [item for examples in families(data).values() for item in examples.items]
    grounded = [grounded[row] for row in sets.some([item.output for item in grounded], most)]
    cases, asked = sets.hatecheck(data)[0], alpaca(data, "instruction")
    outputs = sets.answers(data, 1)
    long = [outputs[row] for row in sets.some(outputs, most)]
    half = min(most, len(asked) // 2)
    workloads: dict[str, tuple[list[Item], list[Detector]]] = {
        "questions": ([Item(a, b) for a, b in zip(asked[:half], asked[half : 2 * half], strict=True)], [Toxicity()]),
        "abuse, most of it flagged": (
            [Item(a, b) for a, b in zip(cases[:most], cases[most : 2 * most], strict=True)],
            [Toxicity()],
        ),
        "answers of models": ([Item(a, b) for a, b in zip(asked, long, strict=False)], [Toxicity()]),
        "answers with contexts": (grounded, [Toxicity(), Hallucination()]),
    }
    del grounded
    found = {}
    for name in list(workloads):
        found[name] = measure(*workloads.pop(name), encoder, options.rounds)
        print(f"{name}: {found[name]}", flush=True)
    write(
        "cost",
        {"machine": about, "encoder": describe(encoder), "rounds": options.rounds, "found": found},
        options.output,
    )


def measure(items: list[Item], detectors: Sequence[Detector], encoder: Encoder, rounds: int) -> dict[str, Any]:
    """Return the seconds of the encoder, and what each detector adds to them."""
    rows = [astuple(item) for item in items]
    drift = list(dict.fromkeys(text for item in items for text in (item.input, item.output) if text.strip()))
    wanted = {one.name: dict.fromkeys(text for item in items for text in one.texts(item)) for one in detectors}
    whole = set(drift)
    more = {name: [text for text in own if text not in whole] for name, own in wanted.items()}
    texts = list(dict.fromkeys(text for own in wanted.values() for text in own))
    n = len(items)
    items.clear()  # what a detector remembers of an item is gone with the last of its equals
    vectors, index = encoder.encode(texts), {text: row for row, text in enumerate(texts)}
    seconds: dict[str, list[Seconds]] = {"encoder": []}
    for one in detectors:
        seconds |= {f"{one.name} texts": [], f"{one.name} work": []}
    with _threads(1, user_api="blas"):  # as in a worker
        for _ in range(rounds):
            seconds["encoder"].append(_timed(lambda: encoder.encode(drift)))
            for one in detectors:
                own = more[one.name]
                seconds[f"{one.name} texts"].append(_timed(lambda own=own: encoder.encode(own)) if own else NOTHING)
                held = Batch([Item(*row) for row in rows], index, vectors)
                seconds[f"{one.name} work"].append(_timed(lambda one=one, held=held: _work(one, held)))
    base = Seconds(*(statistics.median(side) for side in zip(*seconds["encoder"], strict=True)))
    shares = {
        one.name: {
            part: _share(seconds[f"{one.name} {part}"], seconds["encoder"], "processor") for part in ("work", "texts")
        }
        | {
            "elapsed": {
                part: _share(seconds[f"{one.name} {part}"], seconds["encoder"], "elapsed") for part in ("work", "texts")
            },
            "more_texts": len(more[one.name]),
        }
        for one in detectors
    }
    return {
        "items": n,
        "texts": len(drift),
        "encoder_s": round(base.elapsed, 4),
        "encoder_processor_s": round(base.processor, 4),
        "shares": shares,
    }


def _share(own: Sequence[Seconds], encoder: Sequence[Seconds], of: str) -> float:
    return statistics.median(getattr(a, of) / getattr(b, of) for a, b in zip(own, encoder, strict=True))


def _work(detector: Detector, batch: Batch) -> None:
    """Do what a worker asks of a detector, but for encoding: name the texts, then score."""
    for item in batch.items:
        list(detector.texts(item))
    detector.score(batch)


def _timed(work: Any) -> Seconds:
    processor, elapsed = time.process_time(), time.perf_counter()
    work()
    return Seconds(time.process_time() - processor, time.perf_counter() - elapsed)


if __name__ == "__main__":
    main()
