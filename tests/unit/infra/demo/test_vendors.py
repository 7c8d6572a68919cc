import json
from typing import Any

import pytest

from inferwatch.infra.demo.vendors import pagerduty_faults, slack_faults


def event(**changes: Any) -> dict[str, Any]:
    payload = {"summary": "s", "source": "inferwatch", "severity": "critical", "timestamp": "2026-03-02T08:15:00+00:00"}
    return {"routing_key": "k" * 32, "event_action": "trigger", "dedup_key": "a", "payload": payload} | changes


def with_payload(**changes: Any) -> dict[str, Any]:
    return event(payload=event()["payload"] | changes)


def test_pagerduty_takes_a_trigger_and_a_resolve_without_payload() -> None:
    assert pagerduty_faults(json.dumps(event()).encode()) == []
    resolve = {"routing_key": "k" * 32, "event_action": "resolve", "dedup_key": "a"}
    assert pagerduty_faults(json.dumps(resolve).encode()) == []


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (event(routing_key="short"), "routing_key"),
        (event(event_action="fire"), "event_action"),
        (event(dedup_key="x" * 256), "dedup_key"),
        (event(payload=None), "payload"),
        (event(severity="critical"), "severity"),
        (with_payload(summary="x" * 1025), "summary"),
        (with_payload(summary=""), "summary"),
        (with_payload(severity="fatal"), "severity"),
        (with_payload(timestamp="yesterday"), "timestamp"),
        (with_payload(custom_details="text"), "custom_details"),
        (event(links=[{"href": "javascript:alert(1)"}]), "links[0].href"),
        ({"routing_key": "k" * 32, "event_action": "resolve"}, "dedup_key"),
        (with_payload(custom_details={"big": "x" * 600_000}), "bytes"),
    ],
)
def test_pagerduty_refuses(wrong: dict[str, Any], named: str) -> None:
    faults = pagerduty_faults(json.dumps(wrong).encode())
    assert any(named in fault for fault in faults), faults


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"text"', b'{"a": NaN}', b"\xff"])
def test_both_refuse_what_is_no_json_object(body: bytes) -> None:
    assert pagerduty_faults(body)
    assert slack_faults(body)


def text(content: str = "t", kind: str = "mrkdwn") -> dict[str, Any]:
    return {"type": kind, "text": content}


def header(content: str = "h") -> dict[str, Any]:
    return {"type": "header", "text": text(content, "plain_text")}


def test_slack_takes_text_alone_and_every_kind_of_block() -> None:
    button = {"type": "button", "text": text("Open", "plain_text"), "url": "https://example.org", "action_id": "a"}
    image = {"type": "image", "image_url": "https://example.org/a.png", "alt_text": "a"}
    blocks = [
        header(),
        {"type": "section", "text": text(), "accessory": button},
        {"type": "section", "fields": [text()] * 10},
        {"type": "divider"},
        {"type": "context", "elements": [text(), image]},
        {"type": "actions", "elements": [button]},
        image,
    ]
    assert slack_faults(json.dumps({"text": "t", "blocks": blocks}).encode()) == []
    assert slack_faults(b'{"text": "t"}') == []


@pytest.mark.parametrize(
    ("blocks", "named"),
    [
        ([header()] * 51, "50"),
        ([header("x" * 151)], "150"),
        ([{"type": "header", "text": text()}], "blocks[0].text.type"),
        ([{"type": "section", "text": text("x" * 3001)}], "3000"),
        ([{"type": "section", "text": text("")}], "empty"),
        ([{"type": "section"}], "needs"),
        ([{"type": "section", "fields": [text()] * 11}], "fields"),
        ([{"type": "section", "fields": [text("x" * 2001)]}], "2000"),
        ([{"type": "context", "elements": []}], "elements"),
        ([{"type": "context", "elements": [text()] * 11}], "elements"),
        ([{"type": "actions", "elements": [{"type": "button", "text": text("b")}]}], "plain_text"),
        ([{"type": "actions", "elements": [{"type": "button", "text": text("x" * 76, "plain_text")}]}], "75"),
        ([{"type": "image", "image_url": "https://e.org/a.png"}], "alt_text"),
        ([{"type": "video"}], "video"),
        (["text"], "object"),
        ({"type": "header"}, "list"),
    ],
)
def test_slack_refuses(blocks: object, named: str) -> None:
    faults = slack_faults(json.dumps({"text": "t", "blocks": blocks}).encode())
    assert any(named in fault for fault in faults), faults


def test_slack_refuses_a_message_with_nothing_in_it() -> None:
    assert slack_faults(b"{}")[0].startswith("no_text")
