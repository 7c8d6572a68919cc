"""The jars of Apache Kafka: from Maven Central into the user's cache folder, once."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from rich.console import Console

from inferwatch.schemas.errors import Misconfigured

VERSION = "4.3.1"
JAVA = 17
OTHER_WAYS = (
    "either name a broker's address in INFERWATCH_KAFKA or kafka.bootstrap_servers, "
    "or start one with `docker compose -f infra/docker/compose.yaml up`"
)


def cache_folder() -> Path:
    """Return where this version's jars are, or will be."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "inferwatch" / f"kafka-{VERSION}"


def java() -> str:
    """Return the path of a Java that can run Kafka: JAVA_HOME's, else the first on the path.

    Raises:
        Misconfigured: there is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if found is None:
        where = f"JAVA_HOME={home}" if home else "the PATH"
        raise Misconfigured(f"a local Kafka needs Java {JAVA} or newer, and {where} has no java: {OTHER_WAYS}")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, timeout=60).stderr  # noqa: S603
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA:
        text = version[1] if version else said.strip()
        raise Misconfigured(f"a local Kafka needs Java {JAVA} or newer, and {found} is Java {text}: {OTHER_WAYS}")
    return found


def fetch() -> Path:
    """Return the folder with Kafka's jars, fetching them first where they are missing.

    Two processes may ask at once: one fetches, the other waits for it. The folder appears complete or not at all.

    Raises:
        Misconfigured: there is no Maven, or it cannot reach a repository.
    """
    folder = cache_folder()
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(f"cannot make the cache folder {folder.parent} (XDG_CACHE_HOME): {error}") from error
    with _alone(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():
            made = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
            try:
                _download(made)
                made.rename(folder)
            finally:
                shutil.rmtree(made, ignore_errors=True)
    return folder


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise Misconfigured(f"a local Kafka needs Maven (mvn) once, to fetch Apache Kafka {VERSION}: {OTHER_WAYS}")
    console = Console(stderr=True)
    what = f"Fetching Apache Kafka {VERSION} from Maven Central, once, 44 MB, to {folder.parent}"
    console.print(what, soft_wrap=True)
    lines: list[str] = []
    with resources.as_file(resources.files(__package__).joinpath("pom.xml")) as pom:
        command = [
            maven,
            "--batch-mode",
            f"--file={pom}",
            f"-Dkafka.version={VERSION}",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            f"-DoutputDirectory={folder}",
        ]
        with (
            console.status("asking Maven") as status,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run,  # noqa: S603
        ):
            for line in run.stdout or ():
                lines.append(line)
                status.update(f"{sum(1 for _ in folder.glob('*.jar'))} jars, {line.strip()[:90]}")
    if run.returncode != 0 or not list(folder.glob("kafka_2.13-*.jar")):
        errors = [line.strip() for line in lines if line.startswith("[ERROR]")] or lines[-1:]
        raise Misconfigured(f"Maven could not fetch Apache Kafka {VERSION} ({errors[:1]}): {OTHER_WAYS}")
