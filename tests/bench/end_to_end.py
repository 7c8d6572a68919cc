"""End-to-end rate through real Kafka and the real store, against the bare encoder on the same texts.

Both sides run in turn in this process, A B A B …, and the ratio is taken pair by pair, so that a machine whose speed
drifts does not decide. The bare side encodes every distinct text once, in one call, which lets it sort all of them by
length: a floor that batches from a stream cannot quite reach. Event time runs as in live traffic of 100 records a
second.

    python -m tests.bench.end_to_end [--records 3000] [--pairs 3] [--output FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import orjson
import torch
from kafka import KafkaProducer
from pydantic import SecretStr

from inferwatch.detectors.base import F32, Encoder
from inferwatch.detectors.encoder.sentence_transformer import SentenceTransformerEncoder
from inferwatch.infra.demo.corpus import compose
from inferwatch.infra.local.broker import LocalKafka
from inferwatch.infra.topics import ensure_topics
from inferwatch.infra.worker import assemble
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.settings import KafkaSettings, Settings, StoreSettings, WindowSettings
from inferwatch.streams.kafka import KafkaStream

WINDOWS = WindowSettings(size=timedelta(seconds=10), allowed_lateness=timedelta(seconds=1))
"""Thirty times as many windows to close as by default: the cost of closing is in the figure."""
RESULTS = Path(__file__).parent / "results" / "end_to_end.json"


class Listening:
    """An encoder that notes the distinct texts it is asked for and does no work."""

    def __init__(self, like: Encoder) -> None:
        self.revision, self.family, self.dim = like.revision, like.family, like.dim
        self.texts: dict[str, None] = {}

    def encode(self, texts: Sequence[str]) -> F32:
        self.texts.update(dict.fromkeys(texts))
        return torch.zeros((len(texts), self.dim)).numpy()


def machine() -> dict[str, object]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    packages = {name: version(name) for name in ("torch", "sentence-transformers", "chdb", "faust-streaming", "numpy")}
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), "packages": packages}


def live(records: Sequence[dict[str, object]]) -> list[bytes]:
    """The records with event times as in live traffic of 100 a second, in place of an accelerated day's."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)  # noqa: TID251
    return [
        orjson.dumps(record | {"timestamp": (start + place * timedelta(milliseconds=10)).isoformat()})
        for place, record in enumerate(records)
    ]


def bare(encoder: SentenceTransformerEncoder, texts: Sequence[str]) -> float:
    """Seconds to encode every distinct text once."""
    start = time.perf_counter()
    encoder.encode(texts)
    return time.perf_counter() - start


async def end_to_end(values: Sequence[bytes], broker: str, folder: Path, run: int) -> float:
    """Seconds from joining the group, models loaded, until every record is stored and its window could close."""
    kafka = KafkaSettings(
        bootstrap_servers=broker, topic=f"bench-{run}", dead_letter_topic=f"bench-dlq-{run}", group_id=f"b{run}"
    )
    store = StoreSettings(dsn=SecretStr(f"chdb://{folder}"), database=f"bench_{run}")
    settings = Settings(kafka=kafka, store=store, windows=WINDOWS)
    ensure_topics(kafka)
    producer = KafkaProducer(bootstrap_servers=broker)
    for place, value in enumerate(values):
        producer.send(kafka.topic, value, key=str(place % 16).encode())
    producer.flush()
    producer.close()
    clock = SystemClock()
    async with assemble(settings, clock) as parts:
        parts.encoder.encode(["warm up"])
        stream = KafkaStream(kafka, parts.pipeline, version="bench")
        stop = asyncio.Event()
        seconds = 0.0

        async def watch() -> None:
            nonlocal seconds
            while not stream.counters.received:
                await asyncio.sleep(0.01)
            start = time.perf_counter()
            tick = start
            while stream.counters.stored < len(values):
                await asyncio.sleep(0.02)
                if time.perf_counter() - tick > 1:
                    await asyncio.to_thread(parts.closer.tick)
                    tick = time.perf_counter()
            seconds = time.perf_counter() - start
            stop.set()

        watching = asyncio.create_task(watch())
        await stream.run(stop)
        await watching
        [row] = parts.store.query("SELECT count() AS n FROM inferences").to_pylist()
        if row["n"] != len(values):
            raise RuntimeError(f"{row['n']} rows of {len(values)} are in the store")
    return seconds


def texts_of(values: Sequence[bytes], encoder: SentenceTransformerEncoder) -> list[str]:
    """The distinct texts that scoring ``values`` asks the encoder for."""
    from inferwatch.detectors.registry import load_detectors
    from inferwatch.streams.pipeline import Pipeline
    from inferwatch.streams.ports import RawRecord

    listening = Listening(encoder)
    settings = Settings()
    now = datetime.now(UTC)  # noqa: TID251
    records = [RawRecord("bench", 0, place, now, value) for place, value in enumerate(values)]
    pipeline = Pipeline(settings, listening, load_detectors(settings.detectors.enabled), None, SystemClock())  # type: ignore[arg-type]
    for start in range(0, len(records), 256):
        pipeline.prepare(records[start : start + 256])
    return list(listening.texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=3000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    day = datetime(2026, 1, 1, tzinfo=UTC)
    values = live([inference.record for inference in compose(day)[: options.records]])
    encoder = SentenceTransformerEncoder()
    texts = texts_of(values, encoder)
    encoder.encode(texts[:64])
    print(f"{len(values)} inferences, {len(texts)} distinct texts, encoder in {encoder.dtype}")
    pairs = []
    with tempfile.TemporaryDirectory() as folder, LocalKafka() as broker:
        for run in range(options.pairs):
            floor = bare(encoder, texts)
            whole = asyncio.run(end_to_end(values, broker.bootstrap_servers, Path(folder) / "store", run))
            pairs.append({"bare_s": floor, "end_to_end_s": whole, "ratio": floor / whole})
            print(
                f"pair {run + 1}: bare encoder {len(values) / floor:.0f} inferences/s "
                f"({len(texts) / floor:.0f} texts/s), end to end {len(values) / whole:.0f} inferences/s, "
                f"ratio {floor / whole:.2f}"
            )
    result = {
        "records": len(values),
        "distinct_texts": len(texts),
        "encoder": {"revision": encoder.revision, "dtype": encoder.dtype},
        "pairs": pairs,
        "bare_inferences_per_s": len(values) / statistics.median(pair["bare_s"] for pair in pairs),
        "end_to_end_inferences_per_s": len(values) / statistics.median(pair["end_to_end_s"] for pair in pairs),
        "end_to_end_ratio": statistics.median(pair["ratio"] for pair in pairs),
        "machine": machine(),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n")
    print(
        json.dumps(
            {
                name: result[name]
                for name in ("bare_inferences_per_s", "end_to_end_inferences_per_s", "end_to_end_ratio")
            }
        )
    )


if __name__ == "__main__":
    main()
