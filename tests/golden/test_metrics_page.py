"""The table of docs/monitoring.md is what the code declares. INFERWATCH_WRITE_GOLDEN=1 writes it anew."""

from __future__ import annotations

import os
from pathlib import Path

from inferwatch.streams.telemetry import METRICS

PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"
BEGIN, END = "<!-- metrics -->\n", "<!-- end -->"


def table() -> str:
    lines = ["| metric | kind | labels | |", "|---|---|---|---|"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {type(metric).__name__.lower()} | {labels} | {metric.text} |")
    return "\n".join(lines) + "\n"


def test_the_page_lists_every_metric_with_its_meaning() -> None:
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    shown, after = rest.split(END)
    if os.environ.get("INFERWATCH_WRITE_GOLDEN"):
        PAGE.write_text(f"{before}{BEGIN}{table()}{END}{after}")
        return
    assert shown == table()
