"""Many schedules, one after the other: ``make chaos``.

Each seed's result is written as it ends, and a schedule that fails, or cannot be run, does not stop the others. The
last line is a summary over every seed asked for, in JSON.

    python -m tests.chaos.run [--seeds 0-31] [--resume] [--results DIR] [--logs DIR]
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from inferwatch.infra.local.broker import LocalKafka
from inferwatch.schemas.clock import SystemClock
from tests.chaos import schedule
from tests.chaos.faults import disk_of, unmount

CLOCK = SystemClock()
RESULTS = Path(__file__).parent / "results"
COUNTED = ("lost", "duplicated", "windows_differing", "alerts_lost", "alerts_repeated")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", default="0-31", help="such as 0-31 or 3,5,8")
    parser.add_argument("--resume", action="store_true", help="leave out seeds whose result says that they passed")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--logs", type=Path, default=Path(tempfile.gettempdir()) / "inferwatch-chaos")
    arguments = parser.parse_args()
    arguments.results.mkdir(parents=True, exist_ok=True)
    logging.getLogger("kafka").setLevel(logging.ERROR)
    # Ended from outside, it still ends its processes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with LocalKafka() as broker:
        results = [one(seed, broker, arguments) for seed in seeds(arguments.seeds)]
    print(json.dumps(summary(results)))
    return 0 if all(result["passed"] for result in results) else 1


def seeds(text: str) -> list[int]:
    """Read ``0-3,7``.

    >>> seeds("0-3,7")
    [0, 1, 2, 3, 7]
    """
    found = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def one(seed: int, broker: LocalKafka, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one schedule, or take the result that is there."""
    file = arguments.results / f"seed-{seed:03}.json"
    if arguments.resume and file.exists() and (before := json.loads(file.read_text()))["passed"]:
        return dict(before)
    folder = arguments.logs / f"seed-{seed:03}"
    if disk_of(folder).is_mount():  # an earlier run was killed
        unmount(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = logging.FileHandler(folder / "schedule.log")
    log.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("tests.chaos")
    logger.setLevel(logging.INFO)
    logger.addHandler(log)
    begun = CLOCK.monotonic()
    try:
        result = schedule.run(seed, folder, broker).as_json()
    except Exception:
        result = {"seed": seed, "passed": False, "wrong": {"not_run": 1}, "words": [traceback.format_exc()]}
        broker.start()
    finally:
        logger.removeHandler(log)
        log.close()
    result["seconds"] = round(CLOCK.monotonic() - begun, 1)
    file.write_text(json.dumps(result, indent=1) + "\n")
    kinds = " ".join(fault["kind"] for fault in result.get("faults", []))
    print(f"seed {seed}: {'passed' if result['passed'] else 'FAILED'} in {result['seconds']} s ({kinds})", flush=True)
    for words in result["words"]:
        print(f"    {words}", flush=True)
    return result


def summary(results: list[dict[str, Any]]) -> dict[str, int]:
    """Return the figures over all schedules."""
    wrong = sum((Counter(result["wrong"]) for result in results), Counter[str]())
    found = {"schedules": len(results), "passed": sum(result["passed"] for result in results)}
    found |= {name: wrong.pop(name, 0) for name in COUNTED}
    return found | dict(wrong)


if __name__ == "__main__":
    sys.exit(main())
