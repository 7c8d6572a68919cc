"""``make test``: all tests in two processes side by side, those that start services in one and the rest in the other.

    python -m tests.side_by_side [ARGUMENT …]

With arguments it is pytest with these, in one process. What the second process says is shown when the first is done.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

SERVICES = ("tests/integration", "tests/e2e", "tests/chaos")
"""These wait for brokers, browsers and killed processes most of the time; everything else computes."""


def main() -> int:
    pytest = [sys.executable, "-m", "pytest"]
    if sys.argv[1:]:
        return subprocess.run([*pytest, *sys.argv[1:]], check=False).returncode
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen([*pytest, *SERVICES], stdout=said, stderr=subprocess.STDOUT) as services,
    ):
        try:
            rest = subprocess.run([*pytest, *(f"--ignore={folder}" for folder in SERVICES)], check=False)
            services.wait()
        finally:
            services.terminate()
            services.wait()
            said.seek(0)
            print(said.read(), flush=True)
    return rest.returncode or services.returncode


if __name__ == "__main__":
    sys.exit(main())
