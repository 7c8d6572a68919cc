"""The curves of ``docs/drift-benchmarks.md``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.drift.own import BOTH, NAME
from tests.bench.drift.scenarios import CURVED

Raw = Mapping[str, Any]


def plot(found: Mapping[str, Raw], folder: Path) -> None:
    """Draw what is measured, as SVG."""
    # Imported here: whoever only reads the page needs none of it.
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "inferwatch", "figure.figsize": (7, 3.6), "axes.grid": True})
    folder.mkdir(exist_ok=True)

    def save(name: str) -> None:
        plt.tight_layout()
        plt.savefig(folder / f"{name}.svg", metadata={"Date": None})
        plt.close()

    if raw := found.get("false_alarms"):
        for pool, rates in raw["pools"].items():
            for label, by in {NAME: rates[NAME]["0.05"], **rates["rivals"]}.items():
                values = [[one[key] for one in by.values()] for key in ("rate", "low", "high")]
                middle, low, high = (100 * np.array(one) for one in values)
                bars = np.maximum([middle - low, high - middle], 0)
                width = 2.5 if label == NAME else 1
                plt.errorbar(
                    [int(n) for n in by], middle, bars, marker="o", ms=3, lw=width, capsize=2, label=label,
                    zorder=3 if label == NAME else 2,
                )  # fmt: skip
            plt.axhline(5, color="black", ls="--", lw=1)
            plt.xscale("log")
            plt.yscale("symlog", linthresh=10)
            plt.ylim(0, 100)
            plt.xlabel("rows in the window")
            plt.ylabel("false alarms, %")
            plt.legend(fontsize=7)
            save(f"false-alarms-{pool}")
    if raw := found.get("power"):
        _curves(raw, plt)
        save("power")
        _swaps(raw, plt)
        save("swaps")
    if raw := found.get("delay"):
        for name, one in raw["found"]["sudden"][str(raw["reference_rows"])].items():
            delays = np.array([np.inf if one is None else one for one in one["delays"]])
            at = np.arange(0, 13)
            plt.step(at, [100 * (delays <= n).mean() for n in at], where="post", label=name)
        plt.xlabel(f"windows of {raw['rows']} rows since the change, reference of {raw['reference_rows']:,}")
        plt.ylabel("paged, % of streams")
        plt.legend(fontsize=7)
        save("delay")
    if raw := found.get("year"):
        sides = raw["by_reference_rows"]
        _, axes = plt.subplots(1, len(sides), sharey=True)
        for axis, (rows, one) in zip(axes, sides.items(), strict=True):
            axis.bar(range(1, len(one["pages"]) + 1), one["pages"])
            axis.axhline(raw["budget"], color="black", ls="--", lw=1, label="budget")
            axis.axhline(one["mean"], color="tab:red", lw=1, label="mean")
            axis.set_title(f"references of {int(rows):,} rows", fontsize=8)
            axis.set_xlabel("year, each with a reference of its own")
        axes[0].set_ylabel("pages")
        axes[0].legend(fontsize=7)
        save("year")


def _curves(raw: Raw, plt: Any) -> None:
    """Power over contamination, real and synthetic."""
    figure, axes = plt.subplots(1, 2, sharey=True)
    wanted = {"source mixture": f"input: others + {CURVED}", "synthetic": "clusters + another"}
    for axis, (kind, name) in zip(axes, wanted.items(), strict=True):
        own = sorted((one for one in raw["scenarios"] if one["name"] == name), key=lambda one: float(one["share"]))
        for method in (one for one in raw["methods"] if one != BOTH):  # no outputs in these
            shares, power = [100 * one["share"] for one in own], [100 * one["power"][method] for one in own]
            axis.plot(shares, power, marker="o", ms=3, lw=2.5 if method == NAME else 1, label=method)
        axis.set_xscale("log")
        axis.set_title(f"{kind}: {name}", fontsize=8)
        axis.set_xlabel("contamination, %")
    axes[0].set_ylabel("found, %")
    axes[0].legend(fontsize=6)
    figure.set_figheight(3.6)


def _swaps(raw: Raw, plt: Any) -> None:
    """Power over all model swaps, each method's sorted from the hardest on."""
    own = [one for one in raw["scenarios"] if one["kind"] == "swap" and one["n"] == 100]
    for method in raw["methods"]:
        power = sorted(100 * one["power"][method] for one in own)
        plt.plot(range(1, len(power) + 1), power, lw=2.5 if method in (NAME, BOTH) else 1, label=method)
    plt.xlabel("model swaps at n = 100, each method's hardest first")
    plt.ylabel("found, %")
    plt.legend(fontsize=7)
