"""``inferwatch worker`` that says after each batch how many records it stored: the process the chaos tests kill.

python -m tests.chaos.counting_worker SETTINGS.json fast|real
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from inferwatch.infra import assembly, worker
from inferwatch.schemas.settings import Settings
from inferwatch.streams.pipeline import Pipeline, Prepared
from inferwatch.streams.ports import DeadLetter
from tests.chaos.models import fast_models


class Counting(Pipeline):
    """Prints the size of each batch when it is stored."""

    def commit(self, prepared: Prepared) -> tuple[DeadLetter, ...]:
        letters = super().commit(prepared)
        print(len(prepared.records), flush=True)
        return letters


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    assembly.Pipeline = Counting  # type: ignore[misc]
    settings = Settings.model_validate_json(Path(sys.argv[1]).read_text())
    models = {"fast": fast_models, "real": assembly.load_models}[sys.argv[2]]
    asyncio.run(worker.run_worker(settings, models=models))
