"""Personal data and secrets are found where they are, and what only looks like them is not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.detectors.base import Batch, Item, Scores
from inferwatch.detectors.privacy.detector import Privacy
from inferwatch.detectors.privacy.finding import find
from inferwatch.streams.redact import redact


def scored(item: Item) -> dict[str, Scores]:
    return {scores.name: scores for scores in Privacy().score(Batch([item], {}, np.empty((0, 1), np.float32)))}


KEY = "ghp_" + "a1B2" * 9


@pytest.mark.parametrize(
    ("text", "name", "shown"),
    [
        ("my SSN is 219-09-9999, thanks", "ID", "219-09-9999"),
        ("DNI 12345678Z", "ID", "12345678Z"),
        ("CPF 529.982.247-25.", "ID", "529.982.247-25"),
        ("codice fiscale RSSMRA85T10A562S", "ID", "RSSMRA85T10A562S"),
        ("my NHS number: 943 476 5919", "ID", "943 476 5919"),
        ("BSN 111222333", "ID", "111222333"),
        (f"use {KEY} for it", "SECRET", KEY),
        ("postgres://app:s3cr3tPa55@db/prod", "SECRET", "postgres://app:s3cr3tPa55@"),
        ("call 650-555-0199 now", "PHONE", ""),
        ("call 650-253-0199 now", "PHONE", "650-253-0199"),
        ("the host is 10.0.0.12.", "IP", "10.0.0.12"),
    ],
)
def test_a_stretch_is_found_where_it_is(text: str, name: str, shown: str) -> None:
    found = [(one.kind.name, text[one.start : one.end]) for one in find(text)]
    assert found == [(name, shown)] if shown else True


@pytest.mark.parametrize(
    "text",
    [
        "DNI 12345678A",
        "CPF 529.982.247-26",
        "NHS number 943 476 5918",
        "the code is 943 476 5919",
        "RSSMRA85T10A562T",
        "from 05.03.2025-12.01.2026",
        "ISBN 978-0-1234-5678-9",
        "at 1764100000000 ms",
        "https://example.com:8080/@me",
        "postgres://user:password@localhost/db",
        "Traceback of version 1.2.3-4.5.6",
        "task-oriented-dialogue-systems-are-fun",
    ],
)
def test_what_only_looks_like_it_is_not_found(text: str) -> None:
    assert find(text, unsure=True) == []


def test_a_private_key_is_one_stretch_from_its_first_line_to_its_last() -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEowIBAAKCAQEA7\n" * 20 + "-----END RSA PRIVATE KEY-----"
    assert redact(f"here:\n{key}\nbye") == ("here:\n[SECRET]\nbye", 1)


@pytest.mark.parametrize(
    ("text", "sure"),
    [
        ("password=hT7pQ2vLm9x", 0.7),
        ('"client_secret": "a81bd9c3f1e24"', 0.7),
        ("password = os.environ['DB_PASSWORD']", 0.0),
        ("API_KEY=<your-key-123>", 0.0),
        ("the token is expired", 0.0),
        ("password: correcthorsebattery", 0.0),
    ],
)
def test_an_assignment_counts_where_its_value_looks_random(text: str, sure: float) -> None:
    assert scored(Item(text))["secret.input"].values[0] == pytest.approx(sure)
    assert redact(text) == (text, 0)


def test_what_redaction_replaced_still_counts() -> None:
    item = Item("I am [EMAIL], card [CARD]", "Your key is [SECRET].")
    found = scored(item)
    assert found["pii.input"].values[0] == 1
    assert [one.text for one in found["pii.input"].evidence[0]] == ["[EMAIL]", "[CARD]"]
    assert found["secret.input"].values[0] == 0
    assert found["secret.output"].values[0] == 1
    assert found["pii.output"].values[0] == 0


@pytest.mark.parametrize(
    "raw",
    ["ann@example.com", "4111 1111 1111 1111", "+44 20 7946 0958", "DE89 3704 0044 0532 0130 00", "10.1.2.3", KEY],
)
def test_redacted_and_raw_text_get_scores_on_the_same_side_of_the_threshold(raw: str) -> None:
    text = f"here it is: {raw}, please"
    before, after = scored(Item(text)), scored(Item(redact(text)[0]))
    for name, threshold in Privacy.emits.items():
        if name.endswith(".input"):
            assert (before[name].values[0] >= threshold) == (after[name].values[0] >= threshold)


def test_blank_texts_abstain() -> None:
    found = scored(Item(" ", ""))
    assert {name: scores.abstained[0] for name, scores in found.items()} == {
        "pii.input": "no input",
        "secret.input": "no input",
        "pii.output": "no output",
        "secret.output": "no output",
    }


PIECES = [
    "ann@example.com",
    "4111 1111 1111 1111",
    "+44 20 7946 0958",
    "192.168.1.20",
    KEY,
    "-",
    " ",
    "0",
    "a",
    ".",
    "(",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=12).map("".join))
def test_findings_are_in_order_apart_and_what_redaction_counts(text: str) -> None:
    found = find(text)
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))
    once, count = redact(text)
    assert count == len(found)
    kept = "".join(text[one.end : other.start] for one, other in itertools.pairwise(found))
    assert all(char in once for char in set(kept))
    assert redact(once)[0].count("[EMAIL]") >= once.count("[EMAIL]")
