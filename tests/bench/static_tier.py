"""How many inferences a second one worker takes end to end with the static tier, and where its time goes.

The worker reads a filled topic of short texts with default settings, windows of 5 s closing as they complete, event
times as in live traffic at the rate it reaches. It runs again under a sampling profiler, for the reasons.

    python -m tests.bench.static_tier [--seconds 12] [--runs 3] [--output DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from inferwatch.infra.assembly import load_models
from inferwatch.infra.local.broker import LocalKafka
from inferwatch.schemas.settings import Settings
from tests.bench.encoding import STATIC, bare, describe, distinct_texts
from tests.bench.machine import RESULTS, cpu_seconds, machine, write
from tests.bench.sampler import Sampler
from tests.bench.service import cached, produce, run, settings_for, stored, until
from tests.bench.throughput import WINDOWS, floor
from tests.bench.workloads import records, stamped

PILOT = 2_000


def one_run(
    name: str, n: int, rate: float, models: Any, broker: LocalKafka, folder: Path, *, profile: bool
) -> dict[str, Any]:
    """Return rate and load of one worker over ``n`` records."""
    settings = settings_for(name, broker.bootstrap_servers, f"chdb://{folder}", windows=WINDOWS, **STATIC)
    produce(settings.kafka, stamped(records("short", n), rate))
    sampler = Sampler() if profile else None
    worker, kafka = os.getpid(), broker.pid or 0
    before = cpu_seconds(worker), cpu_seconds(kafka)
    with sampler or nullcontext():
        notes = asyncio.run(run(settings, models, until(n)))
    after = cpu_seconds(worker), cpu_seconds(kafka)
    left = stored(settings, expected=n)
    found: dict[str, Any] = {
        "records": n,
        "seconds": notes.seconds,
        "per_s": n / notes.seconds,
        "batches": len(notes.commits),
        "windows_closed": left.windows,
        "windows_revised": left.revised,
        "worker_cpu_s": round(after[0] - before[0], 2),
        "broker_cpu_s": round(after[1] - before[1], 2),
    }
    return found | ({"profile": sampler.summary()} if sampler else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    about = machine()
    defaults = Settings.model_validate(STATIC)
    loaded, detectors = load_models(defaults)
    encoder = bare(loaded)

    models = cached(encoder, detectors)

    with tempfile.TemporaryDirectory() as folder, LocalKafka() as broker:
        store = Path(folder) / "store"
        pilot = one_run("static-pilot", PILOT, 1_000, models, broker, store, profile=False)
        n = max(PILOT, round(pilot["per_s"] * options.seconds))
        texts = distinct_texts(stamped(records("short", n), 1_000), defaults, encoder, detectors)
        alone = floor(encoder, texts)
        runs = [
            one_run(f"static-{number}", n, pilot["per_s"], models, broker, store, profile=False)
            for number in range(options.runs)
        ]
        profiled = one_run("static-profiled", n, pilot["per_s"], models, broker, store, profile=True)
    rates = [found["per_s"] for found in runs]
    print(f"static tier: {statistics.median(rates):.0f} inferences/s end to end, bare {n / alone:.0f} inferences/s")
    write(
        "static",
        {
            "machine": about,
            "encoder": describe(encoder),
            "windows": WINDOWS,
            "per_s": statistics.median(rates),
            "bare_per_s": n / alone,
            "runs": runs,
            "profiled": profiled,
        },
        options.output,
    )


if __name__ == "__main__":
    main()
