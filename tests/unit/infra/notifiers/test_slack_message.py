"""Slack messages keep within Slack's limits and let no text of a log become markup."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.infra.demo.vendors import slack_faults
from inferwatch.infra.notifiers.slack import Slack
from inferwatch.infra.notifiers.slack_message import message
from inferwatch.schemas.alerts import State
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import DeliveryError
from inferwatch.schemas.receivers import SlackReceiver
from inferwatch.schemas.rules import Severity
from tests.support.notes import DRIFT, GROUP, NOTE, NOW, STORM, line
from tests.support.receiving import HttpServer, http_server

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server() as found:
        yield found


def slack(server: HttpServer) -> Slack:
    settings = SlackReceiver.model_validate({"type": "slack", "name": "team", "webhook_url": server.url})
    return Slack(settings, ManualClock(NOW))


def shown(note: object) -> str:
    return json.dumps(message(note), ensure_ascii=False)  # type: ignore[arg-type]


async def test_slack_has_accepted_only_when_it_says_ok(server: HttpServer) -> None:
    server.body = "no_service"
    notifier = slack(server)
    with pytest.raises(DeliveryError) as error:
        await notifier.notify(NOTE)
    await notifier.close()
    assert not error.value.retryable


async def test_slack_may_say_ok_in_two_pieces(server: HttpServer) -> None:
    server.pieces = ["o", "k"]
    notifier = slack(server)
    await notifier.notify(NOTE)
    await notifier.close()


@given(TEXT, TEXT, st.lists(TEXT, max_size=3), TEXT)
def test_text_from_logs_forms_no_markup(title: str, summary: str, examples: list[str], sql: str) -> None:
    texts = {"examples": tuple(examples), "findings": tuple(examples)}
    note = replace(NOTE, title=title, summary=summary, sql=sql, description=summary, **texts)
    assert slack_faults(json.dumps(message(note)).encode()) == []
    for block in message(note)["blocks"]:
        for text in [block.get("text", {}), *block.get("fields", []), *block.get("elements", [])]:
            if text.get("type") == "mrkdwn":
                assert "<" not in text["text"]
                assert text["text"].count("```") in (0, 2)


@given(TEXT, TEXT)
def test_an_alert_of_a_group_forms_no_markup_but_its_link(title: str, url: str) -> None:
    note = replace(GROUP, alerts=(replace(line(1), title=title, url=url), line(2)))
    assert slack_faults(json.dumps(message(note)).encode()) == []
    for block in message(note)["blocks"][3:5]:
        text = block["text"]["text"]
        assert text.count("<") == text.count(">") == (1 if f"{line(2).url}|" in text or url else 0)


@given(st.lists(st.sampled_from([*Severity]), min_size=2, max_size=60), st.data())
def test_of_many_alerts_the_worst_are_shown_and_the_rest_counted(
    severities: list[Severity], data: st.DataObject
) -> None:
    states = [data.draw(st.sampled_from([State.FIRING, State.RESOLVED])) for _ in severities]
    alerts = tuple(line(place, *one) for place, one in enumerate(zip(states, severities, strict=True)))
    note = replace(GROUP, alerts=alerts)
    assert slack_faults(json.dumps(message(note)).encode()) == []
    told = [block["text"]["text"] for block in message(note)["blocks"] if "/alerts/" in str(block.get("text"))]
    rest = len(alerts) - len(told)
    assert len(told) == min(len(alerts), 12)
    assert (f"and {rest} more" in shown(note)) == (rest > 0)
    firing = sum(one is State.FIRING for one in states)
    assert sum(":white_check_mark:" not in text for text in told) == min(firing, len(told))


def test_a_storm_is_one_message_that_says_how_many() -> None:
    assert "5,000 firing" in shown(STORM)
    assert "and 4,988 more: 4,988 critical" in shown(STORM)
    assert slack_faults(json.dumps(message(STORM)).encode()) == []


def test_a_message_that_all_together_is_too_long_is_shortened_and_says_so() -> None:
    texts = {
        "examples": ("'" * 900,) * 3,
        "findings": ('"' * 300,) * 6,
        "sql": '"\n' * 4000,
        "description": '"\n' * 900,
    }
    note = replace(NOTE, summary='"' * 4000, **texts)
    assert slack_faults(json.dumps(message(note)).encode()) == []
    assert "Shortened for Slack." in shown(note)
    assert "Open" in shown(note)


def test_a_picture_is_a_link_that_asks_for_the_login_and_never_an_image_that_slack_fetches() -> None:
    blocks = message(DRIFT)["blocks"]
    assert not [block for block in blocks if block["type"] == "image"]
    [actions] = [block for block in blocks if block["type"] == "actions"]
    assert [button["url"] for button in actions["elements"]] == [DRIFT.url, DRIFT.picture]
