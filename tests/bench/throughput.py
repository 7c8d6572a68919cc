"""End-to-end rate through real Kafka and the real store, against the bare encoder on the same texts.

Both sides run in turn in this process with the same loaded model, A B A B … A, and each run end to end is compared with
the mean of the bare runs before and after it, so that a machine whose speed drifts does not decide. A short run end to
end comes first and is not counted. The bare side encodes every distinct text that scoring asks for
once, in one call, which lets it sort all of them by length: a floor that batches from a stream cannot quite reach. The
end-to-end side reads a filled topic with default settings, from when its first batch begins to be scored until the
last row is stored, closing windows as they complete. Its cache of vectors is empty at the start, so it too encodes
each distinct text once; all texts are distinct in ``short`` and ``long``, contexts come back in ``assistant``. Storing
the last batch, while nothing is left to encode, is 2 % of a run of sixteen seconds and no part of a rate: a run is
three times as long.

Event times are those of live traffic at the bare encoder's rate. With the default windows of 5 minutes hardly one
closes during a run; closing one costs about 0.3 s of the 300. ``short_5s`` has windows of 5 s: sixty times as many as
by default, and their cost is in the figure.

    python -m tests.bench.throughput [--workloads short …] [--seconds 45] [--pairs 3] [--output DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inferwatch.detectors.base import Detector, Encoder
from inferwatch.infra.assembly import load_models
from inferwatch.infra.local.broker import LocalKafka
from inferwatch.schemas.settings import Settings
from tests.bench.encoding import bare, describe, distinct_texts
from tests.bench.machine import RESULTS, machine, write
from tests.bench.service import Stored, cached, produce, run, settings_for, stored, until
from tests.bench.workloads import KINDS, Kind, records, stamped

WINDOWS = {"size": 5, "allowed_lateness": 1}
WORKLOADS: dict[str, tuple[Kind, dict[str, int]]] = {kind: (kind, {}) for kind in KINDS} | {
    "short_5s": ("short", WINDOWS)
}
"""Name -> the texts and the windows; empty: as by default."""
PILOT = {"short": 256, "long": 48, "assistant": 128}
"""Records that tell how many fit into the time asked for."""


def floor(encoder: Encoder, texts: Sequence[str]) -> float:
    """Seconds to encode every distinct text once."""
    start = time.perf_counter()
    encoder.encode(texts)
    return time.perf_counter() - start


def compare(
    name: str, wanted: float, pairs: int, encoder: Encoder, detectors: list[Detector], broker: str, folder: Path
) -> dict[str, Any]:
    """Return the pairs of one workload, sized so that the bare side takes about ``wanted`` seconds."""
    kind, windows = WORKLOADS[name]
    defaults = Settings()
    pilot = distinct_texts(stamped(records(kind, PILOT[kind]), 100), defaults, encoder, detectors)
    encoder.encode(pilot[: len(pilot) // 4])
    rate = PILOT[kind] / floor(encoder, pilot)
    n = max(PILOT[kind], round(rate * wanted))
    found = records(kind, n)
    texts = distinct_texts(stamped(found, rate), defaults, encoder, detectors)

    models = cached(encoder, detectors)

    def end_to_end(number: int, sent: Sequence[dict[str, Any]]) -> tuple[float, Stored]:
        settings = settings_for(f"throughput-{name}-{number}", broker, f"chdb://{folder}", windows=windows)
        produce(settings.kafka, stamped(sent, rate))
        notes = asyncio.run(run(settings, models, until(len(sent))))
        return notes.seconds, stored(settings, expected=len(sent))

    end_to_end(0, found[: PILOT[kind]])
    before = floor(encoder, texts)
    done: list[dict[str, float]] = []
    for number in range(1, pairs + 1):
        seconds, left = end_to_end(number, found)
        after = floor(encoder, texts)
        alone = (before + after) / 2
        done.append(
            {
                "bare_before_s": before,
                "end_to_end_s": seconds,
                "bare_after_s": after,
                "bare_s": alone,
                "ratio": alone / seconds,
                "windows_closed": left.windows,
                "windows_revised": left.revised,
            }
        )
        before = after
        print(
            f"{name} {number}: bare {n / alone:.0f} inferences/s ({len(texts) / alone:.0f} texts/s), end to end "
            f"{n / seconds:.0f} inferences/s, {left.windows} windows closed, ratio {alone / seconds:.3f}",
            flush=True,
        )
    return {
        "records": n,
        "distinct_texts": len(texts),
        "pairs": done,
        "bare_per_s": n / statistics.median(pair["bare_s"] for pair in done),
        "end_to_end_per_s": n / statistics.median(pair["end_to_end_s"] for pair in done),
        "ratio": statistics.median(pair["ratio"] for pair in done),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=tuple(WORKLOADS))
    parser.add_argument("--seconds", type=float, default=45)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    about = machine()
    loaded, detectors = load_models(Settings())
    encoder = bare(loaded)
    with tempfile.TemporaryDirectory() as folder, LocalKafka() as broker:
        found = {
            name: compare(
                name, options.seconds, options.pairs, encoder, detectors, broker.bootstrap_servers,
                Path(folder) / "store",
            )
            for name in options.workloads
        }  # fmt: skip
    write(
        "throughput",
        {"machine": about, "short_windows": WINDOWS, "encoder": describe(encoder), "workloads": found},
        options.output,
    )


if __name__ == "__main__":
    main()
