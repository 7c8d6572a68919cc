import re
from collections import Counter
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from inferwatch.infra.demo import broken
from inferwatch.infra.demo.corpus import WINDOWS_A_DAY, Inference, compose, tail
from inferwatch.infra.demo.incidents import WINDOW, planted
from inferwatch.infra.demo.knowledge import NEW_TOPIC, TOPICS, topic
from inferwatch.schemas.errors import InvalidRecord
from inferwatch.schemas.inference import InferenceLog, parse
from inferwatch.schemas.windows import tumbling
from inferwatch.streams.decode import decode
from inferwatch.streams.ports import RawRecord
from inferwatch.streams.redact import redact

DAY = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def day() -> list[Inference]:
    return compose(DAY)


@pytest.fixture(scope="module")
def logs(day: list[Inference]) -> list[InferenceLog]:
    return [parse(orjson.loads(orjson.dumps(inference.record))) for inference in day]


def test_the_same_seed_gives_the_same_day_and_another_seed_another(day: list[Inference]) -> None:
    assert compose(DAY) == day
    assert [one.record["input"] for one in compose(DAY, 8)[:50]] != [one.record["input"] for one in day[:50]]


def test_every_record_is_an_inference_log_of_its_own_at_its_time(
    day: list[Inference], logs: list[InferenceLog]
) -> None:
    assert len(logs) >= 5000
    assert len({log.id for log in logs}) == len(logs)
    for inference, log in zip(day, logs, strict=True):
        assert abs(log.timestamp - inference.at) < timedelta(milliseconds=1)
    assert [one.at for one in day] == sorted(one.at for one in day)


def test_every_window_has_enough_rows_and_the_evening_more_than_the_night(day: list[Inference]) -> None:
    rows = Counter(tumbling(one.at, WINDOW).start for one in day)
    assert len(rows) == WINDOWS_A_DAY
    assert min(rows.values()) >= 50
    assert rows[DAY + timedelta(hours=19)] > 1.2 * rows[DAY + timedelta(hours=3)]


def test_texts_are_varied(logs: list[InferenceLog]) -> None:
    pairs = Counter((log.input_text, log.output_text) for log in logs)
    assert max(pairs.values()) == 1
    assert len({log.input_text for log in logs}) > 0.95 * len(logs)
    assert len({log.output_text for log in logs}) > 0.7 * len(logs)
    words = [word for log in logs for word in re.findall(r"[a-z']+", log.input_text.lower())]
    assert len(set(words)) > 1000
    # No text starts as most of them do: the share of the most frequent first three words.
    starts = Counter(" ".join(log.input_text.lower().split()[:3]) for log in logs)
    assert starts.most_common(1)[0][1] < 0.03 * len(logs)
    lengths = sorted(len(log.input_text) for log in logs)
    assert lengths[len(lengths) // 10] * 2.5 < lengths[len(lengths) * 9 // 10]


def test_incidents_show_only_while_they_last_and_in_every_window_of_theirs(day: list[Inference]) -> None:
    incidents = {one.name: one for one in planted(DAY)}
    assert len(incidents) == 3
    shown: Counter[tuple[str, datetime]] = Counter()
    for inference in day:
        if inference.incident:
            assert inference.at in incidents[inference.incident].period
            shown[inference.incident, tumbling(inference.at, WINDOW).start] += 1
    for name, incident in incidents.items():
        assert tumbling(incident.period.start, WINDOW).start == incident.period.start
        windows = [at for (found, at) in shown if found == name]
        assert len(windows) == incident.period.size / WINDOW


def test_nobody_asks_about_the_new_topic_before_its_incident(day: list[Inference]) -> None:
    texts = {passage.text for passage in topic(NEW_TOPIC).passages}
    for inference in day:
        if texts & set(inference.record.get("contexts", ())):
            assert inference.incident == "new-topic"
    assert not any("kestrel" in str(one.record["input"]).lower() for one in day if one.incident != "new-topic")


def test_the_mix_of_topics_is_the_same_in_both_halves_of_the_day(day: list[Inference]) -> None:
    own = {passage.text: name for name in TOPICS for passage in topic(name).passages}
    halves: list[Counter[str]] = [Counter(), Counter()]
    for inference in day:
        contexts = inference.record.get("contexts", ())
        if contexts and contexts[0] in own:
            halves[inference.at >= DAY + timedelta(hours=12)][own[contexts[0]]] += 1
    for name in TOPICS:
        first, second = (half[name] / half.total() for half in halves)
        assert abs(first - second) < 0.03


def test_every_number_of_a_faithful_answer_is_in_its_contexts(day: list[Inference]) -> None:
    for inference in day:
        if inference.incident in ("", "new-topic") and "contexts" in inference.record and "output" in inference.record:
            known = set(re.findall(r"\d+", " ".join(inference.record["contexts"])))
            assert set(re.findall(r"\d+", inference.record["output"])) <= known, inference.record["output"]


def test_most_invented_answers_hold_numbers_that_their_contexts_do_not(day: list[Inference]) -> None:
    strange = 0
    invented = [one for one in day if one.incident == "invented-answers"]
    for inference in invented:
        known = set(re.findall(r"\d+", " ".join(inference.record["contexts"])))
        strange += bool(set(re.findall(r"\d+", inference.record["output"])) - known)
    assert strange > 0.8 * len(invented)
    assert {one.record["prompt_version"] for one in invented} == {"v7"}


def test_some_inputs_hold_personal_data_that_redaction_finds(logs: list[InferenceLog]) -> None:
    found = Counter(kind for log in logs for kind in re.findall(r"\[(EMAIL|PHONE)\]", redact(log.input_text)[0]))
    assert found["EMAIL"] > 50
    assert found["PHONE"] > 50
    assert not any("@example.org" in redact(log.input_text)[0] for log in logs)


def test_the_day_has_two_models_errors_and_answers_without_contexts(logs: list[InferenceLog]) -> None:
    models = Counter(log.model for log in logs)
    assert len(models) == 2
    assert min(models.values()) > 0.4 * len(logs)
    assert 0.003 < sum(bool(log.error) for log in logs) / len(logs) < 0.02
    assert 0.02 < sum(not log.contexts for log in logs) / len(logs) < 0.1


@pytest.mark.parametrize("reason", [one for one in broken.REASONS if one != "duplicate_id"])
def test_a_bad_record_is_refused_for_its_reason(day: list[Inference], reason: str) -> None:
    good = day[100]
    record = RawRecord("t", 0, 0, good.at + timedelta(days=1), broken.damage(reason, good))
    with pytest.raises(InvalidRecord) as refused:
        decode(record, max_future=timedelta(minutes=5))
    assert refused.value.reason == reason


def test_a_bad_duplicate_is_readable_and_has_the_id_of_another_record(day: list[Inference]) -> None:
    good = day[100]
    record = RawRecord("t", 0, 0, good.at + timedelta(days=1), broken.damage("duplicate_id", good))
    assert decode(record, max_future=timedelta(minutes=5)).id == good.record["id"]


def test_the_tail_lies_after_the_day_once_for_each_partition() -> None:
    found = tail(DAY, 4)
    assert len({one.record["id"] for one in found}) == 4
    assert all(one.at >= DAY + timedelta(days=1) for one in found)
