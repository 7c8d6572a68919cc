"""One schedule: a workload, some workers and a seeded sequence of faults; then the truth is compared."""

from __future__ import annotations

import logging
import random
import shutil
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka.errors import KafkaError
from pydantic import SecretStr

from inferwatch.infra.clickhouse.migrate import migrate
from inferwatch.infra.clickhouse.store import open_store
from inferwatch.infra.local.broker import LocalKafka
from inferwatch.infra.topics import ensure_topics
from inferwatch.schemas.clock import SystemClock
from inferwatch.schemas.errors import Retryable
from inferwatch.schemas.settings import Settings, StoreSettings
from tests.chaos.arena import Arena, settings_of, write_settings
from tests.chaos.checks import UNTIL, Outcome, Verdict, check_alerts, check_records, check_windows, undisturbed
from tests.chaos.faults import Fault, disk_of, mount, plan, unmount
from tests.chaos.receiver import Receiver
from tests.chaos.workload import Producing, Sent, Workload, lag, raw, read_topic
from tests.support.engine import EngineServer

logger = logging.getLogger(__name__)
CLOCK = SystemClock()

RECORDS = 2500
SECONDS = 9.0
"""How long the workload is produced; faults begin in the same time."""
SETTLE_SECONDS = 60.0
"""Longest wait for the end of everything once all faults are over."""
OPEN = (
    "SELECT count() AS n FROM (SELECT id, receiver FROM outbox_raw GROUP BY id, receiver) AS o LEFT ANTI JOIN "
    "(SELECT id, receiver FROM deliveries_raw WHERE status IN ('sent', 'failed', 'superseded')) AS d "
    "ON o.id = d.id AND o.receiver = d.receiver"
)
UNCLOSED = (
    "SELECT (SELECT count() FROM inferences WHERE timestamp < {horizon:DateTime64(3, 'UTC')}) AS stored, "
    "(SELECT sum(rows) FROM windows WHERE window_end <= {horizon:DateTime64(3, 'UTC')}) AS closed"
)


@dataclass
class Result:
    """What one schedule showed."""

    seed: int
    workers: int
    hot: bool
    faults: list[Fault]
    skipped: str = ""
    verdict: Verdict = field(default_factory=Verdict)
    ended: list[str] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return not self.verdict.counts

    def as_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "passed": self.passed,
            "workers": self.workers,
            "hot_partition": self.hot,
            "faults": [fault.as_json() for fault in self.faults],
            "faults_left_out": self.skipped,
            "wrong": dict(self.verdict.counts),
            "words": self.verdict.words,
            "ended_by_themselves": self.ended,
            "counts": self.counts,
        }


def run(seed: int, folder: Path, broker: LocalKafka) -> Result:
    """Run the schedule of ``seed`` in ``folder``, which must be empty."""
    rng = random.Random(f"schedule {seed}")
    no_disk = mount(folder)
    hot, workers = rng.random() < 0.35, rng.choice([2, 2, 3])
    result = Result(seed, workers, hot, plan(seed, SECONDS, disk=not no_disk))
    result.skipped = no_disk and f"disk_full: {no_disk}"
    with ExitStack() as stack:
        if not no_disk:
            stack.callback(unmount, folder)
        stack.callback(shutil.copytree, disk_of(folder) / "store", folder / "disturbed")
        server = stack.enter_context(EngineServer(disk_of(folder) / "store", faults=True))
        receiver = stack.enter_context(Receiver(random.Random(f"receiver {seed}")))
        topic = f"chaos-{seed}-{folder.parent.name}"
        content = settings_of(server.dsn, broker.bootstrap_servers, topic, receiver.url)
        settings = write_settings(folder, content)
        ensure_topics(settings.kafka)
        migrate(settings.store)
        arena = stack.enter_context(Arena(folder, broker, server, settings))
        acknowledged = _disturbed(arena, result, rng)
        accepted = [note for _, note in receiver.accepted]
        result.counts["accepted"], result.counts["refused"] = len(accepted), len(receiver.refused)
        with open_store(patient(settings.store)) as store:
            found = Outcome.read(store)
    records = read_topic(settings.kafka, settings.kafka.topic)
    calm = _calm(settings, folder, records)
    _compare(result, settings, found, calm, acknowledged, records, accepted)
    if result.passed:
        shutil.rmtree(folder / "disturbed")  # else it lies beside that of the calm run, to be asked what happened
    return result


