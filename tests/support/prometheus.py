"""A real Prometheus and a real Alertmanager, from the PATH or from Debian packages, unpacked into the user's cache."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
}
"""Program -> the Debian package that has it."""


class Unavailable(Exception):
    """The program is not here, and why."""


def binary(name: str) -> Path:
    """Return the path of one of ``PACKAGES``.

    Raises:
        Unavailable: it is neither installed nor to be had.
    """
    if (found := shutil.which(name)) is not None:
        return Path(found)
    return _unpacked(PACKAGES[name]) / "usr/bin" / name


def alertmanager() -> tuple[str, ...]:
    """Return the command that runs ``prometheus-alertmanager``, to which its flags are added.

    Debian's reads its templates from /usr/share. Where it is only unpacked, it runs in a mount namespace of its own,
    in which they are there; the machine is left as it is.

    Raises:
        Unavailable: it is neither installed nor to be had, or the kernel allows no such namespace.
    """
    program = binary("prometheus-alertmanager")
    if shutil.which(program.name) is not None:
        return (str(program),)
    share = program.parents[1] / "share"
    mount = f"mount -t overlay overlay -o lowerdir={shlex.quote(str(share))}:/usr/share /usr/share"
    wrapped = ("unshare", "--mount", "--map-root-user", "sh", "-c", f'{mount} && exec "$@"', "sh")
    _run(*wrapped, "true")
    return (*wrapped, str(program))


def _unpacked(package: str) -> Path:
    """Return the folder with the unpacked package, fetching it first where it is missing; it appears whole or not."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise Unavailable(f"{package} is not on the PATH, and without apt-get its Debian package cannot be fetched")
    said = _run("apt-cache", "show", "--no-all-versions", package).splitlines()
    version = next((line.split()[1] for line in said if line.startswith("Version:")), "")
    if not version:
        raise Unavailable(f"{package} is not on the PATH, and apt knows no package of that name: apt-get update")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferwatch"
    folder = base / f"{package}-{version.replace('~', '-')}"
    base.mkdir(parents=True, exist_ok=True)
    with _alone(base / f"{package}.lock"):
        if not folder.is_dir():
            made = Path(tempfile.mkdtemp(prefix=f"{package}-", dir=base))
            try:
                _run("apt-get", "download", "-q", package, cwd=made)
                [archive] = made.glob("*.deb")
                _run("dpkg", "-x", str(archive), str(made))
                archive.unlink()
                made.rename(folder)
            finally:
                shutil.rmtree(made, ignore_errors=True)
    return folder


def _run(*command: str, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    except FileNotFoundError:
        raise Unavailable(f"there is no {command[0]} here") from None
    if done.returncode:
        raise Unavailable(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
