"""A drifted window over its reference, in two dimensions, as SVG or PNG."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from inferwatch.detectors.drift.plane import Plane, project
from inferwatch.schemas.drift_fields import text_of
from inferwatch.schemas.explanation import Explanation
from inferwatch.streams.alerting.wording import between, compared, cut, group, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from inferwatch.streams.explaining import Explained

Format = Literal["svg", "png"]
FORMATS: tuple[Format, ...] = ("svg", "png")
TYPES = {"svg": "image/svg+xml", "png": "image/png"}

# Okabe and Ito 2008: told apart with any colour vision, and by shape and lightness too.
_REFERENCE, _WINDOW, _NEW, _INK, _FAINT = "#a6adb4", "#0072b2", "#d55e00", "#1d2329", "#5b636b"
_INCHES, _DPI = (10.0, 5.4), 130
_TITLE_CHARS = 80
"""So many of usual width fill a line; a longer title is smaller."""
_STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "inferwatch",
    "text.parse_math": False,
}
_DRAWING = Lock()
"""matplotlib keeps its settings and its fonts in one place for all threads."""


def draw(explained: Explained, form: Format) -> bytes:
    """Return the picture; the same explanation gives the same bytes.

    On the right is the map: the reference's first two principal components. They keep a tenth of the variance of
    sentence vectors, and a new topic often lies in the middle of them, so the larger view on the left raises every row
    by its witness over the first component. The background is its own, so that it can be read in a dark chat.
    Importing matplotlib takes a second: it happens here, not at start.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    plane = project(explained.reference, explained.window)
    raised = Plane(
        reference=np.column_stack([plane.reference[:, 0], explained.witness.reference]),
        window=np.column_stack([plane.window[:, 0], explained.witness.window]),
        variance=plane.variance,
    )
    style: Any = _STYLE
    with _DRAWING, mpl.rc_context(style):
        figure = Figure(figsize=_INCHES, dpi=_DPI, facecolor="white")
        FigureCanvasAgg(figure)
        main = figure.add_axes((0.05, 0.1, 0.56, 0.69))
        _scatter(main, raised, explained, 1.0)
        _name(main, raised, explained)
        _frame(main, f"1st component ({percent(plane.variance[0])})", "typical of the window, unlike the reference →")
        side = figure.add_axes((0.66, 0.1, 0.325, 0.69))
        _scatter(side, plane, explained, 0.5)
        _frame(
            side,
            f"1st component ({percent(plane.variance[0])})",
            f"2nd component ({percent(plane.variance[1])} of the reference's variance)",
        )
        figure.legend(
            *main.get_legend_handles_labels(), loc="upper left", bbox_to_anchor=(0.042, 0.865), ncols=3, frameon=False,
            handletextpad=0.2, labelcolor=_INK,
        )  # fmt: skip
        _head(figure, explained.explanation)
        written = BytesIO()
        with warnings.catch_warnings():
            # A PNG has no glyphs for some scripts; an SVG leaves them to the browser.
            warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
            figure.savefig(written, format=form, metadata={"Date": None} if form == "svg" else {"Software": None})
    return written.getvalue()


def _scatter(axes: Axes, plane: Plane, explained: Explained, size: float) -> None:
    fresh = np.zeros(len(plane.window), np.bool_)
    fresh[list(explained.marked)] = True
    old, known, new = plane.reference, plane.window[~fresh], plane.window[fresh]
    axes.scatter(
        old[:, 0], old[:, 1], s=12 * size, c=_REFERENCE, linewidths=0, alpha=0.7, label=f"reference ({len(old):,})"
    )
    axes.scatter(
        known[:, 0], known[:, 1], s=26 * size, facecolors="none", edgecolors=_WINDOW, linewidths=1.2 * size**0.5,
        label=f"window, as before ({len(known):,})",
    )  # fmt: skip
    if len(new):
        axes.scatter(
            new[:, 0], new[:, 1], s=44 * size, c=_NEW, marker="D", edgecolors="white", linewidths=0.7 * size,
            label=f"window, new ({len(new):,})",
        )  # fmt: skip


def _name(axes: Axes, plane: Plane, explained: Explained) -> None:
    words = explained.explanation.brief.keywords[:3]
    if not words or not explained.marked:
        return
    centre = np.median(plane.window[list(explained.marked)], axis=0)
    axes.annotate(
        _plain(", ".join(words), 40), (centre[0], centre[1]), xytext=_beside(plane, explained.marked, centre),
        textcoords="axes fraction", ha="center", va="center", fontsize=12, fontweight="bold", color=_NEW, zorder=5,
        bbox={"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": _NEW, "linewidth": 1.2},
        arrowprops={"arrowstyle": "-", "color": _NEW, "linewidth": 1.2},
    )  # fmt: skip


def _beside(plane: Plane, marked: Sequence[int], centre: Any) -> tuple[float, float]:
    """Return the place, as fractions of the axes, with the fewest points under a label, near ``centre`` if equal."""
    points = np.concatenate([plane.window, plane.reference])
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.maximum(high - low, 1e-9)
    places = np.array([(x, y) for y in (0.08, 0.3, 0.5, 0.7, 0.92) for x in (0.25, 0.5, 0.75)])
    scaled, at = (points - low) / span, (centre - low) / span
    hidden = [(np.abs(scaled - place) < (0.25, 0.06)).all(axis=1).sum() for place in places]
    covered = [(np.abs(scaled[list(marked)] - place) < (0.25, 0.06)).all(axis=1).mean() for place in places]
    far = np.linalg.norm(places - at, axis=1)
    best = places[int(np.argmin(np.array(hidden) / len(points) * 20 + np.array(covered) * 20 + far))]
    return float(best[0]), float(best[1])


def _plain(text: str, limit: int) -> str:
    """Return ``text`` on one line without characters that XML forbids."""
    return cut(" ".join("".join(one if one.isprintable() else " " for one in text).split()), limit)


def _frame(axes: Axes, across: str, up: str) -> None:
    axes.set(xlabel=across, ylabel=up, xticks=[], yticks=[])
    axes.margins(0.05)
    for side in axes.spines.values():
        side.set_color("#d4d9de")
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=_FAINT, size=9)


def _head(figure: Any, explanation: Explanation) -> None:
    said = group(explanation.brief, explanation.field) or f"No group of new {text_of(explanation.field)}s stands out"
    title = _plain(said, 90)
    size = 14 * min(1.0, _TITLE_CHARS / len(title))
    figure.text(0.05, 0.945, title, size=size, weight="bold", color=_INK, va="center")
    when = between(explanation.window.start, explanation.window.end)
    what = f"{explanation.application}, {compared(explanation.field)} {when}, against {explanation.reference}"
    figure.text(0.05, 0.892, _plain(what, 130), size=9.5, color=_FAINT, va="center")
