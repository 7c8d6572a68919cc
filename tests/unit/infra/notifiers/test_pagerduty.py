"""PagerDuty's events: one key over an episode, its severities, images only where it can fetch them, 512 KB."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from inferwatch.infra.demo.vendors import pagerduty_faults
from inferwatch.infra.notifiers.pagerduty import EVENT_BYTES, PagerDuty, event
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.receivers import PagerDutyReceiver
from inferwatch.schemas.rules import Severity
from tests.support.notes import DRIFT, GROUP, HOSTILE, NOTE, NOW, RESOLVED, STORM
from tests.support.receiving import http_server

KEY = "0123456789abcdef0123456789abcdef"


async def test_trigger_acknowledge_and_resolve_have_one_key() -> None:
    async with http_server() as server:
        own = {"type": "pagerduty", "name": "pager", "url": server.url, "routing_key": KEY}
        pager = PagerDuty(PagerDutyReceiver.model_validate(own), ManualClock(NOW))
        await pager.notify(NOTE)
        await pager.acknowledge(NOTE)
        await pager.notify(RESOLVED)
        await pager.close()
    sent = [json.loads(body) for _, _, body in server.requests]
    assert [one["event_action"] for one in sent] == ["trigger", "acknowledge", "resolve"]
    assert {one["dedup_key"] for one in sent} == {NOTE.dedup_key}
    assert [pagerduty_faults(json.dumps(one).encode()) for one in sent] == [[], [], []]


def test_a_severity_may_be_another_there() -> None:
    found = event(NOTE, KEY, "trigger", severities={Severity.CRITICAL: Severity.WARNING})
    assert found["payload"]["severity"] == "warning"
    assert event(NOTE, KEY, "trigger", severities={Severity.INFO: Severity.ERROR})["payload"]["severity"] == "critical"


def test_a_picture_is_a_link_and_an_image_only_where_pagerduty_can_fetch_it() -> None:
    public = replace(
        DRIFT, picture="https://inferwatch.example.com/explanation.svg", url="https://inferwatch.example.com/a"
    )
    assert "images" not in event(public, KEY, "trigger")
    assert "images" not in event(DRIFT, KEY, "trigger", images=True)
    found = event(public, KEY, "trigger", images=True)
    assert [one["src"] for one in found["images"]] == [public.picture]
    assert [link["href"] for link in found["links"]] == [public.url, public.picture]
    assert pagerduty_faults(json.dumps(found).encode()) == []


def test_a_group_has_its_counts_in_the_title_and_its_alerts_in_the_details() -> None:
    payload = event(GROUP, KEY, "trigger")["payload"]
    assert payload["summary"].startswith("Toxic outputs: support (3 firing, 1 resolved): ")
    assert [one["severity"] for one in payload["custom_details"]["alerts"]] == [
        "critical",
        "warning",
        "warning",
        "critical",
    ]
    assert event(STORM, KEY, "trigger")["payload"]["custom_details"]["alerts_left_out"] == 4800


def test_what_is_too_much_is_left_out_and_said() -> None:
    wide = tuple(
        replace(one, title="😀" * 2000, labels={str(n): "😀" * 900 for n in range(20)}) for one in STORM.alerts[:200]
    )
    note = replace(HOSTILE, sql="SELECT 1", alerts=wide)
    found = event(note, KEY, "trigger")
    body = json.dumps(found, ensure_ascii=False).encode()
    assert len(body) <= EVENT_BYTES
    assert pagerduty_faults(body) == []
    details = found["payload"]["custom_details"]
    assert "alerts" not in details
    assert details["sql"] == "SELECT 1"
    assert "left out" in details["cut"]
    assert "alerts (" in details["cut"]


@pytest.mark.parametrize("note", [NOTE, DRIFT, GROUP, RESOLVED])
def test_what_fits_has_no_such_mark(note: object) -> None:
    assert "cut" not in event(note, KEY, "trigger")["payload"]["custom_details"]  # type: ignore[arg-type]
