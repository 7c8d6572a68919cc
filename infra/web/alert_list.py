"""All alerts, filtered by links: a phone has no room for forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode
from xml.etree.ElementTree import Element

from inferwatch.infra.web.markup import el, moment
from inferwatch.infra.web.page import STATE_WORDS, badge, page
from inferwatch.infra.web.queries import Wanted
from inferwatch.streams.alerting.wording import number, place, span, subject
from inferwatch.streams.incidents.condition import comparison

_FILTERS = ("state", "severity", "application", "rule")


def alert_list(wanted: Wanted, rows: Sequence[Mapping[str, Any]], there: Mapping[str, Mapping[str, int]]) -> bytes:
    """Return the page of the alerts ``rows``, which ``wanted`` chose; ``there`` is filter -> value -> how many."""
    filters = [_chips(name, wanted, there.get(name, {})) for name in _FILTERS]
    shown = [_card(row) for row in rows] or [el("p", "No alert is like that.", class_="quiet")]
    more = None
    if len(rows) == wanted.limit:
        query = _query(replace(wanted, limit=min(500, wanted.limit * 2)))
        more = el("p", el("a", f"More than {wanted.limit}", href=f"/alerts?{query}"))
    return page("Alerts", el("section", *filters, class_="filters"), el("section", *shown, more))


def _chips(name: str, wanted: Wanted, values: Mapping[str, int]) -> Element | None:
    current = getattr(wanted, name)
    if len(values) < 2 and not current:
        return None
    offered = {"": sum(values.values())} | ({"active": 0} if name == "state" else {}) | dict(values)
    chips = []
    for value, count in offered.items():
        said = {"": f"any {name}", "active": "active"}.get(value, STATE_WORDS.get(value, value))
        label = f"{said} {count}" if value and count else said
        href = f"/alerts?{_query(wanted, **{name: value})}"
        chips.append(
            el(
                "a",
                label,
                href=href,
                class_="chip chosen" if value == current else "chip",
                aria_current="true" if value == current else None,
            )
        )
    return el("nav", *chips, class_="chips", aria_label=name)


def _query(wanted: Wanted, **other: str) -> str:
    """Return the filters of ``wanted``, with ``other`` in place of some of them."""
    known: dict[str, str] = {name: getattr(wanted, name) for name in _FILTERS} | other
    chosen = {name: value for name, value in known.items() if value}
    return urlencode(chosen | ({"limit": str(wanted.limit)} if wanted.limit != Wanted().limit else {}))


def _card(row: Mapping[str, Any]) -> Element:
    ended: datetime | None = row["resolved"]
    lasted = f" – {span(ended - row['started'])}" if ended is not None else ""
    limit = comparison(row["threshold"])
    fires = row["threshold"] if limit is None else f"{limit[0]} {number(limit[1], row['metric'])}"
    title = row.get("title") or f"{subject(row['metric'])}: {place(row['labels'])}"
    began = f"{row['rule']}: {number(row['opened'], row['metric'])} when it began, fires at {fires}"
    when = el("span", moment(row["started"]), lasted, class_="quiet")
    return el(
        "a", el("span", badge(row["state"], row["severity"]), " ", when), el("b", str(title)),
        el("span", began, class_="quiet"),
        class_=f"card alert line {row['state']}", href=f"/alerts/{quote(row['alert_id'], safe='')}",
    )  # fmt: skip
