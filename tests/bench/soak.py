"""Does a worker's memory stay where it is? Its own resident memory under a steady load, and the slope with an interval.

One worker with the default models and the embedded store takes live records at half of its highest rate, or at the rate
asked for. The slope is a least-squares line through the samples after the warm-up; its 95 % interval comes from a
bootstrap over blocks of two minutes, because neighbouring samples are alike. The cache of vectors holds 5,000 texts
here instead of 50,000, so that it is full, as it will be for most of a worker's life, when the warm-up ends.

    python -m tests.bench.soak [--minutes 30] [--warm-up 5] [--rate R] [--output DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from inferwatch.infra import memory
from inferwatch.infra.assembly import load_models
from inferwatch.infra.local.broker import LocalKafka
from inferwatch.infra.topics import ensure_topics
from inferwatch.schemas.settings import Settings
from tests.bench.encoding import bare, describe
from tests.bench.feeder import Fed, Feed, feeding
from tests.bench.latency import highest_rate
from tests.bench.machine import RESULTS, machine, resident_mib, write
from tests.bench.service import cached, run, settings_for, stored

EVERY = 5.0
LOAD = 0.5
BLOCK = 120.0
CACHE = 5_000


async def soak(settings: Settings, models: Any, feed: Feed) -> tuple[Fed, list[tuple[float, float]]]:
    """Return what was sent and (seconds, MiB) while it was taken."""
    fed: list[Fed] = []
    samples: list[tuple[float, float]] = []
    start = time.perf_counter()

    async def sending() -> None:
        fed.append(await feeding(feed))

    async def looking() -> None:
        while True:
            samples.append((round(time.perf_counter() - start, 1), round(resident_mib(), 2)))
            await asyncio.sleep(EVERY)

    await run(
        settings,
        models,
        lambda notes: bool(fed) and notes.records >= fed[0].sent,
        meanwhile=[sending(), looking()],
    )
    return fed[0], samples


def slope(samples: list[tuple[float, float]], draws: int = 2_000) -> dict[str, Any]:
    """Return the slope in MiB an hour and its 95 % interval."""
    at, mib = np.array(samples).T
    fit = np.polyfit(at, mib, 1)
    line = np.polyval(fit, at)
    rest = mib - line
    size = max(2, min(len(rest) // 3, round(BLOCK / EVERY)))
    rng = np.random.default_rng(1)
    found = []
    for _ in range(draws):
        starts = rng.integers(0, len(rest) - size + 1, -(-len(rest) // size))
        drawn = np.concatenate([rest[start : start + size] for start in starts])[: len(rest)]
        found.append(np.polyfit(at, line + drawn, 1)[0] * 3600)
    low, high = np.percentile(found, [2.5, 97.5])
    return {
        "mib_an_hour": round(float(fit[0] * 3600), 2),
        "interval": [round(float(low), 2), round(float(high), 2)],
        "mean_mib": round(float(mib.mean()), 1),
        "share_an_hour": round(float(fit[0] * 3600 / mib.mean()), 5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--warm-up", type=float, default=5)
    parser.add_argument("--rate", type=float, help="records a second; default: half of the highest, measured first")
    parser.add_argument("--pilot", type=float, default=15)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    about = machine()
    memory.bound()  # before the models, as a worker does
    loaded, detectors = load_models(Settings())
    encoder = bare(loaded)

    models = cached(encoder, detectors, CACHE)

    with tempfile.TemporaryDirectory() as folder, LocalKafka() as broker:
        dsn = f"chdb://{Path(folder) / 'store'}"
        rate = options.rate or LOAD * highest_rate(broker.bootstrap_servers, dsn, options.pilot, models)
        settings = settings_for("soak", broker.bootstrap_servers, dsn, windows={"size": 60, "allowed_lateness": 5})
        ensure_topics(settings.kafka)
        kafka = settings.kafka
        feed = Feed(broker.bootstrap_servers, kafka.topic, kafka.partitions, rate, 60 * options.minutes)
        fed, samples = asyncio.run(soak(settings, models, feed))
        left = stored(settings, expected=fed.sent)
    found = slope([one for one in samples if one[0] >= 60 * options.warm_up])
    print(f"{found['mib_an_hour']:+.1f} MiB an hour, 95 % interval {found['interval']}, at {found['mean_mib']:.0f} MiB")
    write(
        "soak",
        {
            "machine": about,
            "encoder": describe(encoder),
            "cache_texts": CACHE,
            "rate_per_s": rate,
            "records": fed.sent,
            "windows_closed": left.windows,
            "minutes": options.minutes,
            "warm_up_minutes": options.warm_up,
            "slope": found,
            "samples": samples,
        },
        options.output,
    )


if __name__ == "__main__":
    main()
