from collections.abc import AsyncIterator

import aiohttp
import pytest

from inferwatch.infra.demo.receiver import Received, Receiver

TRIGGER = {
    "routing_key": "k" * 32,
    "event_action": "trigger",
    "payload": {"summary": "s", "source": "x", "severity": "error"},
}


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, list[Received], aiohttp.ClientSession]]:
    shown: list[Received] = []
    found = Receiver(shown.append)
    await found.start()
    async with aiohttp.ClientSession() as session:
        yield found, shown, session
    await found.stop()


async def test_slack_answers_ok_and_the_message_is_kept_and_shown(
    receiver: tuple[Receiver, list[Received], aiohttp.ClientSession],
) -> None:
    here, shown, session = receiver
    async with session.post(here.slack_url, json={"text": "hello"}) as answer:
        assert (answer.status, await answer.text()) == (200, "ok")
    assert here.received == shown
    assert (shown[0].vendor, shown[0].body, shown[0].faults) == ("slack", {"text": "hello"}, ())


@pytest.mark.parametrize(
    ("body", "said"), [("{}", "no_text"), ("nonsense", "invalid_payload"), ('{"blocks": [{}]}', "invalid_blocks")]
)
async def test_slack_refuses_with_its_own_words(
    receiver: tuple[Receiver, list[Received], aiohttp.ClientSession], body: str, said: str
) -> None:
    here, shown, session = receiver
    async with session.post(here.slack_url, data=body) as answer:
        assert (answer.status, await answer.text()) == (400, said)
    assert shown[0].faults


async def test_pagerduty_answers_with_the_dedup_key_it_got_or_makes(
    receiver: tuple[Receiver, list[Received], aiohttp.ClientSession],
) -> None:
    here, _, session = receiver
    async with session.post(here.pagerduty_url, json=TRIGGER | {"dedup_key": "mine"}) as answer:
        assert answer.status == 202
        assert (await answer.json())["dedup_key"] == "mine"
    async with session.post(here.pagerduty_url, json=TRIGGER) as answer:
        assert (await answer.json())["dedup_key"]


async def test_pagerduty_names_every_fault(
    receiver: tuple[Receiver, list[Received], aiohttp.ClientSession],
) -> None:
    here, shown, session = receiver
    async with session.post(here.pagerduty_url, json={"event_action": "fire"}) as answer:
        assert answer.status == 400
        errors = (await answer.json())["errors"]
    assert len(errors) == 3
    assert shown[0].faults == tuple(errors)
