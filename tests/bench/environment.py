"""Environments of their own for what this project is compared with: its packages need other versions than ours."""

from __future__ import annotations

import hashlib
import os
import subprocess
import venv
from importlib.util import find_spec
from pathlib import Path


def environment(name: str, wanted: Path, size: str, *, with_our_torch: bool = False) -> Path:
    """Return the Python of an environment in the user's cache, made where it is missing.

    Args:
        name: of its folder, which a hash of ``wanted`` completes.
        wanted: a file of requirements.
        size: of what is installed, in words.
        with_our_torch: whether torch, the largest of what most need, is taken from this project's packages, whose
            folder then comes last on its path.

    Raises:
        RuntimeError: they no longer install; the last lines of pip say why.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferwatch"
    folder = cache / f"{name}-{hashlib.sha256(wanted.read_bytes()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"installing {wanted.name} into {folder}: once, a few minutes, {size}", flush=True)
        venv.create(folder, clear=True, with_pip=True)
        command = [python, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        done = subprocess.run([*command, "-r", wanted], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError("the rivals do not install:\n" + "\n".join(done.stderr.splitlines()[-5:]))
        torch = find_spec("torch")
        if with_our_torch and torch is not None and torch.origin is not None:
            own = next((folder / "lib").glob("python3*/site-packages"))
            (own / "zz-shared.pth").write_text(f"{Path(torch.origin).parents[1]}\n")
        (folder / "complete").touch()
    return python
