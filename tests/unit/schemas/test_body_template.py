"""Placeholders of a webhook's body."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.schemas.body_template import FIELDS, check, fill

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "template", ["$", "${", "$x", "${title", "${titel}", "${}", "${labels.}", "${title.x}", "a ${ title }"]
)
def test_what_is_no_placeholder_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"has"):
        check({"a": [template]})
    with pytest.raises(ValueError, match=r"has"):
        check({template: 1})


@pytest.mark.parametrize(
    "template", ["", "no dollar", "$$5", "$${title}", *(f"${{{name}}}" for name in FIELDS), "${labels.tags.x}"]
)
def test_what_is_one_is_taken(template: str) -> None:
    check({"a": {"b": [template]}})


def test_two_dollars_are_one() -> None:
    assert fill("$${title} costs $$5", {"title": "x"}) == "${title} costs $5"


@given(JSON)
def test_a_value_alone_stays_what_it_is(value: Any) -> None:
    assert fill({"a": "${value}"}, {"value": value}) == {"a": value}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_a_text_within_a_text_is_never_read_again(value: str) -> None:
    filled = fill({"a": "x ${title} y", "${title}": 1}, {"title": value})
    assert filled == {"a": f"x {value} y", value: 1}
    assert json.loads(json.dumps(filled)) == filled
