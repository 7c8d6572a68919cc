"""The tree of routes: which receivers an alert goes to, and how each of them wants it. Pure.

References:
    Alertmanager, "Configuration", section route; its package ``dispatch``, ``Route.Match``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from inferwatch.schemas.matchers import Matcher, all_hold
from inferwatch.schemas.routing import Route, Routed, RoutingSettings


@dataclass(frozen=True, slots=True)
class Node:
    """A route with everything that it has from those above it.

    ``key`` names it by the matchers on the way to it. ``receivers`` is empty where the rule's own are meant. Mute and
    active times are not handed down.
    """

    key: str
    matchers: tuple[Matcher, ...]
    receivers: tuple[str, ...]
    group_by: tuple[str, ...]
    group_wait: timedelta
    group_interval: timedelta
    repeat_interval: timedelta | None
    mute: tuple[str, ...]
    active: tuple[str, ...]
    goes_on: bool
    below: tuple[Node, ...]

    def match(self, labels: Mapping[str, str]) -> list[Node]:
        """Return the routes that an alert of ``labels`` takes, in the order of the configuration."""
        if not all_hold(self.matchers, labels):
            return []
        found: list[Node] = []
        for node in self.below:
            below = node.match(labels)
            found += below
            if below and not node.goes_on:
                break
        return found or [self]


def tree(routing: RoutingSettings) -> Node:
    """Return the root."""
    return _node(routing, None)


def _node(route: Routed, above: Node | None) -> Node:
    matchers = tuple(Matcher.parse(text) for text in route.matchers) if isinstance(route, Route) else ()
    own = f"{{{','.join(map(str, matchers))}}}"
    group_by, wait, interval, repeat = route.group_by, route.group_wait, route.group_interval, route.repeat_interval
    if above is not None:
        group_by = above.group_by if group_by is None else group_by
        wait = above.group_wait if wait is None else wait
        interval = above.group_interval if interval is None else interval
        repeat = above.repeat_interval if repeat is None else repeat
    node = Node(
        key=own if above is None else f"{above.key}/{own}",
        matchers=matchers,
        receivers=route.receivers or (() if above is None else above.receivers),
        group_by=group_by or (),
        group_wait=wait or timedelta(0),
        group_interval=interval or timedelta(0),
        repeat_interval=repeat,
        mute=route.mute_time_intervals,
        active=route.active_time_intervals,
        goes_on=isinstance(route, Route) and route.continue_,
        below=(),
    )
    return replace(node, below=tuple(_node(one, node) for one in route.routes))
