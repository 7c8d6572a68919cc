"""Runs a command no longer than its parent lives: ``python keeper.py GRACE COMMAND...``, standard library only.

The parent holds the other end of standard input. When it closes that, or dies in whatever way (the kernel closes
it then), the command gets SIGTERM, and SIGKILL after GRACE seconds. Prints the command's process id first.
"""

from __future__ import annotations

import subprocess
import sys
import threading


def _end_with_parent(child: subprocess.Popen[bytes], grace: float) -> None:
    sys.stdin.buffer.read()
    child.terminate()
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        child.kill()


def main() -> int:
    grace, *command = sys.argv[1:]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno()) as child:  # noqa: S603
        print(child.pid, flush=True)
        threading.Thread(target=_end_with_parent, args=(child, float(grace)), daemon=True).start()
        return child.wait()


if __name__ == "__main__":
    sys.exit(main())
