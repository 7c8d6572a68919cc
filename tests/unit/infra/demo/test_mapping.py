import pytest

from inferwatch.infra.demo.mapping import Rule, apply_map, parse_map
from inferwatch.schemas.errors import Misconfigured

RECORD = {
    "instruction": "why?",
    "choices": [{"message": {"content": "because"}}],
    "generator": "m-1",
    "stats": {"in": 7},
    "dataset": "d",
}


def test_paths_lists_and_constants_are_followed() -> None:
    rules = parse_map(
        ["input=instruction", "output=choices.0.message.content", "model = generator", "application='help desk'"]
    )
    found = apply_map(rules, RECORD)
    assert found == {
        "input": "why?",
        "output": "because",
        "model": "m-1",
        "application": "help desk",
        "stats": {"in": 7},
        "dataset": "d",
    }


def test_members_of_usage_and_tags_can_be_mapped() -> None:
    found = apply_map(parse_map(["usage.input_tokens=stats.in", "tags.set=dataset", "tags.n=stats.in"]), RECORD)
    assert found["usage"] == {"input_tokens": 7}
    assert found["tags"] == {"set": "d", "n": "7"}


def test_what_is_not_there_stays_absent() -> None:
    found = apply_map(parse_map(["input=nowhere.at.all", "output=choices.4.message"]), RECORD)
    assert "input" not in found
    assert "output" not in found


def test_a_constant_may_hold_an_equals_sign() -> None:
    assert parse_map(['model="a=b"']) == (Rule("model", constant="a=b"),)


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("input", "field=path"),
        ("=x", "field=path"),
        ("input=", "field=path"),
        ("answer=output", "'answer' is not a field"),
        ("usage.tokens=n", "usage.input_tokens"),
        ("input.text=x", "members"),
    ],
)
def test_a_wrong_option_says_what_is_allowed(option: str, named: str) -> None:
    with pytest.raises(Misconfigured, match=r"--map") as error:
        parse_map([option])
    assert named in str(error.value)


def test_a_field_is_mapped_once() -> None:
    with pytest.raises(Misconfigured, match="twice"):
        parse_map(["input=a", "input=b"])
