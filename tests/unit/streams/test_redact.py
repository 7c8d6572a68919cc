"""Personal data goes, everything else stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.streams.redact import redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail ann.b+x@mail.example.co.uk now", "mail [EMAIL] now"),
        ("call +44 20 7946 0958 or 0171 123 4567", "call [PHONE] or [PHONE]"),
        ("card 4111 1111 1111 1111 thanks", "card [CARD] thanks"),
        ("pay to DE89 3704 0044 0532 0130 00.", "pay to [IBAN]."),
        ("from 192.168.1.20 today", "from [IP] today"),
        ("key sk-abcdefghijklmnopqrstuvwx", "key [SECRET]"),
        ("AKIAIOSFODNN7EXAMPLE", "[SECRET]"),
    ],
)
def test_personal_data_is_replaced(text: str, expected: str) -> None:
    assert redact(text)[0] == expected


@pytest.mark.parametrize(
    "text",
    [
        "order 4111 1111 1111 1112 is not a card",
        "version 10.4.300.1",
        "it costs 1200 euros in 2026",
        "room 101, 3.5 kg",
        "at 09:30 on 2026-03-01",
    ],
)
def test_ordinary_numbers_stay(text: str) -> None:
    assert redact(text) == (text, 0)


@given(st.text(max_size=300))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once, _ = redact(text)
    assert redact(once) == (once, 0)
