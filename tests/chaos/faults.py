"""What goes wrong: each fault does its harm, waits, and mends what would not mend by itself.

A plan is drawn from a seed alone. Faults may overlap, except where two would fight over one process.
"""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.chaos.arena import SESSION_SECONDS, Arena

STORE = threading.Lock()
BROKER = threading.Lock()
DISK_MB = 400
CODES = (0, 202, 241, 252, 999)
"""What a store says that has trouble: a bare 502 from a proxy, too many queries, memory, too many parts, keeper."""


@dataclass(frozen=True, slots=True)
class Fault:
    """``kind`` begins ``at`` seconds after the first record and lasts about ``seconds``; ``size`` is its own."""

    at: float
    kind: str
    seconds: float
    size: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def happen(self, arena: Arena, rng: random.Random) -> None:
        """Do it, and return when it is over."""
        KINDS[self.kind](self, arena, rng)


def plan(seed: int, during: float, *, disk: bool) -> list[Fault]:
    """Return four to six faults within the first ``during`` seconds. Seeds in a row begin with every kind in turn."""
    rng = random.Random(f"faults {seed}")
    kinds = [kind for kind in KINDS if disk or kind != "disk_full"]
    chosen = [kinds[seed % len(kinds)], *rng.choices(kinds, k=rng.randrange(3, 6))]
    starts = sorted(rng.uniform(0.5, during) for _ in chosen)
    rng.shuffle(chosen)
    return [_draw(kind, round(at, 2), rng) for kind, at in zip(chosen, starts, strict=True)]


def _draw(kind: str, at: float, rng: random.Random) -> Fault:
    seconds, size = rng.uniform(1, 4), 0.0
    if kind == "freeze":
        seconds = SESSION_SECONDS + rng.uniform(0.5, 4)
    if kind == "store_error":
        size = rng.choice(CODES)
    if kind.startswith("clock"):
        size = rng.choice([-1, 1]) * rng.choice([90, 600, 3600, 6 * 3600])
        seconds = rng.uniform(1, 10)
    return Fault(at, kind, round(seconds, 2), size)


def _kill(fault: Fault, arena: Arena, rng: random.Random) -> None:
    """SIGKILL; the arena starts another."""
    if running := arena.running():
        rng.choice(running).signal(signal.SIGKILL)


def _freeze(fault: Fault, arena: Arena, rng: random.Random) -> None:
    """SIGSTOP for longer than the session lasts: it wakes with batches, windows and messages in hand."""
    if not (running := arena.running()):
        return
    worker = rng.choice(running)
    with suppress(ProcessLookupError):
        worker.signal(signal.SIGSTOP)
        time.sleep(fault.seconds)
        worker.signal(signal.SIGCONT)


def _join(fault: Fault, arena: Arena, rng: random.Random) -> None:
    """One worker more for a while."""
    worker = arena.start_worker()
    time.sleep(fault.seconds + 3)
    if worker in arena.running():
        arena.leave(worker)


def _leave(fault: Fault, arena: Arena, rng: random.Random) -> None:
    """A worker is told to end and does; the arena starts another."""
    if running := arena.running():
        arena.leave(rng.choice(running))


def _broker(fault: Fault, arena: Arena, rng: random.Random) -> None:
    """The broker is restarted."""
    with BROKER:
        arena.broker.pause()
        time.sleep(fault.seconds / 4)
        arena.broker.start()


def _store(kind: str) -> Callable[[Fault, Arena, random.Random], None]:
    def happen(fault: Fault, arena: Arena, rng: random.Random) -> None:
        with STORE:
            arena.server.disturb(kind, fault.seconds, int(fault.size))
            time.sleep(fault.seconds)

    return happen


def _store_kill(fault: Fault, arena: Arena, rng: random.Random) -> None:
    """SIGKILL of the store, which comes back on its data."""
    with STORE:
        arena.server.kill()
        time.sleep(fault.seconds / 2)
        arena.server.start()


def _store_freeze(fault: Fault, arena: Arena, rng: random.Random) -> None:
    """SIGSTOP of the store: it takes connections and says nothing, then does everything it was asked meanwhile."""
    with STORE:
        arena.server.signal(signal.SIGSTOP)
        time.sleep(fault.seconds)
        arena.server.signal(signal.SIGCONT)


def _disk_full(fault: Fault, arena: Arena, rng: random.Random) -> None:
    """The store's disk is filled to the last byte, then freed."""
    with STORE:
        filler = disk_of(arena.folder) / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(2**20))
        with suppress(OSError), filler.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(512))
        time.sleep(fault.seconds)
        filler.unlink()


def _clock(fault: Fault, arena: Arena, rng: random.Random) -> None:
    """A worker's wall clock goes wrong and is put right."""
    if running := arena.running():
        worker = rng.choice(running)
        worker.clock.write_text(str(fault.size))
        time.sleep(fault.seconds)
        worker.clock.write_text("0")


def _clock_start(fault: Fault, arena: Arena, rng: random.Random) -> None:
    """Every worker is killed, and those that take over come up with a wrong clock, which is put right."""
    arena.wrong_by = fault.size
    for worker in arena.running():
        worker.signal(signal.SIGKILL)
    time.sleep(fault.seconds + 4)
    arena.wrong_by = 0.0
    for worker in arena.running():
        worker.clock.write_text("0")


KINDS: dict[str, Callable[[Fault, Arena, random.Random], None]] = {
    "kill": _kill,
    "freeze": _freeze,
    "join": _join,
    "leave": _leave,
    "broker": _broker,
    "store_refuse": _store("refuse"),
    "store_error": _store("error"),
    "store_hang": _store("hang"),
    "store_late": _store("late"),
    "store_torn": _store("torn"),
    "store_kill": _store_kill,
    "store_freeze": _store_freeze,
    "disk_full": _disk_full,
    "clock": _clock,
    "clock_start": _clock_start,
}


def disk_of(folder: Path) -> Path:
    """Return where a schedule's store lies."""
    return folder / "disk"


def mount(folder: Path) -> str:
    """Put a small disk of its own under the store; return why not, or nothing."""
    disk = disk_of(folder)
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "inferwatch-chaos", str(disk)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(disk_of(folder))], check=True)
