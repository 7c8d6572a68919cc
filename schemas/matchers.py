"""Matchers: what a silence, a route or an inhibition says about an alert's labels, as Alertmanager writes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator

_MATCHER = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*?)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
LONGEST = 1000
"""Most characters of a matcher."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """A comparison of one label: ``=``, ``!=``, or with a regular expression that must match all of it, ``=~``, ``!~``.

    A label that an alert does not have counts as the empty text, so ``team!=search`` matches alerts without a team.

    References:
        Alertmanager, "Configuration", section Matcher. Regular expressions are Python's instead of RE2's.
    """

    label: str
    operator: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Matcher:
        r"""Read ``label=value`` or ``label=~"a|b"``; a value may be quoted, with ``\"``, ``\\`` and ``\n`` inside.

        >>> Matcher.parse('tenant =~ "a|b"').holds({"tenant": "b"}), Matcher.parse("a!=b").holds({})
        (True, True)

        Raises:
            ValueError: it is neither, or its regular expression is none.
        """
        return _parse(text)

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Return whether ``labels`` satisfy it."""
        value = labels.get(self.label, "")
        if self.operator in ("=", "!="):
            return (value == self.value) == (self.operator == "=")
        return (_compiled(self.value).fullmatch(value) is not None) == (self.operator == "=~")

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.label}{self.operator}"{escaped}"'


def all_hold(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Return whether ``labels`` satisfy every one of ``matchers``; of none, they do."""
    return all(one.holds(labels) for one in matchers)


@lru_cache(maxsize=4096)
def _parse(text: str) -> Matcher:
    found = _MATCHER.fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        raise ValueError(f'must be a matcher such as severity=critical or tenant=~"a|b", got {text[:LONGEST]!r}')
    label, operator, value = found.groups()
    if value.startswith('"'):
        quoted = _QUOTED.fullmatch(value)
        if quoted is None:
            raise ValueError(f"must end its value with the quote that it begins with, got {text!r}")
        value = _ESCAPE.sub(lambda one: "\n" if one[1] == "n" else one[1], quoted[1])
    if "~" in operator:
        try:
            _compiled(value)
        except re.error as error:
            raise ValueError(f"must have a regular expression after {operator}, got {value!r}: {error}") from error
    return Matcher(label, operator, value)


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.DOTALL)


def _checked(text: str) -> str:
    Matcher.parse(text)
    return text


MatcherText = Annotated[str, AfterValidator(_checked)]
"""A matcher in the configuration."""
