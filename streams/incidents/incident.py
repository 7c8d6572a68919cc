"""All that is known of one alert, for the page and the API: read from the store when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import nan
from typing import Any

from inferwatch.schemas.alerts import State
from inferwatch.schemas.baselines import CANARY
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.drift_fields import FIELDS
from inferwatch.schemas.errors import NotFound
from inferwatch.schemas.event_rules import EVENT
from inferwatch.schemas.explanation import Brief
from inferwatch.schemas.metrics import WindowMetric
from inferwatch.schemas.rules import Rule, Severity
from inferwatch.schemas.settings import Settings
from inferwatch.schemas.windows import Window
from inferwatch.streams.alerting.reproduce import reproduce
from inferwatch.streams.alerting.route.alert import matching_labels
from inferwatch.streams.alerting.route.silence import Silence
from inferwatch.streams.alerting.silences import active
from inferwatch.streams.alerting.wording import condition, findings, place, subject
from inferwatch.streams.incidents import contributors, deliveries, numbers, surroundings
from inferwatch.streams.incidents.condition import comparison, falls
from inferwatch.streams.incidents.contributors import Contributions
from inferwatch.streams.incidents.deliveries import Message
from inferwatch.streams.incidents.episode import Episode, read
from inferwatch.streams.incidents.examples import Example, examples
from inferwatch.streams.incidents.notes import Kind, Note, Notes
from inferwatch.streams.incidents.numbers import Numbers
from inferwatch.streams.incidents.surroundings import Deploy, Neighbour
from inferwatch.streams.ports import Store

PERIOD = 12
"""How many windows' rows are looked through for segments and examples, the last ones of the episode."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One alert with everything that helps to understand and end it.

    ``rule`` is None where the configuration has it no more. ``told`` is what a message said of it, empty where none
    was sent. ``threshold`` and ``recovery`` are the numbers of the rule's conditions, NaN where they are no numbers.
    ``picture`` says whether the drift can still be drawn. ``gone`` are sentences on what has expired.
    """

    episode: Episode
    rule: Rule | None
    title: str
    description: str
    runbook_url: str
    condition: str
    threshold: float
    recovery: float
    down: bool
    told: Mapping[str, Any]
    numbers: Numbers
    contributions: Contributions | None
    examples: tuple[Example, ...]
    findings: tuple[str, ...]
    picture: bool
    sql: str
    deploys: tuple[Deploy, ...]
    neighbours: tuple[Neighbour, ...]
    messages: tuple[Message, ...]
    silences: tuple[Silence, ...]
    notes: tuple[Note, ...]
    gone: tuple[str, ...]

    @property
    def acknowledgement(self) -> Note | None:
        """The first acknowledgement, None where there is none."""
        return next((note for note in self.notes if note.kind is Kind.ACKNOWLEDGEMENT), None)


class Incidents:
    """Finds incidents. Every call blocks, for some tenths of a second.

    Args:
        store: where everything is.
        settings: rules, segments, privacy.
        thresholds: score name -> from which score on a row counts.
        clock: for the notes, and for the silences of now.
        rules: those in force; None: those of ``settings``.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        thresholds: Mapping[str, float],
        clock: Clock,
        rules: Callable[[], Sequence[Rule]] | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._thresholds = dict(thresholds) | settings.detectors.thresholds
        self._clock = clock
        self._rules = rules or (lambda: settings.active_rules)
        self.notes = Notes(store, clock)

    def find(self, alert_id: str) -> Incident:
        """Return the alert of this id.

        Raises:
            NotFound: there is none, or it has expired.
        """
        episode = read(self._store, alert_id)
        if episode is None:
            days = self._settings.store.retention.alerts_days
            raise NotFound(f"there is no alert {alert_id!r}: the id is wrong, or it is older than {days} days")
        rules = {rule.name: rule for rule in self._rules()}
        rule = rules.get(episode.rule)
        messages, told = deliveries.read(self._store, alert_id)
        said = episode.opened.threshold
        # A rule that judges a ratio or a burn rate has a number that is not one of the metric.
        judged = {"baseline", "burn"} & set(episode.opened.detail)
        down, compared = falls(said), None if judged else comparison(said)
        found = numbers.around(self._store, episode, down=down)
        detail = numbers.detail_of(self._store, episode)
        period = self._period(episode, found)
        rows = self._examples(episode, detail, period, down)
        shares = self._contributions(episode, compared, detail, period)
        lasted = episode.ended or period.end
        return Incident(
            episode=episode,
            rule=rule,
            title=_title(episode, rule, told),
            description=rule.description if rule else _described(told)[0],
            runbook_url=rule.runbook_url if rule else _described(told)[1],
            condition=condition(rule) if rule else said,
            threshold=compared[1] if compared else nan,
            recovery=rule.resolve_when.threshold if compared and rule and rule.resolve_when else nan,
            down=down,
            told=told,
            numbers=found,
            contributions=shares,
            examples=tuple(rows),
            findings=_findings(episode, told, detail),
            picture=self._drawable(episode, detail),
            sql=str(told.get("sql") or "") or self._sql(episode),
            deploys=tuple(surroundings.deploys(self._store, episode, lasted)),
            neighbours=tuple(surroundings.neighbours(self._store, episode, lasted)),
            messages=tuple(messages),
            silences=tuple(active(self._store, self._labels(episode), self._clock.now())),
            notes=tuple(self.notes.of(alert_id)),
            gone=tuple(self._gone(episode, found, shares, rows)),
        )

    def _labels(self, episode: Episode) -> dict[str, str]:
        severity, state = Severity(episode.severity), State(episode.state)
        return matching_labels(episode.rule, severity, episode.metric, state, episode.labels)

    def _period(self, episode: Episode, found: Numbers) -> Window:
        until = episode.bad_until
        if until is None:
            until = max(episode.opened.at, found.latest.end if found.latest else episode.opened.at)
        until = max(until, episode.since + episode.size)
        return Window(max(episode.since, until - PERIOD * episode.size), until)

    def _contributions(
        self, episode: Episode, compared: tuple[str, float] | None, detail: Mapping[str, Any], period: Window
    ) -> Contributions | None:
        bad = contributors.bad_rows(episode.metric, compared, self._thresholds, detail)
        if bad is None:
            return None
        score = str(detail.get("score", "")) or episode.metric.rpartition(".")[0]
        segments = self._settings.segments
        return contributors.contributions(
            self._store, episode.series, bad, score, period, segments.dimensions, segments.max_values
        )

    def _examples(self, episode: Episode, detail: Mapping[str, Any], period: Window, down: bool) -> Sequence[Example]:
        if episode.metric.endswith(EVENT):
            period, detail = self._severe(episode, period)
        drift = episode.metric.startswith(("drift.", CANARY))
        return examples(
            self._store,
            episode.series,
            episode.metric,
            episode.opened.window if drift and episode.opened.window else period,
            down=down,
            detail=detail,
            thresholds=self._thresholds,
            max_values=self._settings.segments.max_values,
            texts=self._settings.privacy.store_text,
        )

    def _severe(self, episode: Episode, period: Window) -> tuple[Window, Mapping[str, Any]]:
        """Return when the single rows that the alert took in happened, and the ids of the worst of them."""
        rows = self._store.query(
            "SELECT id, max(s.score) AS worst, max(s.timestamp) AS at FROM severe_rows_raw AS s "
            "WHERE alert_id = {alert:String} GROUP BY id ORDER BY worst DESC, id LIMIT 20",
            {"alert": episode.alert_id},
        ).to_pylist()
        times = [row["at"] for row in rows]
        if times:
            period = Window(min(times), max(times) + timedelta(milliseconds=1))
        return period, {"examples": [row["id"] for row in rows]}

    def _drawable(self, episode: Episode, detail: Mapping[str, Any]) -> bool:
        """Return whether the window's vectors, which a picture is drawn from, are still there."""
        family, _, field = episode.metric.rpartition(".")[0].partition(".")
        window = episode.opened.window
        if family != "drift" or field not in FIELDS or window is None or not detail.get("reference"):
            return False
        rows = self._store.query(
            "SELECT 1 FROM embeddings_raw WHERE application = {application:String} AND field = {field:String} "
            "AND timestamp >= {start:DateTime64(3, 'UTC')} AND timestamp < {end:DateTime64(3, 'UTC')} LIMIT 2",
            {
                "application": episode.series.application,
                "field": field,
                "start": window.start,
                "end": window.end,
            },
        )
        return rows.num_rows > 1

    def _sql(self, episode: Episode) -> str:
        step = episode.opened
        if step.window is None:
            return ""
        detail = {"weighted": True} if step.detail.get("weighted") else {}
        metric = WindowMetric(step.window, episode.series, episode.metric, step.value, step.n, step.n, detail=detail)
        return reproduce(metric, self._thresholds, self._settings.segments.max_values)

    def _gone(
        self, episode: Episode, found: Numbers, shares: Contributions | None, rows: Sequence[Example]
    ) -> list[str]:
        """Say what is missing because its time is over. An alert without data had no rows in the first place."""
        kept = self._settings.store.retention
        said: list[str] = []
        if not episode.series.application or episode.metric.endswith(EVENT):  # of the service itself, of single rows
            return said
        if not found.points and episode.opened.n:
            said.append(f"The numbers of its windows have expired: they are kept for {kept.window_metrics_days} days.")
        if episode.opened.n and ((shares is not None and not shares.rows) or (shares is None and not rows)):
            wanted = self._store.query(
                "SELECT 1 FROM inferences_raw WHERE application = {application:String} "
                "AND timestamp >= {start:DateTime64(3, 'UTC')} AND timestamp < {end:DateTime64(3, 'UTC')} LIMIT 1",
                {
                    "application": episode.series.application,
                    "start": episode.since,
                    "end": episode.opened.at + timedelta(milliseconds=1),
                },
            )
            if not wanted.num_rows:
                said.append(
                    f"The rows behind it have expired: they are kept for {kept.inferences_days} days. "
                    "What was told of them is shown."
                )
        return said


def _title(episode: Episode, rule: Rule | None, told: Mapping[str, Any]) -> str:
    if told.get("title"):
        return str(told["title"])
    return f"{(rule.title if rule else '') or subject(episode.metric)}: {place(episode.labels)}"


def _described(told: Mapping[str, Any]) -> tuple[str, str]:
    """Return description and runbook of a message, which has them in one text."""
    lines = str(told.get("description") or "").splitlines()
    runbook = next((line.removeprefix("Runbook: ") for line in lines if line.startswith("Runbook: ")), "")
    return "\n".join(line for line in lines if not line.startswith("Runbook: ")), runbook


def _findings(episode: Episode, told: Mapping[str, Any], detail: Mapping[str, Any]) -> tuple[str, ...]:
    if told.get("findings"):
        return tuple(map(str, told["findings"]))
    said = detail.get("explanation")
    if not isinstance(said, dict):
        return ()
    try:
        return findings(Brief.of(said), episode.metric.split(".")[1])
    except (KeyError, TypeError):  # written by another version
        return ()
