"""``inferwatch worker`` as the schedules run it: with a small encoder and detector, a clock that can be put wrong, and
short waits where the service would be patient. Everything else is the service's.

    python -m tests.chaos.worker_process SETTINGS.json CLOCK [watch]

CLOCK is a file with the seconds this worker's wall clock is wrong by. With ``watch``, changed rules are taken up.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path

from inferwatch.infra import worker
from inferwatch.infra.reload import RulesFile
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.settings import Settings
from inferwatch.streams import closing
from inferwatch.streams.alerting import delivering, dispatch, outbox
from tests.chaos.models import fast_models
from tests.support.orphan import end_with_parent


def be_impatient() -> None:
    """Shorten this process's waits, in the same order of lengths as in the service: answer < lease, first < longest."""
    delivering.ANSWER_SECONDS = 3.0
    dispatch.LOOK_SECONDS = 1.0
    outbox.LEASE = timedelta(seconds=5)
    outbox.FIRST_DELAY, outbox.LONGEST_DELAY = timedelta(seconds=0.3), timedelta(seconds=1.5)
    closing.REVISION_SCAN = timedelta(seconds=2)
    worker.PAUSE = 0.4


class WrongClock(SystemClock):
    """The machine's clock, put wrong by what a file says; its monotonic timer is right, as a real one is."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=float(self._file.read_text()))


if __name__ == "__main__":
    end_with_parent(signal.SIGKILL)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    be_impatient()
    settings = Settings.model_validate_json(Path(sys.argv[1]).read_text())
    clock = WrongClock(Path(sys.argv[2]))
    rules = RulesFile(Path(sys.argv[1]), {}, settings, clock) if sys.argv[3:] == ["watch"] else None
    asyncio.run(worker.run_worker(settings, models=fast_models, clock=clock, rules=rules))
