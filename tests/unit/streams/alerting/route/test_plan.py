"""What is told to whom, when, and why not: the stages together."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from inferwatch.schemas.alerts import State
from inferwatch.schemas.matchers import Matcher
from inferwatch.schemas.routing import RoutingSettings
from inferwatch.schemas.rules import Severity
from inferwatch.streams.alerting.route.alert import NOBODY, Alert
from inferwatch.streams.alerting.route.dedup import Held, News
from inferwatch.streams.alerting.route.log import GroupKey, Log, Told
from inferwatch.streams.alerting.route.plan import Flush, Plan, plan
from inferwatch.streams.alerting.route.silence import Silence

Make = Callable[..., Any]
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NIGHT = {
    "mute_time_intervals": ["night"],
    "time_intervals": [
        {"name": "night", "time_intervals": [{"times": [{"start_time": "12:00", "end_time": "13:00"}]}]}
    ],
}


@dataclass
class World:
    """Alerts, and a log kept as the store keeps it: each message takes the place of the one before it."""

    routing: RoutingSettings
    now: datetime = START
    alerts: dict[str, Alert] = field(default_factory=dict)
    silences: list[Silence] = field(default_factory=list)
    last: dict[GroupKey, Told] = field(default_factory=dict)
    sent: list[Flush] = field(default_factory=list)

    def fires(self, *alerts: Alert) -> None:
        for one in alerts:
            self.alerts[one.alert_id] = replace(one, known_at=self.now, at=self.now)

    def resolves(self, *names: str) -> None:
        for name in names:
            labels = {**self.alerts[name].labels, "state": "resolved"}
            self.alerts[name] = replace(self.alerts[name], state=State.RESOLVED, at=self.now, labels=labels)

    def silence(self, *matchers: str, minutes: int = 60) -> None:
        parsed = tuple(Matcher.parse(one) for one in matchers)
        self.silences.append(Silence("s", parsed, self.now, self.now + minutes * MINUTE, "ann", "known", self.now))

    def look(self) -> Plan:
        believed = Log(self.last).active()
        standing = [one for one in self.alerts.values() if one.active or one.alert_id in believed]
        found = plan(standing, self.silences, Log(self.last), self.routing, self.now)
        for flush in found.flushes:
            self.last[flush.key] = Told(flush.id, flush.told, self.now, flush.at, flush.dedup_key)
        self.sent += found.flushes
        return found

    def after(self, minutes: float) -> Plan:
        self.now += minutes * MINUTE
        return self.look()


def said(found: Plan) -> list[tuple[str, str, dict[str, str]]]:
    """Return (receiver, why, alert -> state) of each message."""
    return [
        (flush.key.receiver, flush.reason.value, {one.alert_id: one.state.value for one in flush.alerts})
        for flush in found.flushes
    ]


def held(found: Plan) -> set[tuple[str, Held]]:
    return {(one.alert_id, one.reason) for one in found.suppressed}


def test_without_settings_each_alert_goes_to_its_rules_receivers_at_once(alert: Make, routing: Make) -> None:
    world = World(routing())
    world.fires(alert("a", receivers=("team", "pager")), alert("b", rule="slow"), alert("c", application="bank"))
    assert said(world.look()) == [
        ("team", "first alerts", {"a": "firing"}),
        ("pager", "first alerts", {"a": "firing"}),
        ("team", "first alerts", {"b": "firing"}),
        ("team", "first alerts", {"c": "firing"}),
    ]
    assert said(world.after(600)) == []
    world.resolves("a")
    assert [(to, why) for to, why, _ in said(world.look())] == [("team", "all resolved"), ("pager", "all resolved")]
    assert said(world.after(600)) == []


def test_what_changes_while_a_group_waits_is_one_message(alert: Make, routing: Make) -> None:
    world = World(routing(group_wait="30s", group_interval="5m"))
    world.fires(alert("a"), alert("short"))
    assert (said(world.look()), held(world.look())) == ([], {("a", Held.WAITING), ("short", Held.WAITING)})
    world.now += MINUTE / 4
    world.fires(alert("b", severity=Severity.CRITICAL))
    world.resolves("short")
    assert said(world.after(0.25)) == [("team", "first alerts", {"b": "firing", "a": "firing"})]
    world.fires(alert("c"))
    world.resolves("a")
    found = world.after(1)
    assert (said(found), held(found)) == ([], {("a", Held.WAITING), ("c", Held.WAITING)})
    assert said(world.after(4)) == [("team", "more alerts", {"b": "firing", "c": "firing", "a": "resolved"})]
    world.resolves("b", "c")
    assert said(world.after(5)) == [("team", "all resolved", {"b": "resolved", "c": "resolved"})]


def test_a_new_group_waits_again(alert: Make, routing: Make) -> None:
    world = World(routing(group_wait="1m"))
    world.fires(alert("a"))
    assert len(world.after(1).flushes) == 1
    world.resolves("a")
    assert len(world.look().flushes) == 1
    world.fires(alert("b"))
    assert said(world.look()) == []
    [flush] = world.after(1).flushes
    assert (flush.reason, flush.dedup_key) == (News.FIRST, "inferwatch/b")
    assert [one.dedup_key for one in world.sent] == ["inferwatch/a", "inferwatch/a", "inferwatch/b"]


def test_a_dedup_key_lasts_until_all_of_the_group_is_over(alert: Make, routing: Make) -> None:
    world = World(routing())
    world.fires(alert("a"))
    world.look()
    world.fires(alert("b"))
    world.look()
    world.resolves("a")
    [flush] = world.look().flushes
    assert (flush.state, flush.reason) == (State.FIRING, News.RESOLVED)
    world.resolves("b")
    [flush] = world.look().flushes
    assert (flush.state, flush.reason) == (State.RESOLVED, News.ALL_RESOLVED)
    assert {one.dedup_key for one in world.sent} == {"inferwatch/a"}


def test_what_is_over_before_it_was_told_is_never_told(alert: Make, routing: Make) -> None:
    world = World(routing(group_wait="5m"))
    world.fires(alert("a"))
    world.after(1)
    world.resolves("a")
    assert [said(world.after(10)) for _ in range(3)] == [[], [], []]


def test_a_silence_holds_back_what_fires_and_not_the_end_of_what_was_told(alert: Make, routing: Make) -> None:
    world = World(routing())
    world.fires(alert("told"))
    world.look()
    world.silence("application=shop")
    world.fires(alert("new"))
    world.resolves("told")
    found = world.look()
    assert said(found) == [("team", "all resolved", {"told": "resolved"})]
    assert held(found) == {("new", Held.SILENCED)}
    assert said(world.after(59)) == []
    assert said(world.after(1)) == [("team", "first alerts", {"new": "firing"})]


def test_what_fired_and_ended_under_a_silence_is_never_told(alert: Make, routing: Make) -> None:
    world = World(routing())
    world.silence('model=~"a|b"')
    world.fires(alert("a"), alert("c"))
    assert said(world.look()) == [("team", "first alerts", {"c": "firing"})]
    world.resolves("a")
    assert [said(world.after(30)) for _ in range(4)] == [[]] * 4


def test_an_inhibited_alert_is_told_once_what_explains_it_is_over(alert: Make, routing: Make) -> None:
    rule = {"source_matchers": ["severity=critical"], "target_matchers": ["severity=warning"], "equal": ["application"]}
    world = World(routing(inhibit_rules=[rule]))
    world.fires(alert("outage", rule="down", severity=Severity.CRITICAL), alert("a"))
    found = world.look()
    assert (said(found), held(found)) == (
        [("team", "first alerts", {"outage": "firing"})],
        {("a", Held.INHIBITED)},
    )
    world.resolves("outage")
    assert [message[2] for message in said(world.look())] == [{"outage": "resolved"}, {"a": "firing"}]


def test_in_a_mute_time_nothing_is_sent_and_then_what_is_still_so(alert: Make, routing: Make) -> None:
    world = World(routing(**NIGHT), now=START - MINUTE)
    world.fires(alert("before"))
    assert len(world.look().flushes) == 1
    world.now = START
    world.fires(alert("short"), alert("lasting"))
    world.resolves("before")
    found = world.look()
    assert (said(found), held(found)) == ([], {(name, Held.MUTED) for name in ("before", "short", "lasting")})
    world.resolves("short")
    assert said(world.after(59)) == []
    assert said(world.after(1)) == [("team", "more alerts", {"lasting": "firing", "before": "resolved"})]


def test_outside_of_its_active_times_a_route_sends_nothing(alert: Make, routing: Make) -> None:
    active = NIGHT | {"active_time_intervals": ["night"], "mute_time_intervals": []}
    world = World(routing(**active), now=START - MINUTE)
    world.fires(alert("a"))
    assert said(world.look()) == []
    assert len(world.after(1).flushes) == 1


def test_what_lasts_is_repeated_until_somebody_has_it_in_hand(alert: Make, routing: Make) -> None:
    world = World(routing(repeat_interval="4h"))
    world.fires(alert("a"), alert("b"))
    world.look()
    assert said(world.after(239)) == []
    assert said(world.after(1)) == [("team", "repeat", {"a": "firing", "b": "firing"})]
    world.alerts["a"] = replace(world.alerts["a"], acknowledged=True)
    assert [why for _, why, _ in said(world.after(240))] == ["repeat"]
    world.alerts["b"] = replace(world.alerts["b"], acknowledged=True)
    found = world.after(240)
    assert (said(found), held(found)) == ([], {("a", Held.ACKNOWLEDGED), ("b", Held.ACKNOWLEDGED)})
    world.resolves("a", "b")
    assert [why for _, why, _ in said(world.look())] == ["all resolved"]
    assert len({flush.id for flush in world.sent}) == len(world.sent) == 4


def test_data_that_stop_coming_are_news_of_the_same_alert(alert: Make, routing: Make) -> None:
    world = World(routing())
    world.fires(alert("a"))
    world.look()
    world.fires(alert("a", state=State.NO_DATA))
    assert said(world.look()) == [("team", "changed alerts", {"a": "no_data"})]
    world.fires(alert("a"))
    assert said(world.look()) == []
    world.resolves("a")
    assert said(world.look()) == [("team", "all resolved", {"a": "resolved"})]


def test_two_routes_to_one_receiver_tell_it_once(alert: Make, routing: Make) -> None:
    routes = [
        {"matchers": ["severity=warning"], "receivers": ["team"], "continue": True, "group_by": ["severity"]},
        {"matchers": ["application=shop"], "receivers": ["team", "shop"]},
    ]
    world = World(routing(routes=routes))
    world.fires(alert("a"))
    assert [to for to, _, _ in said(world.look())] == ["team", "shop"]
    assert said(world.after(1)) == []


def test_new_routes_tell_nothing_again_and_the_end_reaches_who_knows_the_beginning(alert: Make, routing: Make) -> None:
    world = World(routing())
    world.fires(alert("a"))
    world.look()
    world.routing = routing(group_by=["severity"], routes=[{"matchers": ["application=shop"], "receivers": ["pager"]}])
    assert said(world.look()) == [("pager", "first alerts", {"a": "firing"})]
    world.resolves("a")
    assert {(to, why) for to, why, _ in said(world.look())} == {("pager", "all resolved"), ("team", "all resolved")}


def test_what_there_was_nobody_to_tell_is_not_told_to_those_who_come_later(alert: Make, routing: Make) -> None:
    world = World(routing())
    world.fires(alert("old", receivers=()))
    assert [to for to, _, _ in said(world.look())] == [NOBODY]
    world.alerts["old"] = replace(world.alerts["old"], receivers=("team",))
    world.fires(alert("new"))
    assert said(world.look()) == [("team", "first alerts", {"new": "firing"})]
    world.resolves("old", "new")
    assert [(to, shown) for to, _, shown in said(world.look())] == [
        (NOBODY, {"old": "resolved"}),
        ("team", {"new": "resolved"}),
    ]


def test_a_receiver_is_not_told_of_itself(alert: Make, routing: Make) -> None:
    routes = [{"matchers": ["severity=critical"], "receivers": ["pager"]}]
    world = World(routing(routes=routes))
    down = alert("down", receivers=("team", "pager"), about="pager", severity=Severity.CRITICAL)
    world.fires(down)
    assert [to for to, _, _ in said(world.look())] == ["team"]
    alone = World(routing())
    alone.fires(replace(down, receivers=("pager",)))
    assert [to for to, _, _ in said(alone.look())] == [NOBODY]


def test_a_group_of_which_two_processes_wrote_waits_for_which_of_them_counts(alert: Make, routing: Make) -> None:
    world = World(routing())
    world.fires(alert("a"))
    world.look()
    [key] = world.last
    world.last[key] = replace(world.last[key], forked=True)
    world.resolves("a")
    found = world.look()
    assert (said(found), held(found), found.waiting) == ([], {("a", Held.WAITING)}, True)


def test_a_message_is_a_function_of_what_it_tells_and_what_was_told_before(alert: Make, routing: Make) -> None:
    one, two = World(routing()), World(routing())
    for world in (one, two):
        world.fires(alert("a"), alert("b"))
    two.now += MINUTE
    two.alerts = dict(reversed(two.alerts.items()))
    assert [flush.id for flush in one.look().flushes] == [flush.id for flush in two.look().flushes]
    two.fires(alert("c"))
    assert one.sent[0].id != two.look().flushes[0].id


@pytest.mark.parametrize("by", [["alertname", "application"], []])
def test_a_storm_is_one_message_for_each_receiver(alert: Make, routing: Make, by: list[str]) -> None:
    world = World(routing(group_by=by))
    world.fires(*(alert(f"m-{place}", receivers=("team", "pager")) for place in range(5000)))
    started = time.perf_counter()
    found = world.look()
    took = time.perf_counter() - started
    assert [(flush.key.receiver, len(flush.alerts)) for flush in found.flushes] == [("team", 5000), ("pager", 5000)]
    assert took < 5


# Whatever happens ------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["fire", "resolve", "no data", "silence", "wait", "look", "acknowledge"]),
        st.integers(0, 5),
        st.integers(0, 40),
    ),
    min_size=6,
    max_size=40,
)
ROUTINGS: Sequence[dict[str, Any]] = (
    {},
    {"group_by": ["..."]},
    {"group_by": [], "group_wait": "2m", "group_interval": "10m"},
    {"group_wait": "1m", "group_interval": "5m", "repeat_interval": "30m"} | NIGHT,
    {
        "inhibit_rules": [{"source_matchers": ["model=m-0"], "target_matchers": ["model=~m-[123]"]}],
        "routes": [{"matchers": ["model=~m-[0-2]"], "receivers": ["pager", "team"], "continue": True}, {}],
    },
)


@examples(max_examples=400)
@given(STEPS, st.sampled_from(ROUTINGS))
def test_whatever_happens_nothing_is_lost_and_nothing_told_twice(
    steps: list[tuple[str, int, int]], keys: dict[str, Any]
) -> None:
    world = World(RoutingSettings.model_validate(keys))
    episodes: Counter[int] = Counter()
    for what, which, minutes in steps:
        name = f"{which}.{episodes[which]}"
        current = world.alerts.get(name)
        match what:
            case "fire" if current is None or current.active:
                world.fires(_alert(name, which, State.FIRING))
            case "no data" if current is not None and current.active:
                world.fires(_alert(name, which, State.NO_DATA))
            case "resolve" if current is not None and current.active:
                world.resolves(name)
                episodes[which] += 1
            case "acknowledge" if current is not None:
                world.alerts[name] = replace(current, acknowledged=True)
            case "silence":
                world.silence(f"model=m-{which}", minutes=minutes + 1)
            case "wait":
                world.now += minutes * MINUTE
        _looked(world)
    active = {name for name, one in world.alerts.items() if one.active}
    for _ in range(4):
        world.now += 61 * MINUTE
        _looked(world)
    inhibited = {f"{place}.{episodes[place]}" for place in (1, 2, 3)} if "inhibit_rules" in keys else set()
    if f"0.{episodes[0]}" not in active:
        inhibited = set()
    told = _told(world.sent)
    for name in active - inhibited:
        for receiver in ["team", "pager"] if "routes" in keys and int(name[0]) <= 2 else ["team"]:
            assert told.get((receiver, name), ["untold"])[-1] in {world.alerts[name].state, State.NO_DATA}
    for states in told.values():
        # Active first, then over, each once; between them only a change of what is the matter.
        assert states[0] != "resolved"
        assert "resolved" not in states[:-1]
        assert all(one != two for one, two in pairwise(states))
    for (_, name), states in told.items():
        assert (states[-1] == "resolved") == (not world.alerts[name].active)


def _alert(name: str, which: int, state: State) -> Alert:
    from inferwatch.streams.alerting.route.alert import matching_labels

    own = {"application": "shop" if which % 2 else "bank", "model": f"m-{which}"}
    labels = matching_labels("toxic", Severity.WARNING, "m", state, own)
    return Alert(name, "toxic", Severity.WARNING, labels, state, START, START, START, ("team",))


def _looked(world: World) -> None:
    """Look twice: the second time there is nothing left to say."""
    before = len(world.sent)
    world.look()
    ids = [flush.id for flush in world.sent]
    assert len(set(ids)) == len(ids)
    assert len({flush.key for flush in world.sent[before:]}) == len(world.sent) - before
    assert said(world.look()) == []


def _told(sent: Iterable[Flush]) -> dict[tuple[str, str], list[str]]:
    """Return (receiver, alert) -> what it was told of it, message by message, without what it knew."""
    found: dict[tuple[str, str], list[str]] = {}
    for flush in sent:
        for one in flush.alerts:
            states = found.setdefault((flush.key.receiver, one.alert_id), [])
            if not states or states[-1] != one.state.value:
                states.append(one.state.value)
    return found
