from __future__ import annotations

import gc
import subprocess
import sys

from inferwatch.infra import memory

SCRIPT = """
import threading
from inferwatch.infra import memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

memory.bound_arenas()
kept = []

def work():
    # A small piece that stays, after every few that go: the holes between them can be given back, page by page.
    pieces = [bytearray(60_000) for _ in range(1_000)]
    kept.append(pieces[::50])

for _ in range(8):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
before = resident()
memory.trim()
print(before - resident())
"""


def test_what_threads_freed_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60)
    assert float(done.stdout) > 20, done.stdout


def test_what_is_there_is_out_of_the_search_for_cycles_and_back_in_it_after() -> None:
    before = len(gc.get_objects())
    with memory.settled():
        assert len(gc.get_objects()) < before / 10
    assert len(gc.get_objects()) > before * 0.9
