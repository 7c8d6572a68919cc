"""Matchers read what Alertmanager's read, and mean the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.schemas.matchers import Matcher

LABELS = {"severity": "critical", "tenant": "a", "tags.team": "search"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("severity=critical", True),
        ("severity = critical ", True),
        ('severity="critical"', True),
        ("severity!=critical", False),
        ("tenant=~a|b", True),
        ('tenant=~"a.+"', False),
        ("tenant=~.*", True),
        ("tenant!~[b-z]", True),
        ("tags.team=search", True),
        # A label that is not there is the empty text.
        ("model=", True),
        ('model=""', True),
        ("model!=m-1", True),
        ("model=~m-.*", False),
        ("model!~.+", True),
        # All of the value must match.
        ("severity=~crit", False),
    ],
)
def test_a_matcher_means_what_alertmanagers_means(text: str, holds: bool) -> None:
    assert Matcher.parse(text).holds(LABELS) is holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be a matcher"),
        ("severity", "must be a matcher"),
        ("=critical", "must be a matcher"),
        ("9x=1", "must be a matcher"),
        ('a="b', "must end its value with the quote"),
        ('a="b"c', "must end its value with the quote"),
        ("a=~(", "must have a regular expression"),
        ("a=" + "x" * 2000, "must be a matcher"),
    ],
)
def test_what_is_no_matcher_is_refused_with_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Matcher.parse(text)


@given(
    st.from_regex(r"[a-z_][a-z0-9_]{0,9}", fullmatch=True),
    st.sampled_from(["=", "!="]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
)
def test_what_is_written_is_read_back(label: str, operator: str, value: str) -> None:
    matcher = Matcher(label, operator, value)
    assert Matcher.parse(str(matcher)) == matcher
    assert matcher.holds({label: value}) is (operator == "=")
