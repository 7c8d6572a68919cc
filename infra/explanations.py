"""An alert's explanation as JSON, as a picture, and as text in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from rich.console import Console
from rich.text import Text

from inferwatch.infra.picture import FORMATS, draw
from inferwatch.schemas.explanation import Brief
from inferwatch.schemas.settings import Settings
from inferwatch.streams.alerting.wording import compared, cut, findings
from inferwatch.streams.explained_alerts import explain, find
from inferwatch.streams.ports import Store

_CHARS = 400


def render(store: Store, settings: Settings, named: str, form: str) -> bytes:
    """Return the explanation of the alert ``named``, as ``json``, ``svg`` or ``png``. Blocks for a second or two.

    Raises:
        NotFound: there is no such alert, or what it was computed from has expired.
    """
    alert = find(store, named)
    explained = explain(store, settings, alert)
    for picture in FORMATS:
        if form == picture:
            return draw(explained, picture)
    found = {"alert_id": alert.alert_id, "rule": alert.rule, "metric": alert.metric, **explained.explanation.as_json()}
    return orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z)


def show(console: Console, found: Mapping[str, Any]) -> None:
    """Print for people what ``render`` returned as JSON."""
    brief, field = Brief.of(found["brief"]), found["field"]
    console.print(Text(f"{found['rule']}: {found['application']}, {compared(field)}", "bold"))
    console.print(
        Text(
            f"window {found['window_start']} to {found['window_end']} ({found['rows']:,} rows) against "
            f"{found['reference']} ({found['reference_rows']:,} rows), alert {found['alert_id']}",
            "dim",
        ),
        soft_wrap=True,
    )
    first, *rest = findings(brief, field)
    console.print(Text(f"\n{first}", "bold"), soft_wrap=True)
    for line in rest:
        console.print(Text(f"  {line}"), soft_wrap=True)
    _examples(console, "For example, new:" if brief.new.proven else "For example:", found["examples"])
    _examples(console, "For example, gone:", found["gone"])


def _examples(console: Console, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    console.print(Text(f"\n{title}"))
    for row in rows:
        line = " ".join(row["text"].split())
        quoted = f"  “{cut(line, _CHARS)}”  " if line else "  (no text stored)  "
        # Unbroken: the terminal wraps it, and a file or a pipe gets one line an example.
        console.print(Text.assemble(quoted, (row["id"], "dim")), soft_wrap=True)
