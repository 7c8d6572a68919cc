"""The curves of ``docs/quality.md``: ROC-AUC by family, ours and the others'."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.quality.results import OWN

Raw = Mapping[str, Any]


def plot(found: Mapping[str, Raw], folder: Path) -> None:
    """Draw what is measured, as SVG."""
    # Imported here: whoever only reads the page needs none of it.
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "inferwatch", "axes.grid": True})
    folder.mkdir(exist_ok=True)
    for part in ("toxicity", "grounding"):
        if part in found:
            raw = found[part]
            _areas(raw["families"] | ({"hatecheck": raw["hatecheck"]} if "hatecheck" in raw else {}), plt)
            plt.tight_layout()
            plt.savefig(folder / f"{part}.svg", metadata={"Date": None})
            plt.close()


def _areas(families: Mapping[str, Raw], plt: Any) -> None:
    """One line a family, one mark a method, with its interval."""
    known = [name for name, one in families.items() if one["methods"][OWN].get("auc", {}).get("value") is not None]
    methods = list(families[known[0]]["methods"]) if known else []
    plt.figure(figsize=(7, 1.2 + 0.45 * len(known)))
    for place, method in enumerate(methods):
        areas = [families[name]["methods"][method]["auc"] for name in known]
        middle, low, high = (np.array([one[key] for one in areas]) for key in ("value", "low", "high"))
        at = np.arange(len(known)) + 0.12 * (place - (len(methods) - 1) / 2)
        bars = np.maximum([middle - low, high - middle], 0)
        plt.errorbar(middle, at, xerr=bars, fmt="o", ms=6 if method == OWN else 3.5, capsize=2, label=method)
    plt.axvline(0.5, color="black", ls="--", lw=1)
    plt.yticks(range(len(known)), known)
    plt.gca().invert_yaxis()
    plt.xlabel("ROC-AUC")
    plt.legend(fontsize=7)
