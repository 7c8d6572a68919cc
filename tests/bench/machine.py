"""What a number was measured on, and where the raw results lie."""

from __future__ import annotations

import json
import os
import platform
import resource
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from inferwatch.schemas.clock import SystemClock

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "inferwatch", "torch", "sentence-transformers", "onnxruntime", "model2vec", "chdb", "faust-streaming", "numpy",
)  # fmt: skip
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
"""Of the CPU, those that decide how fast matrices are multiplied."""


def machine() -> dict[str, object]:
    """Return CPU, memory, versions and how busy the machine is with other work (load of the last minute)."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    flags = next((line for line in info.splitlines() if line.startswith("flags")), "").split()
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "instructions": [name for name in INSTRUCTIONS if name in flags],
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "load_before": round(os.getloadavg()[0], 2),
    }


def write(part: str, found: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Write one part's raw result as JSON and return it."""
    result = {"part": part, "measured_at": SystemClock().now().isoformat(timespec="seconds"), **found}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part}.json").write_text(json.dumps(result, indent=1) + "\n")
    return result


def read(part: str, folder: Path = RESULTS) -> dict[str, Any]:
    """Return one part's raw result; empty where it was not measured."""
    file = folder / f"{part}.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found


def resident_mib(pid: int | str = "self") -> float:
    """Return the resident memory of a process, in MiB, without pages of files: those the kernel drops as it likes."""
    _, pages, of_files, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
    return (pages - of_files) * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_seconds(pid: int) -> float:
    """Return the processor time a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib() -> float:
    """Return the largest resident memory this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
