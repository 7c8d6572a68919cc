"""Alerts and routing for the stages' tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from inferwatch.schemas.alerts import State
from inferwatch.schemas.rules import Severity
from inferwatch.streams.alerting.route.alert import Alert, matching_labels

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def alert() -> Callable[..., Alert]:
    def make(
        name: str,
        *,
        rule: str = "toxic",
        state: State = State.FIRING,
        severity: Severity = Severity.WARNING,
        known_at: datetime = NOW,
        receivers: tuple[str, ...] = ("team",),
        acknowledged: bool = False,
        about: str = "",
        **labels: str,
    ) -> Alert:
        own = {"application": "shop", "model": name} | labels
        seen = matching_labels(rule, severity, "toxicity.output.rate", state, own)
        return Alert(name, rule, severity, seen, state, NOW, NOW, known_at, receivers, acknowledged, about=about)

    return make


@pytest.fixture
def routing() -> Callable[..., Any]:
    from inferwatch.schemas.routing import RoutingSettings

    return lambda **keys: RoutingSettings.model_validate(keys)
