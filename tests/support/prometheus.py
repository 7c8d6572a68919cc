"""A real Prometheus and its promtool, from the PATH or from the Debian package, unpacked into the user's cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = "prometheus"


class Unavailable(Exception):
    """There is no Prometheus here, and why."""


def binary(name: str) -> Path:
    """Return the path of ``prometheus`` or ``promtool``.

    Raises:
        Unavailable: it is neither installed nor to be had.
    """
    if (found := shutil.which(name)) is not None:
        return Path(found)
    return _unpacked() / "usr/bin" / name


def _unpacked() -> Path:
    """Return the folder with the unpacked package, fetching it first where it is missing; it appears whole or not."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise Unavailable("prometheus is not on the PATH, and without apt-get its Debian package cannot be fetched")
    said = _run("apt-cache", "show", "--no-all-versions", PACKAGE).splitlines()
    version = next((line.split()[1] for line in said if line.startswith("Version:")), "")
    if not version:
        raise Unavailable("prometheus is not on the PATH, and apt knows no package of that name: apt-get update")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferwatch"
    folder = base / f"prometheus-{version.replace('~', '-')}"
    base.mkdir(parents=True, exist_ok=True)
    with _alone(base / "prometheus.lock"):
        if not folder.is_dir():
            made = Path(tempfile.mkdtemp(prefix="prometheus-", dir=base))
            try:
                _run("apt-get", "download", "-q", PACKAGE, cwd=made)
                [package] = made.glob("*.deb")
                _run("dpkg", "-x", str(package), str(made))
                package.unlink()
                made.rename(folder)
            finally:
                shutil.rmtree(made, ignore_errors=True)
    return folder


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise Unavailable(f"prometheus is not on the PATH, and `{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
