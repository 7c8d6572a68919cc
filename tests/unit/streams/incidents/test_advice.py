"""What is said to have changed, and what to do first, follows from what was found."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from math import nan

from inferwatch.schemas.windows import Window
from inferwatch.streams.incidents.advice import first_steps, what_changed
from inferwatch.streams.incidents.contributors import Contributions, Contributor
from inferwatch.streams.incidents.deliveries import Message
from inferwatch.streams.incidents.surroundings import Deploy
from inferwatch.streams.incidents.timeline import timeline, told
from tests.support.incidents import SIZE, T0, episode, incident, step

MODEL = Contributor("model", "m-2", 120, 0.97, 0.4, 0.23, 0.2, 0.3, 0.004, nan, 0, carries=True)
TENANT = replace(MODEL, dimension="tenant", value="a", carries=False)


def shares(*segments: Contributor) -> Contributions:
    return Contributions(Window(T0, T0 + SIZE), "a bad row", 300, 30.0, segments)


def deploy(before: timedelta) -> Deploy:
    return Deploy("prompt_version", "v8", "v7", T0 - before, T0 - before)


def test_segments_that_carry_it_are_named_and_others_are_not() -> None:
    assert what_changed(incident(contributions=shares(MODEL, TENANT))) == [
        "model m-2: 23 % of its 120 rows, 0.4 % elsewhere, not seen before; 97 % of all bad rows."
    ]


def test_where_no_segment_stands_out_that_is_said() -> None:
    assert what_changed(incident(contributions=shares(TENANT))) == [
        "No segment stands out: it is spread over all values of tenant."
    ]
    assert what_changed(incident()) == []


def test_a_deploy_is_named_while_it_may_have_to_do_with_it() -> None:
    found = incident(deploys=(deploy(timedelta(hours=9)), deploy(timedelta(minutes=20)), deploy(timedelta(0))))
    assert what_changed(found) == [
        "prompt_version v8 took over from v7 at 13:40 UTC, 20m before.",
        "prompt_version v8 took over from v7 at 14:00 UTC, as it began.",
    ]
    later = incident(deploys=(deploy(-timedelta(minutes=5)),))
    assert what_changed(later) == ["prompt_version v8 took over from v7 at 14:05 UTC, 5m after it began."]


def test_the_rules_author_speaks_first_then_the_deploy_or_the_segment() -> None:
    found = incident(description="Read them.\n\nCall Ada.", contributions=shares(MODEL))
    assert first_steps(found) == [
        "Read them.",
        "Call Ada.",
        "Most of it is model m-2: send its traffic elsewhere, if that is possible.",
    ]
    near = replace(found, description="", deploys=(deploy(timedelta(minutes=20)),))
    assert first_steps(near) == ["prompt_version v8 is new since 13:40 UTC: try v7 again."]
    after = replace(found, description="", deploys=(deploy(-timedelta(minutes=20)),))
    assert first_steps(after) == ["Most of it is model m-2: send its traffic elsewhere, if that is possible."]


def test_there_is_always_something_to_do() -> None:
    assert first_steps(incident(contributions=shares(replace(MODEL, dimension="tenant")))) == [
        "Read the examples: are they what the number says?"
    ]


def test_a_step_says_number_and_rule_and_a_silence_its_reason() -> None:
    nothing = step("firing", "no_data", 3, value=nan, n=0, detail={"reason": "no data"})
    found = incident(episode=episode(step("inactive", "firing", 0), nothing))
    assert [entry.text for entry in timeline(found)] == [
        "Firing (30 %, 40 rows; the rule fires at > 2 %)",
        "No data: there is no number any more (no data)",
    ]


def test_a_message_says_what_became_of_it() -> None:
    sent = Message("n", "team", "firing", T0, "sent", 2, "HTTP 503", T0, None)
    assert told(sent) == "team was told: firing, 2 attempts"
    failed = replace(sent, status="failed", error="HTTP 401", attempts=1)
    assert told(failed) == "team could not be told: firing (HTTP 401)"
