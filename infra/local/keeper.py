"""Runs a command no longer than its parent lives: ``python keeper.py GRACE COMMAND...``, standard library only.

The parent holds the other end of standard input. When it closes that, or dies in whatever way (the kernel closes
it then), the command gets SIGTERM, and SIGKILL after GRACE seconds. Prints the command's process id first. Both keep
every file that was left open to them, such as a lock.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading


def _end_with_parent(child: subprocess.Popen[bytes], grace: float) -> None:
    # Not through sys.stdin: Python aborts when it ends while a thread waits in there.
    while os.read(0, 1):
        pass
    child.terminate()
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        child.kill()


def main() -> int:
    grace, *command = sys.argv[1:]
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), close_fds=False
    ) as child:
        print(child.pid, flush=True)
        threading.Thread(target=_end_with_parent, args=(child, float(grace)), daemon=True).start()
        return child.wait()


if __name__ == "__main__":
    sys.exit(main())