def _disturbed(arena: Arena, result: Result, rng: random.Random) -> dict[tuple[int, int], Sent]:
    """Produce, disturb, wait for the end, let the workers leave; return what the broker acknowledged."""
    begun = CLOCK.monotonic()
    workload = Workload.make(rng, RECORDS, hot=result.hot)
    arena.wanted = result.workers
    producing = Producing(arena.settings.kafka, workload, SECONDS)
    threads = [producing.start()]
    for fault in result.faults:
        harm = threading.Thread(target=_happen, args=(fault, arena, begun, random.Random(f"{result.seed} {fault}")))
        harm.start()
        threads.append(harm)
    for thread in threads:
        thread.join()
    result.counts |= {"records": len(workload.records), "faults_over_after_s": round(CLOCK.monotonic() - begun, 1)}
    if producing.refused:
        raise RuntimeError(f"the broker did not take {producing.refused[:3]}")
    if stuck := _settle(arena.settings):
        result.verdict.add("stuck", stuck)
    result.counts["settled_after_s"] = round(CLOCK.monotonic() - begun, 1)
    arena.leave_all()
    result.ended = arena.ended
    return producing.acknowledged


def _happen(fault: Fault, arena: Arena, begun: float, rng: random.Random) -> None:
    time.sleep(max(0.0, begun + fault.at - CLOCK.monotonic()))
    logger.info("%5.1f s: %s", CLOCK.monotonic() - begun, fault)
    fault.happen(arena, rng)
    logger.info("%5.1f s: %s is over", CLOCK.monotonic() - begun, fault.kind)


def _settle(settings: Settings) -> str:
    """Wait until nothing is left to do; return what is, when it takes too long."""
    deadline = CLOCK.monotonic() + SETTLE_SECONDS
    before = left = "?"
    # Twice in a row: what is asked last may have added to what was asked first.
    while (left or before) and CLOCK.monotonic() < deadline:
        before, left = left, _left(settings)
        if left != before:
            logger.info("left to do: %s", left or "nothing")
        time.sleep(0.3)
    return left


def _left(settings: Settings) -> str:
    try:
        with open_store(settings.store) as store:
            row = store.query(UNCLOSED, UNTIL).to_pylist()[0]
            waiting = store.query(OPEN).to_pylist()[0]["n"]
        if row["stored"] != row["closed"]:
            return f"{row['stored']} rows, {row['closed']} of them in windows"
        if waiting:
            return f"{waiting} messages wait"
        if behind := lag(settings.kafka):
            return f"{behind} records are not acknowledged by the workers"
    except (Retryable, KafkaError) as error:
        return str(error)
    return ""


def patient(settings: StoreSettings) -> StoreSettings:
    """Return ``settings`` for whoever judges: workers give up on the store soon, so that they meet that too."""
    return settings.model_copy(update={"answer_timeout": StoreSettings().answer_timeout})


def _calm(settings: Settings, folder: Path, records: list[Any]) -> Outcome:
    calm = {"dsn": SecretStr(f"chdb://{folder / 'calm'}")}
    store_settings = patient(settings.store).model_copy(update=calm)
    settings = settings.model_copy(update={"store": store_settings})
    migrate(settings.store)
    with open_store(settings.store) as store:
        return undisturbed(settings, store, [raw(record) for record in records])


def _compare(
    result: Result,
    settings: Settings,
    found: Outcome,
    calm: Outcome,
    acknowledged: dict[tuple[int, int], Sent],
    records: list[Any],
    accepted: list[str],
) -> None:
    """Compare what ``found`` says with what was sent and with what ``calm`` says."""
    letters = read_topic(settings.kafka, settings.kafka.dead_letter_topic)
    headers = [{name: text.decode() for name, text in letter.headers} for letter in letters]
    buried = {(int(one["partition"]), int(one["offset"])) for one in headers}
    check_records(result.verdict, found, acknowledged, [raw(record) for record in records], buried)
    check_windows(result.verdict, calm, found)
    check_alerts(result.verdict, calm, found, accepted)
    result.counts |= {
        "rows": len(found.rows),
        "dead_letters": len(found.dead),
        "windows": len(found.windows),
        "numbers": sum(len(window) for window in calm.windows.values()),
        "windows_revised": found.revised,
        "transitions": len(calm.transitions),
        "messages": len(calm.notes),
    }
