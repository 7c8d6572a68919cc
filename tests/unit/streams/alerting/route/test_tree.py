"""The tree of routes finds the receivers that Alertmanager's would."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from inferwatch.streams.alerting.route.tree import tree

ROUTES = [
    {
        "matchers": ["application=shop"],
        "receivers": ["shop"],
        "group_wait": "30s",
        "routes": [
            {"matchers": ["severity=critical"], "receivers": ["pager"], "group_by": ["..."]},
            {"matchers": ["tenant=~a|b"]},
        ],
    },
    {"matchers": ["severity=~error|critical"], "receivers": ["audit"], "continue": True},
    {"matchers": ["application=bank"], "receivers": ["bank"], "mute_time_intervals": []},
    {"matchers": ["application=bank"], "receivers": ["never"]},
]


def found(routing: Callable[..., Any], **labels: str) -> list[tuple[str, ...]]:
    return [node.receivers for node in tree(routing(receivers=["all"], routes=ROUTES)).match(labels)]


def test_the_first_route_that_matches_takes_it_and_the_deepest_below_it(routing: Callable[..., Any]) -> None:
    assert found(routing, application="shop", severity="warning") == [("shop",)]
    assert found(routing, application="shop", severity="critical", tenant="a") == [("pager",)]
    assert found(routing, application="shop", severity="warning", tenant="b") == [("shop",)]


def test_with_continue_the_later_ones_get_it_too(routing: Callable[..., Any]) -> None:
    assert found(routing, application="bank", severity="error") == [("audit",), ("bank",)]
    assert found(routing, application="bank", severity="info") == [("bank",)]
    assert found(routing, application="else", severity="error") == [("audit",)]


def test_what_no_route_takes_stays_with_the_root(routing: Callable[..., Any]) -> None:
    assert found(routing, application="else", severity="info") == [("all",)]


def test_what_is_not_given_is_as_in_the_route_above(routing: Callable[..., Any]) -> None:
    root = tree(routing(routes=ROUTES, repeat_interval="4h", group_interval="5m"))
    [shop, *_] = root.below
    pager, tenants = shop.below
    assert (root.group_by, shop.group_by, pager.group_by) == (("alertname", "application"),) * 2 + (("...",),)
    assert [one.group_wait for one in (root, shop, pager, tenants)] == [timedelta(0)] + [timedelta(seconds=30)] * 3
    assert tenants.repeat_interval == timedelta(hours=4)
    assert tenants.receivers == ("shop",)
    assert pager.key == '{}/{application="shop"}/{severity="critical"}'
