"""What a demo run shows: progress, messages as people get them, and the table at the end."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.emoji import Emoji
from rich.panel import Panel
from rich.status import Status
from rich.table import Table
from rich.text import Text

from inferwatch.infra.demo.feed import Stored
from inferwatch.infra.demo.outcome import Outcome
from inferwatch.infra.demo.receiver import Received
from inferwatch.infra.demo.scenario import Scenario

_LINE_EVERY = timedelta(seconds=5)
_COLOURS = {"critical": "red", "error": "red", "warning": "yellow", "info": "blue"}
_BOLD = re.compile(r"\*([^*\n]+)\*")
_MOST_LINES = 24


class Screen:
    """Writes to one console; moving parts only where it is a terminal."""

    def __init__(self, console: Console, scenario: Scenario) -> None:
        self._console = console
        self._scenario = scenario
        self._status: Status | None = console.status("") if console.is_terminal else None
        self._last: float | None = None

    def begin(self) -> None:
        self._console.print(Panel(Text("\n".join(self._introduction())), title="inferwatch demo", expand=False))
        if self._status is not None:
            self._status.start()

    def _introduction(self) -> list[str]:
        scenario = self._scenario
        planted = [
            f"Planted {one.period.start:%H:%M}-{one.period.end:%H:%M} {one.name}: {one.story}"
            for one in scenario.incidents
        ]
        return [scenario.title[0].upper() + scenario.title[1:], *scenario.notes, *planted]

    def phase(self, text: str) -> None:
        """Say what is going on now."""
        if self._status is not None:
            self._status.update(text)
        else:
            self._console.print(text, style="dim")

    def progress(self, produced: int, event_time: datetime | None, stored: Stored, seconds: float) -> None:
        """Show how far the run has come; every five seconds where the line cannot be rewritten."""
        if self._status is None and self._last is not None and seconds - self._last < _LINE_EVERY.total_seconds():
            return
        self._last = seconds
        clock = "--:--" if event_time is None else f"{event_time:%a %H:%M}"
        closed = "--:--" if stored.closed_until is None else f"{stored.closed_until:%H:%M}"
        rate = stored.handled / seconds if seconds else 0.0
        self.phase(
            f"{clock}  produced {produced:,}/{len(self._scenario.messages):,}  scored {stored.scored:,}  "
            f"dead letters {stored.dead_letters}  windows {stored.windows} (until {closed})  {rate:.0f}/s  "
            f"{seconds:.0f} s"
        )

    def message(self, received: Received) -> None:
        """Show a message as the person who gets it sees it."""
        body = received.body
        lines = _slack(body) if received.vendor == "slack" else _pagerduty(body)
        title = "Slack" if received.vendor == "slack" else "PagerDuty"
        if received.faults:
            lines = [f"REFUSED: {fault}" for fault in received.faults] + lines
        colour = "red" if received.faults else _colour(received)
        shown = "\n".join(lines[:_MOST_LINES] + ["…"] * (len(lines) > _MOST_LINES))
        self._console.print(
            Panel(
                Text(shown), title=title, title_align="left", border_style=colour, width=min(110, self._console.width)
            )
        )

    def finish(self, outcome: Outcome, where: Mapping[str, str], stored: Stored, seconds: float) -> None:
        """Show the table of incidents, false alarms, and where to look."""
        self.quiet()
        table = Table(title=f"{stored.scored:,} inferences in {stored.windows} windows, {seconds:.0f} s")
        for column in ("incident", "rule", "where", "planted", "alerted", "delay (windows)", "ended", "resolved"):
            table.add_column(column)
        for one in outcome.findings:
            delay = one.delay(self._scenario.window)
            table.add_row(
                one.incident.name,
                one.rule,
                one.labels,
                _time(one.incident.period.start),
                _time(one.alerted_at) if one.alerted_at else Text("MISSED", "bold red"),
                "" if delay is None else f"{delay:g}",
                _time(one.incident.period.end),
                _time(one.resolved_at) if one.resolved_at else Text("not yet", "bold red"),
            )
        self._console.print(table)
        if not self._scenario.incidents:
            self._console.print("No incident was planted.")
        colour = "bold red" if outcome.unexpected and self._scenario.incidents else "green"
        what = "False alarms" if self._scenario.incidents else "Alerts"
        self._console.print(Text(f"{what}: {len(outcome.unexpected)}", colour))
        for alarm in outcome.unexpected:
            self._console.print(f"  {alarm.rule} {alarm.labels} {_time(alarm.fired_at)} - {_time(alarm.resolved_at)}")
        for name, text in where.items():
            # Unbroken, so that a command can be copied.
            self._console.print(Text(f"{name:>10}  {text}"), soft_wrap=True)

    def quiet(self) -> None:
        """Stop what moves."""
        if self._status is not None:
            self._status.stop()


def _time(at: datetime | None) -> str:
    return "" if at is None else f"{at:%H:%M}"


def _colour(received: Received) -> str:
    if received.vendor == "pagerduty":
        if received.body.get("event_action") == "resolve":
            return "green"
        return _COLOURS.get(str(received.body.get("payload", {}).get("severity")), "white")
    text = str(received.body.get("text", "")).lower()
    return "green" if text.startswith("resolved") else _COLOURS.get(text.partition(":")[0], "yellow")


def _slack(body: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for block in body.get("blocks", []):
        texts = [block.get("text"), *block.get("fields", []), *block.get("elements", [])]
        lines += [line for one in texts if isinstance(one, dict) for line in _slack_text(one)]
    return lines or [str(body.get("text", ""))]


def _slack_text(one: Mapping[str, Any]) -> list[str]:
    inner = one.get("text", "")
    if isinstance(inner, dict):
        return [f"[ {inner.get('text', '')} ] {one.get('url', '')}"]
    text = _BOLD.sub(r"\1:", str(inner)).replace("```", "")
    for escaped, char in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(escaped, char)
    first, newline, rest = Emoji.replace(text).partition("\n")
    if newline and first.endswith(":") and "\n" not in rest:
        return [f"{first} {rest}"]
    return [first, *rest.splitlines()]


def _pagerduty(body: Mapping[str, Any]) -> list[str]:
    payload = body.get("payload") or {}
    head = f"{str(body.get('event_action', '')).upper()}  {str(payload.get('severity', '')).upper()}"
    found = [head.strip(), str(payload.get("summary", "")), f"dedup_key {body.get('dedup_key', '')}"]
    return [line for line in found if line]


def sql_to_try(application: str) -> Sequence[str]:
    """Return one-liners that show what is in the store."""
    return (
        "SELECT at, rule, labels, to_state, value FROM alerts ORDER BY at",
        "SELECT window_start, metric, segment_value, value, n FROM window_metrics "
        "WHERE metric IN ('toxicity.output.rate', 'hallucination.rate') ORDER BY window_start",
        "SELECT scores['hallucination'] AS score, input, output FROM inferences "
        f"WHERE application = '{application}' ORDER BY score DESC LIMIT 5",
        "SELECT reason, count() FROM dead_letters GROUP BY reason",
    )
