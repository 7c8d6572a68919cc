"""The page and the API object of one alert, on the real engine: what they show, take, refuse, and survive."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import encode_basic_auth
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.infra.web.app import create_app
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.settings import PrivacySettings, SegmentSettings, Settings, StoreSettings, WebSettings
from inferwatch.streams.alerting.silences import Silences
from inferwatch.streams.incidents.incident import Incidents
from tests.support.stored_alerts import (
    ALERT,
    EVIL,
    INSULT,
    STEP,
    T0,
    THRESHOLDS,
    delivery,
    insert,
    message,
    numbers,
    traffic,
    transition,
)

NOW = T0 + 8 * STEP
RULE = {
    "name": "toxic-answers",
    "metric": "toxicity.output.rate",
    "when": "> 5 %",
    "resolve_when": "< 2 %",
    "description": "Roll back the model.",
    "runbook_url": "https://wiki.example/abuse",
}
NOTE = {
    "alert_id": ALERT,
    "status": "firing",
    "title": "The assistant abuses customers: support",
    "summary": "25 % of inferences …",
    "examples": [f"“{EVIL}” (score 0.97)"],
    "sql": "SELECT 1",
    "description": "Roll back the model.\nRunbook: https://wiki.example/abuse",
}
Client = TestClient[Any, Any]
Start = Callable[..., Awaitable[Client]]


@pytest.fixture
async def start(store_settings: StoreSettings) -> AsyncIterator[Start]:
    running: list[Client] = []

    async def begin(store: ClickHouseStore, *, password: str = "", rules: Any = (RULE,), text: bool = True) -> Client:
        settings = Settings.model_validate({"rules": list(rules), "segments": {"dimensions": ["model"]}}).model_copy(
            update={
                "store": store_settings,
                "privacy": PrivacySettings(store_text=text),
                "web": WebSettings(password=SecretStr(password), public_url="https://watch.example"),
            }
        )
        app = create_app(settings, store, clock=ManualClock(NOW), thresholds=THRESHOLDS)
        client: Client = TestClient(TestServer(app))
        await client.start_server()
        running.append(client)
        return client

    yield begin
    for client in running:
        await client.close()


@pytest.fixture
def resolved(store: ClickHouseStore) -> ClickHouseStore:
    """The alert fired at the first of three bad windows and resolved after them; of two receivers one was down."""
    traffic(store)
    numbers(store)
    insert(store, "alerts_raw", [transition("firing", 0), transition("resolved", 3, frm="firing", value=0.0)])
    insert(store, "outbox_raw", [message("n1", "team", NOTE), message("n1", "pager", NOTE)])
    insert(
        store,
        "deliveries_raw",
        [
            delivery("n1", "team", 1, "attempting"),
            delivery("n1", "team", 1, "retrying", "HTTP 503"),
            delivery("n1", "team", 2, "attempting"),
            delivery("n1", "team", 2, "sent"),
            delivery("n1", "pager", 1, "failed", "HTTP 401: no such key"),
        ],
    )
    deploy = {"application": "support", "dimension": "model", "value": "m-2", "previous": "m-0"}
    at = T0 - timedelta(minutes=20)
    insert(store, "deploys_raw", [deploy | {"at": at, "first_seen": at, "noted_at": at}])
    return store


@pytest.fixture
def bare(store: ClickHouseStore) -> ClickHouseStore:
    """An alert that fires, and nothing behind it."""
    insert(store, "alerts_raw", [transition("firing", 0)])
    return store


@pytest.fixture
def firing(store: ClickHouseStore) -> ClickHouseStore:
    traffic(store)
    numbers(store)
    insert(store, "alerts_raw", [transition("firing", 0)])
    return store


async def get(client: Client, path: str, status: int = 200) -> Any:
    async with client.get(path) as response:
        assert response.status == status, await response.text()
        return await (response.json() if response.content_type == "application/json" else response.text())


async def one(client: Client, alert: str = ALERT) -> Any:
    return await get(client, f"/api/v1/alerts/{alert}")


async def page(client: Client, alert: str = ALERT, status: int = 200) -> str:
    return str(await get(client, f"/alerts/{alert}", status))


# What there is to know


async def test_the_numbers_around_it_have_the_threshold_the_worst_and_what_was_usual(
    resolved: ClickHouseStore, start: Start
) -> None:
    found = (await one(await start(resolved)))["numbers"]
    assert len(found["points"]) == 12
    assert [point["value"] for point in found["points"]] == [0] * 6 + [0.25] * 3 + [0] * 3
    assert (found["usual"], found["usual_windows"], found["worst"]["value"]) == (0, 6, 0.25)
    assert found["points"][6]["low"] < 0.25 < found["points"][6]["high"]


async def test_of_an_alert_that_lasts_for_months_the_last_month_is_shown(store: ClickHouseStore, start: Start) -> None:
    traffic(store)
    numbers(store)
    begun = T0 - timedelta(days=40)
    insert(store, "alerts_raw", [transition("firing", 0, since=begun, at=begun + STEP)])
    found = (await one(await start(store)))["numbers"]
    assert (found["start"], found["end"]) == ("2025-12-31T08:30:00Z", "2026-01-31T08:30:00Z")
    assert (found["latest"]["end"], found["latest"]["value"], found["worst"]["value"]) == (found["end"], 0, 0.25)


async def test_who_carries_it_adds_up_to_the_number(resolved: ClickHouseStore, start: Start) -> None:
    found = await one(await start(resolved))
    shares = found["contributions"]
    assert (shares["start"], shares["end"]) == ("2026-01-31T08:00:00Z", "2026-01-31T08:15:00Z")
    assert (shares["rows"], shares["bad"]) == (120, 30)
    assert shares["bad"] / shares["rows"] == found["value"]
    first, *others = shares["segments"]
    assert (first["dimension"], first["value"], first["carries"]) == ("model", "m-2", True)
    assert (first["of_bad"], first["of_rows"], first["rate"], first["elsewhere"], first["before"]) == (
        1,
        0.5,
        0.5,
        0,
        0,
    )
    assert not any(one["carries"] for one in others)
    assert {one["dimension"] for one in others} == {"model", "tenant"}
    assert found["what_changed"] == [
        "model m-2: 50 % of its 60 rows, 0 % elsewhere, 0 % before; 100 % of all bad rows.",
        "model m-2 took over from m-0 at 07:40 UTC, 20m before.",
    ]
    assert found["first_steps"] == ["Roll back the model.", "model m-2 is new since 07:40 UTC: try m-0 again."]


async def test_an_alert_on_single_rows_shows_the_rows_that_it_took_in(store: ClickHouseStore, start: Start) -> None:
    traffic(store)
    ids = ("call-0-5", "call-1-9")
    taken = {"rule": "toxic-answers", "application": "support", "alert_id": ALERT, "noted_at": NOW}
    insert(
        store,
        "severe_rows_raw",
        [
            taken | {"id": one, "score": 0.97, "timestamp": T0 + place * STEP + timedelta(seconds=5 * n)}
            for one, (place, n) in zip(ids, ((0, 5), (1, 9)), strict=True)
        ],
    )
    event = {"metric": "toxicity.output.event", "value": 0.97, "threshold": "> 0.95", "n": 1, "at": T0 + STEP}
    insert(store, "alerts_raw", [transition("firing", 0, **event)])
    client = await start(store)
    found = await one(client)
    assert {row["id"] for row in found["examples"]} == set(ids)
    assert all(row["evidence"] and row["shows"] == "output" for row in found["examples"])
    assert found["missing"] == []
    assert "<mark" in await page(client)


async def test_an_alert_of_one_segment_is_held_against_the_others(store: ClickHouseStore, start: Start) -> None:
    traffic(store)
    numbers(store)
    labels = [("application", "support"), ("model", "m-2")]
    insert(store, "alerts_raw", [transition("firing", 0, labels=labels, value=0.5, n=20)])
    found = await one(await start(store))
    first, *others = found["contributions"]["segments"]
    assert (first["value"], first["elsewhere"], first["carries"]) == ("m-2", 0, True)
    assert found["contributions"]["rows"] == 120, "the rows of the model, up to the newest window of the alert"
    assert {one["dimension"] for one in others} == {"tenant"}
    assert {row["origin"]["model"] for row in found["examples"]} == {"m-2"}


async def test_examples_are_the_worst_rows_with_their_evidence(resolved: ClickHouseStore, start: Start) -> None:
    found = (await one(await start(resolved)))["examples"]
    assert len(found) == 6
    for row in found:
        (mark,) = row["evidence"]
        assert row["output"]["text"][mark["start"] : mark["end"]] == INSULT
        assert (row["score"], mark["reason"]) == (pytest.approx(0.97), "insult")
    assert len({row["output"]["text"] for row in found}) == 6, "no text twice"


async def test_deliveries_say_what_became_of_each_message(resolved: ClickHouseStore, start: Start) -> None:
    client = await start(resolved)
    found = (await one(client))["deliveries"]
    assert [(one["receiver"], one["status"], one["attempts"], one["error"], one["says"]) for one in found] == [
        ("pager", "failed", 1, "HTTP 401: no such key", "firing"),
        ("team", "sent", 2, "HTTP 503", "firing"),
    ]
    shown = await page(client)
    assert "HTTP 401: no such key" in shown


async def test_a_message_about_several_alerts_is_a_delivery_of_each(bare: ClickHouseStore, start: Start) -> None:
    line = {"alert_id": ALERT, "status": "firing", "title": "One of many"}
    group = {"alert_id": "other-1", "status": "firing", "title": "40 alerts", "alerts": [line]}
    insert(bare, "outbox_raw", [message("g1", "team", group, alert="other-1")])
    found = await one(await start(bare))
    assert [(one["receiver"], one["status"], one["attempts"]) for one in found["deliveries"]] == [
        ("team", "waiting", 0)
    ]
    assert found["title"] == "One of many"


async def test_the_timeline_is_in_the_order_in_which_it_happened(resolved: ClickHouseStore, start: Start) -> None:
    client = await start(resolved)
    await say(client, "notes", {"text": "Looking.", "author": "Ada"})
    found = (await one(client))["timeline"]
    assert [entry["kind"] for entry in found] == ["deploy", "transition", "delivery", "delivery", "transition", "note"]
    assert found == sorted(found, key=lambda entry: entry["at"])
    assert found[1]["text"] == "Firing (25 %, 40 rows; the rule fires at > 5 %)"
    assert found[-1]["text"] == "Ada: Looking."


async def test_the_page_answers_what_broke_since_when_how_bad_what_changed_and_what_to_do(
    resolved: ClickHouseStore, start: Start
) -> None:
    shown = await page(await start(resolved))
    head = shown[: shown.index("</section>")]
    for said in (
        "resolved · critical",
        "The assistant abuses customers: support",
        "08:00 UTC, 31 Jan",
        ", after 20m",
        "25 % (14.2 % to 40.2 %)",
        "model m-2: 50 % of its 60 rows",
        "Roll back the model.",
        'href="https://wiki.example/abuse"',
    ):
        assert said in head, said
    assert "<mark" in shown
    assert 'class="threshold"' in shown


async def test_texts_of_strangers_are_text(resolved: ClickHouseStore, start: Start) -> None:
    client = await start(resolved)
    await say(client, "notes", {"text": f"</p>{EVIL}", "author": "<b>Eve</b>"})
    shown = await page(client)
    assert "<img" not in shown
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown
    assert "<b>Eve" not in shown


async def test_the_page_needs_nothing_from_elsewhere_and_keeps_the_policy(
    resolved: ClickHouseStore, start: Start
) -> None:
    client = await start(resolved)
    for path in (f"/alerts/{ALERT}", "/alerts", "/alerts/none"):
        async with client.get(path) as response:
            shown = await response.text()
            assert response.headers["Content-Security-Policy"].startswith("default-src 'self'")
            assert "style=" not in shown, "the policy forbids it"
            assert "<script>" not in shown
            assert 'src="http' not in shown
    for name in ("incident.css", "incident.js"):
        await get(client, f"/ui/{name}")
    script = await get(client, "/ui/incident.js")
    assert not any(way in script for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("))


async def test_texts_are_not_read_where_none_may_be_stored(resolved: ClickHouseStore, start: Start) -> None:
    client = await start(resolved, text=False)
    found = (await one(client))["examples"]
    assert {row["output"]["text"] for row in found} == {""}
    assert INSULT not in await page(client)
    assert len(found) == 6


async def test_the_document_names_every_key_and_its_query_runs(resolved: ClickHouseStore, start: Start) -> None:
    text = (Path(__file__).parents[2] / "docs" / "incidents.md").read_text()
    table = text[text.index("| key | what it is |") :]
    named = {
        key for cell in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE) for key in re.findall(r"`(\w+)`", cell)
    }
    assert named == set(await one(await start(resolved)))
    for block in re.findall(r"```sql\n(.*?)```", text, re.DOTALL):
        resolved.query(block)


# What is not there


async def test_an_unknown_alert_is_a_404_that_leads_back(store: ClickHouseStore, start: Start) -> None:
    client = await start(store)
    shown = await page(client, "none-1%3Cb%3E", 404)
    assert 'href="/alerts"' in shown
    assert "There is no alert 'none-1&lt;b&gt;'" in shown
    assert "there is no alert" in (await get(client, "/api/v1/alerts/none-1", 404))["error"]
    for what, said in (("notes", {"text": "x"}), ("acknowledgements", {})):
        async with client.post(f"/api/v1/alerts/none-1/{what}", json=said) as response:
            assert response.status == 404


async def test_when_everything_behind_it_has_expired_what_was_told_is_left(
    store: ClickHouseStore, start: Start
) -> None:
    insert(store, "alerts_raw", [transition("firing", 0), transition("resolved", 3, frm="firing")])
    insert(store, "outbox_raw", [message("n1", "team", NOTE)])
    client = await start(store)
    found = await one(client)
    assert (found["examples"], found["numbers"]["points"], found["contributions"]["rows"]) == ([], [], 0)
    assert [said.partition(" have expired")[0] for said in found["missing"]] == [
        "The numbers of its windows",
        "The rows behind it",
    ]
    shown = await page(client)
    assert "What is missing here" in shown
    assert "(score 0.97)" in shown
    assert "SELECT 1" in shown


async def test_an_alert_whose_rule_has_gone_says_so(resolved: ClickHouseStore, start: Start) -> None:
    client = await start(resolved, rules=())
    found = await one(client)
    assert (found["condition"], found["runbook_url"]) == ("> 0.05", "https://wiki.example/abuse")
    assert "not in the configuration any more" in await page(client)


@pytest.mark.parametrize("state", ["pending", "recovering", "no_data", "error"])
async def test_every_state_has_a_page(store: ClickHouseStore, start: Start, state: str) -> None:
    traffic(store)
    numbers(store)
    nothing = {"value": float("nan"), "n": 0, "detail": '{"reason": "the detector failed"}'}
    steps = [transition(state, 2, **(nothing if state in ("no_data", "error") else {}))]
    insert(store, "alerts_raw", steps)
    client = await start(store)
    shown = await page(client)
    assert 'data-active="yes"' in shown
    assert (await one(client))["state"] == state
    if state in ("no_data", "error"):
        assert "there was no number" in shown
        assert "the detector failed" in shown
        assert "expired" not in shown


async def test_what_was_over_before_anybody_was_told_has_a_page_and_is_listed_only_when_asked_for(
    store: ClickHouseStore, start: Start
) -> None:
    insert(store, "alerts_raw", [transition("pending", 0), transition("inactive", 1, frm="pending")])
    client = await start(store)
    assert "cancelled" in await page(client)
    assert await get(client, "/api/v1/alerts") == []
    assert [one["alert_id"] for one in await get(client, "/api/v1/alerts?state=inactive")] == [ALERT]


# What people say


async def say(client: Client, what: str, said: dict[str, Any], status: int = 201, **headers: str) -> Any:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.post(f"/api/v1/alerts/{ALERT}/{what}", json=said, headers=sent) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def test_a_note_is_kept_and_the_same_one_sent_again_is_one(bare: ClickHouseStore, start: Start) -> None:
    client = await start(bare)
    first = await say(client, "notes", {"text": " Rolled back. ", "author": "Ada", "key": "k1"})
    assert await say(client, "notes", {"text": "Rolled back.", "author": "Ada", "key": "k1"}) == first
    await say(client, "notes", {"text": "Better."})
    found = (await one(client))["notes"]
    assert {(note["author"], note["text"], note["kind"]) for note in found} == {
        ("Ada", "Rolled back.", "note"),
        ("default", "Better.", "note"),
    }
    assert len(found) == 2
    assert "Rolled back." in await page(client)


async def test_an_acknowledgement_names_who_and_when_and_the_first_counts(bare: ClickHouseStore, start: Start) -> None:
    client = await start(bare)
    assert "I have it in hand" in await page(client)
    assert (await one(client))["acknowledgement"] is None
    await say(client, "acknowledgements", {"author": "Ada", "text": "on the train"})
    await say(client, "acknowledgements", {"author": "Bob"})
    await say(client, "acknowledgements", {"author": "Ada"})
    found = await one(client)
    said = {name: found["acknowledgement"][name] for name in ("author", "text", "at")}
    assert said == {"author": "Ada", "text": "on the train", "at": "2026-01-31T08:40:00Z"}
    assert sorted(note["author"] for note in found["notes"]) == ["Ada", "Bob"]
    stored = bare.query("SELECT DISTINCT alert_id FROM alert_notes WHERE kind = 'acknowledgement'").to_pylist()
    assert stored == [{"alert_id": ALERT}]
    shown = await page(client)
    assert "Ada has it in hand" in shown
    assert "I have it in hand" not in shown


@pytest.mark.parametrize(
    ("what", "said", "message"),
    [
        ("notes", {}, "text"),
        ("notes", {"text": "  "}, "text"),
        ("notes", {"text": "x" * 4001}, "text"),
        ("notes", {"text": "x", "author": ""}, "author"),
        ("notes", {"text": "x", "kind": "acknowledgement"}, "kind"),
        ("acknowledgements", {"author": "x" * 101}, "author"),
    ],
)
async def test_what_cannot_be_kept_is_refused_by_name(
    bare: ClickHouseStore, start: Start, what: str, said: dict[str, Any], message: str
) -> None:
    assert message in (await say(await start(bare), what, said, 400))["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://watch.example.evil.example"},
    ],
)
async def test_another_site_changes_nothing(bare: ClickHouseStore, start: Start, headers: dict[str, str]) -> None:
    client = await start(bare)
    for what, said in (("notes", {"text": "x"}), ("acknowledgements", {})):
        assert "another site" in (await say(client, what, said, 403, **headers))["error"]
    assert (await one(client))["notes"] == []


async def test_our_own_page_does_also_behind_a_proxy(bare: ClickHouseStore, start: Start) -> None:
    client = await start(bare)
    own = str(client.make_url("/")).rstrip("/")
    for origin in (own, "https://watch.example"):
        await say(client, "notes", {"text": "x"}, Origin=origin, Sec_Fetch_Site="same-origin")
    async with client.post(f"/api/v1/alerts/{ALERT}/notes", data={"text": "x"}) as response:
        assert response.status == 400, "a form is no JSON"


async def test_pages_notes_and_acknowledgements_need_the_login(bare: ClickHouseStore, start: Start) -> None:
    client = await start(bare, password="s3cret")
    for path in (f"/alerts/{ALERT}", "/alerts"):
        async with client.get(path) as response:
            assert response.status == 401
    await say(client, "acknowledgements", {}, 401)
    await say(client, "acknowledgements", {}, Authorization=encode_basic_auth("default", "s3cret"))


# The list


async def test_the_list_is_filtered_and_leads_to_each_alert(resolved: ClickHouseStore, start: Start) -> None:
    other = {"rule": "failing-calls", "severity": "error", "metric": "error.rate", "labels": [("application", "shop")]}
    insert(resolved, "alerts_raw", [transition("firing", 2, alert="bbbb-2", **other)])
    client = await start(resolved)

    async def ids(query: str) -> list[str]:
        return [one["alert_id"] for one in await get(client, f"/api/v1/alerts?{query}")]

    assert await ids("") == ["bbbb-2", ALERT], "what is active comes first"
    assert await ids("state=active") == ["bbbb-2"]
    assert await ids("state=resolved&severity=critical") == [ALERT]
    assert await ids("application=shop") == ["bbbb-2"]
    assert await ids("rule=toxic-answers&state=firing") == []
    assert await ids("limit=1") == ["bbbb-2"]
    shown = await get(client, "/alerts?state=active")
    assert f'href="/alerts/{ALERT}"' not in shown
    assert 'href="/alerts/bbbb-2"' in shown
    assert 'aria-current="true" href="/alerts?state=active"' in shown or 'href="/alerts?state=active"' in shown
    assert "severity=critical" in shown
    await get(client, "/api/v1/alerts?limit=1e3", 400)


async def test_alerts_of_the_application_at_the_same_time_are_named(resolved: ClickHouseStore, start: Start) -> None:
    late = {"since": T0 + timedelta(days=1), "at": T0 + timedelta(days=1, minutes=5)}
    insert(
        resolved,
        "alerts_raw",
        [
            transition("firing", 1, alert="bbbb-2", rule="failing-calls"),
            transition("firing", 1, alert="cccc-3", labels=[("application", "shop")]),
            transition("firing", 1, alert="dddd-4", **late),
        ],
    )
    found = (await one(await start(resolved)))["neighbours"]
    assert [(one["alert_id"], one["rule"], one["state"]) for one in found] == [("bbbb-2", "failing-calls", "firing")]


def test_silences_that_cover_it_are_part_of_it(bare: ClickHouseStore) -> None:
    silences = Silences(bare, ManualClock(NOW))
    for name in ("toxic-answers", "another"):
        silences.add([f"alertname={name}"], NOW + timedelta(days=1), "Ada", "known")
    found = Incidents(bare, Settings(segments=SegmentSettings(dimensions=("model",))), THRESHOLDS, ManualClock(NOW))
    assert [[str(one) for one in silence.matchers] for silence in found.find(ALERT).silences] == [
        ['alertname="toxic-answers"']
    ]
