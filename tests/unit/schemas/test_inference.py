"""What counts as an inference log, and the reason given when something does not."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.schemas.errors import InvalidRecord
from inferwatch.schemas.inference import InferenceLog, parse

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
GOOD = {"id": "a", "timestamp": "2026-03-01T12:00:00Z", "application": "shop", "input": "hello"}


def test_text_and_epoch_timestamps_mean_the_same_instant() -> None:
    assert parse(GOOD).timestamp == parse(GOOD | {"timestamp": AT.timestamp() * 1000}).timestamp == AT


def test_another_zone_becomes_utc() -> None:
    assert parse(GOOD | {"timestamp": "2026-03-01T14:00:00+02:00"}).timestamp == AT


@pytest.mark.parametrize(
    ("change", "reason", "named"),
    [
        ({"id": None}, "missing_field", "'id'"),
        ({"application": None}, "missing_field", "'application'"),
        ({"timestamp": None}, "missing_field", "'timestamp'"),
        ({"input": None}, "missing_field", "'output'"),
        ({"input": "  ", "output": ""}, "empty_text", "'input'"),
        ({"id": 7}, "wrong_type", "'id'"),
        ({"latency_ms": "slow"}, "wrong_type", "'latency_ms'"),
        ({"latency_ms": -1}, "wrong_type", "'latency_ms'"),
        ({"usage": {"input_tokens": 2**40}}, "wrong_type", "'usage.input_tokens'"),
        ({"tags": {"a": 1}}, "wrong_type", "'tags.a'"),
        ({"contexts": "one text"}, "wrong_type", "'contexts'"),
        ({"timestamp": "yesterday"}, "timestamp_invalid", "'yesterday'"),
        ({"timestamp": "2026-03-01T12:00:00"}, "timestamp_invalid", "timezone"),
        ({"timestamp": True}, "timestamp_invalid", "boolean"),
        ({"timestamp": 10**18}, "timestamp_invalid", "epoch milliseconds"),
        ({"timestamp": AT.timestamp()}, "timestamp_too_old", "not seconds"),
        ({"timestamp": "1970-01-01T00:00:00Z"}, "timestamp_too_old", "1970-01-01"),
        ({"timestamp": "2100-01-01T00:00:00Z"}, "timestamp_in_future", "2100-01-01"),
        ({"schema_version": 2}, "unknown_schema_version", "2"),
        ({"schema_version": "one"}, "unknown_schema_version", "'one'"),
    ],
)
def test_a_bad_record_says_which_field_and_why(change: dict[str, object], reason: str, named: str) -> None:
    with pytest.raises(InvalidRecord) as error:
        parse(GOOD | change, latest=AT + timedelta(minutes=5))
    assert error.value.reason == reason
    assert named in error.value.detail


@pytest.mark.parametrize("data", [None, 1, "text", [GOOD]])
def test_only_objects_are_records(data: object) -> None:
    with pytest.raises(InvalidRecord, match="not_an_object"):
        parse(data)


def test_unknown_scalars_become_tags_and_never_hide_a_given_tag() -> None:
    record = parse(GOOD | {"region": "eu", "tier": 2, "blob": {"x": 1}, "tags": {"region": "us"}})
    assert record.tags == {"region": "us", "tier": "2"}


def test_null_means_absent() -> None:
    assert parse(GOOD | {"model": None, "latency_ms": None, "contexts": None}).contexts == ()


def test_messages_give_the_words_of_their_role() -> None:
    record = parse(
        GOOD
        | {
            "input": [
                {"role": "system", "content": "be kind"},
                {"role": "user", "parts": [{"type": "text", "content": "where is"}, {"type": "uri", "uri": "x"}]},
                {"role": "user", "content": "my parcel"},
            ],
            "output": [{"role": "assistant", "content": "on its way", "finish_reason": "stop"}],
        }
    )
    assert (record.input_text, record.output_text) == ("where is\nmy parcel", "on its way")


JSON = st.none() | st.integers() | st.floats() | st.text() | st.lists(st.text()) | st.booleans()


@given(st.dictionaries(st.sampled_from([*InferenceLog.model_fields, "other"]), JSON))
def test_whatever_json_holds_it_is_a_record_or_a_reason(data: dict[str, object]) -> None:
    try:
        outcome = parse(data, latest=AT).id
    except InvalidRecord as error:
        outcome = error.reason
    assert outcome
