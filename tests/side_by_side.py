"""``make test``: all tests in three processes side by side, so that one computes while others wait for a service.

    python -m tests.side_by_side [ARGUMENT …]

With arguments it is pytest with these, in one process. What the other processes say is shown when the first is done.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from typing import IO

WAITING = (("tests/integration",), ("tests/e2e", "tests/chaos", "tests/bench"))
"""Folders whose tests wait for brokers, browsers and processes much of the time; everything else computes."""


def main() -> int:
    pytest = [sys.executable, "-m", "pytest"]
    if sys.argv[1:]:
        return subprocess.run([*pytest, *sys.argv[1:]], check=False).returncode
    with ExitStack() as stack:
        others = []
        for folders in WAITING:
            said = stack.enter_context(tempfile.TemporaryFile("w+"))
            stack.callback(show, said)
            process = stack.enter_context(subprocess.Popen([*pytest, *folders], stdout=said, stderr=subprocess.STDOUT))
            stack.callback(process.terminate)
            others.append(process)
        elsewhere = [f"--ignore={folder}" for folders in WAITING for folder in folders]
        codes = [subprocess.run([*pytest, *elsewhere], check=False).returncode, *(other.wait() for other in others)]
    return int(any(codes))


def show(said: IO[str]) -> None:
    """Print what a process wrote there."""
    said.seek(0)
    print(said.read(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
