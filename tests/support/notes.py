"""Notifications that every receiver must take: an alert, a drift alert, a storm, and one that means harm."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import nan

from inferwatch.schemas.alerts import AlertLine, Notification, State
from inferwatch.schemas.rules import Severity

NOW = datetime(2026, 3, 1, 14, 15, tzinfo=UTC)

NOTE = Notification(
    id="0a1b2c3d4e5f60718293a4b5",
    alert_id="5f0c6a7788990011-20260301T140000Z",
    dedup_key="inferwatch/5f0c6a7788990011-20260301T140000Z",
    status=State.FIRING,
    severity=Severity.CRITICAL,
    title="The assistant abuses customers: support, model m-2",
    summary="12.3 % of inferences (25 of 204 scored) reached 0.9 for toxicity.output between 14:00 and 14:15 UTC "
    "on 1 March. It was 0.2 % on average in the 12 windows before. The rule fires at > 5 %.",
    labels={"application": "support", "model": "m-2"},
    metric="toxicity.output.rate",
    value=0.123,
    threshold="> 5 %",
    n=204,
    ci_low=0.085,
    ci_high=0.175,
    since=NOW - timedelta(minutes=15),
    at=NOW,
    reference="0.2 % on average in the 12 windows before",
    examples=(
        "“You are an idiot, [EMAIL].” (score 0.98; 14:03:12, id 41ac)",
        "“Get lost.” (score 0.95; 14:04:40, id 41b0)",
    ),
    sql="SELECT countIf(scores['toxicity.output'] >= 0.9) / count() AS value\nFROM inferences",
    url="http://127.0.0.1:8123/alerts/5f0c6a7788990011-20260301T140000Z",
    description="Roll back the model first.\nRunbook: https://wiki.example/abuse",
    rule="toxic-answers",
)
DRIFT = replace(
    NOTE,
    severity=Severity.WARNING,
    title="Inputs differ from the reference (solar panels, feed-in tariff): support",
    summary="New: solar panels, feed-in tariff (11 % of inputs, 95 % interval 8 to 14 %). 500 inputs between 14:00 and "
    "14:15 UTC on 1 March compared with baseline v2 (1,000 rows): p-value 0.001. The rule fires at <= 0.002.",
    labels={"application": "support"},
    metric="drift.input.p_value",
    value=0.001,
    threshold="<= 0.002",
    ci_low=nan,
    ci_high=nan,
    reference="",
    examples=(
        "“How much do you pay for the solar power I feed in?” (14:03:12, id 41ac)",
        "“Who registers the panels with the grid?” (14:04:40, id 41b0)",
        "“Is an east roof much worse than a south roof?” (14:05:01, id 41b7)",
    ),
    findings=(
        "New: solar panels, feed-in tariff, roof (11 % of inputs, 95 % interval 8 to 14 %)",
        "prompt_version 8: 62 % of its 50 inputs are new, 9 % elsewhere",
        "Gone: night storage (20 % of the reference's inputs, 95 % interval 10 to 30 %)",
    ),
    rule="new-kind-of-question",
    picture="http://127.0.0.1:8123/api/v1/alerts/5f0c6a7788990011-20260301T140000Z/explanation.svg",
)
HOSTILE = replace(
    NOTE,
    findings=tuple("<!channel> <http://evil|click> ``` \x07" * 2000 for _ in range(50)),
    picture="http://127.0.0.1:8123/" + "p" * 100_000,
    title="<!channel> " + "x" * 100_000,
    summary="<http://evil|click> & <@U1> ```" * 5000,
    labels={"application": "a<b>&`" * 500, "tags.x": "\x00\u202eevil" * 100},
    examples=tuple("<!here> ``` \x07 😀 " * 5000 for _ in range(50)),
    sql="SELECT '```' <!channel>" * 10_000,
    description="> quote & " * 20_000,
    reference="r" * 50_000,
    value=nan,
    ci_low=nan,
    ci_high=nan,
)


def line(place: int, status: State = State.FIRING, severity: Severity = Severity.CRITICAL) -> AlertLine:
    """Return one alert of a group; each has its own place."""
    return AlertLine(
        alert_id=f"{place:016x}-20260301T140000Z",
        status=status,
        severity=severity,
        title=f"Toxic outputs: support, tenant t-{place}",
        rule="toxic-answers",
        labels={"application": "support", "tenant": f"t-{place}"},
        metric="toxicity.output.rate",
        value=0.05 + place / 100_000,
        threshold="> 5 %",
        n=100 + place,
        since=NOW - timedelta(minutes=15),
        at=NOW,
        url=f"http://127.0.0.1:8123/alerts/{place:016x}-20260301T140000Z",
    )


GROUP = replace(
    NOTE,
    alert_id=line(3).alert_id,
    dedup_key="inferwatch/group/5f0c6a77",
    title="Toxic outputs: support (3 firing, 1 resolved)",
    summary=f"3 firing, 1 resolved. The worst: {line(3).title}. {NOTE.summary}",
    labels={"application": "support"},
    url=line(3).url,
    alerts=(
        line(3),
        line(2, severity=Severity.WARNING),
        replace(line(4, severity=Severity.WARNING), value=nan, n=0),
        line(1, State.RESOLVED),
    ),
)
STORM = replace(GROUP, title="Toxic outputs: support (5,000 firing)", alerts=tuple(map(line, range(5000))))
HOSTILE_GROUP = replace(
    HOSTILE,
    alert_id=line(0).alert_id,
    alerts=tuple(
        replace(line(place), title=HOSTILE.title, labels=HOSTILE.labels, url="http://x/|><!channel>" + "u" * place)
        for place in range(500)
    ),
)
RESOLVED = replace(NOTE, status=State.RESOLVED)
