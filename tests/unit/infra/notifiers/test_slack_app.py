"""A Slack app keeps an alert in one thread, whoever sends, and posts nothing twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from inferwatch.infra.notifiers.slack_app import SlackApp
from inferwatch.schemas.alerts import Notification, State
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.errors import DeliveryError
from inferwatch.schemas.receivers import SlackAppReceiver
from tests.support.notes import GROUP, NOTE, NOW, RESOLVED, line
from tests.support.slack_api import CHANNEL, TOKEN, SlackChannel, slack_channel

OVER = replace(RESOLVED, id="over", at=NOW + timedelta(minutes=30), summary="It is 0.1 % now.", examples=())
AGAIN = replace(NOTE, id="again", at=NOW + timedelta(hours=4))


@pytest.fixture
async def channel() -> AsyncIterator[SlackChannel]:
    async with slack_channel() as found:
        yield found
    assert found.faults == []


async def send(channel: SlackChannel, *notes: Notification, **settings: Any) -> None:
    """Send with a process of its own for each note: nothing may be remembered."""
    for note in notes:
        own = {"type": "slack_app", "name": "team", "bot_token": TOKEN, "channel": CHANNEL, "url": channel.url}
        app = SlackApp(SlackAppReceiver.model_validate(own | settings), ManualClock(NOW))
        try:
            await app.notify(note)
        finally:
            await app.close()


async def test_what_comes_later_goes_into_the_thread_and_changes_the_head(channel: SlackChannel) -> None:
    await send(channel, NOTE)
    [head] = channel.heads()
    examples = [block for block in head["blocks"] if block.get("block_id") == "examples"]
    assert "CRITICAL" in head["blocks"][0]["text"]["text"]
    await send(channel, OVER)
    [reply] = channel.replies(head)
    assert channel.heads() == [head]
    assert "RESOLVED" in reply["text"]
    assert "RESOLVED" in head["blocks"][0]["text"]["text"]
    assert head["blocks"][1]["text"]["text"] == "It is 0.1 % now."
    assert [block for block in head["blocks"] if block.get("block_id") == "examples"] == examples


async def test_a_repetition_is_seen_in_the_channel(channel: SlackChannel) -> None:
    await send(channel, NOTE, AGAIN)
    head, broadcast = channel.heads()
    assert broadcast["thread_ts"] == head["ts"]
    await send(channel, OVER)
    assert len(channel.replies(head)) == 2
    assert len(channel.heads()) == 2


@pytest.mark.parametrize("notes", [(NOTE,), (NOTE, OVER), (NOTE, AGAIN, OVER)])
async def test_what_was_accepted_without_our_hearing_of_it_is_not_posted_again(
    channel: SlackChannel, notes: tuple[Notification, ...]
) -> None:
    for note in notes:
        channel.lose_answers = {"chat.postMessage"}
        with pytest.raises(DeliveryError) as error:
            await send(channel, note)
        assert error.value.retryable
        await send(channel, note, note)
    assert len(channel.messages) == len(notes)


async def test_another_alert_has_its_own_thread(channel: SlackChannel) -> None:
    other = replace(NOTE, id="other", alert_id="other", dedup_key="inferwatch/other")
    await send(channel, NOTE, other, replace(other, id="other-over", status=State.RESOLVED))
    first, second = channel.heads()
    assert channel.replies(first) == []
    assert len(channel.replies(second)) == 1


async def test_the_head_is_found_behind_many_messages_of_others(channel: SlackChannel) -> None:
    await send(channel, NOTE)
    for place in range(450):
        channel.post({"text": f"chatter {place}", "channel": CHANNEL})
    await send(channel, OVER)
    assert channel.replies(channel.heads()[0])
    assert channel.calls.count("conversations.history") == 4


async def test_a_group_shows_what_is_so_now(channel: SlackChannel) -> None:
    later = replace(GROUP, id="later", alerts=(*GROUP.alerts, line(7)))
    await send(channel, GROUP, later)
    head = channel.heads()[0]
    assert "t-7" in str(head["blocks"])


async def test_without_the_right_to_read_it_posts_all_the_same(channel: SlackChannel) -> None:
    for note in (NOTE, OVER):
        channel.errors = {"conversations.history": "missing_scope"}
        await send(channel, note)
    assert len(channel.heads()) == 2


async def test_an_update_that_fails_costs_no_page(channel: SlackChannel, caplog: pytest.LogCaptureFixture) -> None:
    await send(channel, NOTE)
    channel.errors = {"chat.update": "edit_window_closed"}
    await send(channel, OVER)
    assert len(channel.messages) == 2
    assert "edit_window_closed" in caplog.text


@pytest.mark.parametrize(
    ("method", "error", "retryable", "retry_after"),
    [
        ("chat.postMessage", "ratelimited", True, 30.0),
        ("conversations.history", "ratelimited", True, 30.0),
        ("chat.postMessage", "internal_error", True, None),
        ("chat.postMessage", "is_archived", False, None),
        ("chat.postMessage", "not_in_channel", False, None),
    ],
)
async def test_slacks_own_errors_say_whether_to_try_again(
    channel: SlackChannel, method: str, error: str, retryable: bool, retry_after: float | None
) -> None:
    channel.errors = {method: error}
    with pytest.raises(DeliveryError, match=error) as caught:
        await send(channel, NOTE)
    assert (caught.value.retryable, caught.value.retry_after) == (retryable, retry_after)
    assert channel.messages == []


async def test_a_wrong_token_is_not_tried_again_and_not_shown(channel: SlackChannel) -> None:
    with pytest.raises(DeliveryError, match="invalid_auth") as caught:
        await send(channel, NOTE, bot_token="xoxb-wrong-and-secret")
    assert not caught.value.retryable
    assert "wrong-and-secret" not in str(caught.value)
