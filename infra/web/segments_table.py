"""Who carries an alert's number, as a table with bars."""

from __future__ import annotations

from math import isnan
from xml.etree.ElementTree import Element

from inferwatch.infra.web.markup import el, moment
from inferwatch.infra.web.page import section
from inferwatch.streams.alerting.wording import percent
from inferwatch.streams.incidents.contributors import Contributions, Contributor


def segments_table(found: Contributions | None) -> Element | None:
    """Return the section, None where there are no rows to count."""
    if found is None or not found.rows:
        return None
    about = el(
        "p", f"{found.rows:,} rows from ", moment(found.period.start), " to ", moment(found.period.end),
        f", {_count(found.bad)} of them bad: {found.bad_row}. Before: as long a time before the alert.", class_="quiet",
    )  # fmt: skip
    if not found.segments:
        return section("Who carries it", about, el("p", "All rows are of the same segments."))
    head = el(
        "tr", el("th", "segment"), el("th", "bad rows", class_="number"), el("th", "others", class_="number"),
        el("th", "before", class_="number"), el("th", "of all bad"),
    )  # fmt: skip
    rows = [_row(one) for one in found.segments]
    return section(
        "Who carries it",
        about,
        el("table", el("thead", head), el("tbody", *rows), class_="segments"),
        el(
            "p",
            "Marked: more bad rows than the others have, by Fisher's exact test at 1 % over all values looked at.",
            class_="quiet",
        ),
    )


def _row(one: Contributor) -> Element:
    before = "new" if isnan(one.before) else percent(one.before)
    between = f"{percent(one.low)} to {percent(one.high)}, {one.rows:,} rows"
    return el(
        "tr",
        el("td", el("span", f"{one.dimension} "), el("b", one.value)),
        el("td", percent(one.rate), class_="number", title=between, data_name="bad rows "),
        el("td", "–" if isnan(one.elsewhere) else percent(one.elsewhere), class_="number", data_name="others "),
        el("td", before, class_="number", data_name="before "),
        el("td", _bar(one), f"{percent(one.of_bad)} (of rows: {percent(one.of_rows)})"),
        class_="carries" if one.carries else None,
    )


def _bar(one: Contributor) -> Element:
    """Return its share of the bad rows, with a tick where its share of all rows is."""
    tick = f"{min(1.0, one.of_rows) * 100:.1f}%"
    return el(
        "svg",
        el("rect", width=f"{min(1.0, one.of_bad) * 100:.1f}%", height="100%"),
        el("line", x1=tick, x2=tick, y1="0", y2="100%"),
        class_="bar", height="8", role="img", aria_label=f"{percent(one.of_bad)} of the bad rows",
    )  # fmt: skip


def _count(rows: float) -> str:
    return f"{rows:,.0f}" if rows == round(rows) else f"about {rows:,.0f}"
