from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.detectors.hallucination.quantities import held, quantities

_WORD_LIST = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_TENS_LIST = "twenty thirty forty fifty sixty seventy eighty ninety"
_MONTH_LIST = "January February March April May June July August September October November December"
_WORDS, _TENS = _WORD_LIST.split(), _TENS_LIST.split()


def spelled(number: int) -> str:
    """Write a number below a million in words, to compare with."""
    if number < len(_WORDS):
        return _WORDS[number]
    if number < 20:
        return {17: "seventeen", 18: "eighteen", 19: "nineteen"}[number]
    if number < 100:
        return _TENS[number // 10 - 2] + (f"-{_WORDS[number % 10]}" if number % 10 else "")
    if number < 1000:
        return f"{_WORDS[number // 100]} hundred" + (f" and {spelled(number % 100)}" if number % 100 else "")
    rest = number % 1000
    return f"{spelled(number // 1000)} thousand" + (f" {'and ' if rest < 100 else ''}{spelled(rest)}" if rest else "")


def agree(claim: str, context: str) -> bool:
    known = quantities(context)
    found = quantities(claim)
    assert found
    return all(held(one, known) for one in found)


@pytest.mark.parametrize(
    ("claim", "context"),
    [
        ("It takes two weeks.", "It takes 14 days."), ("a fee of 1,200 yen", "the fee is ¥1200"),
        ("about 20 percent", "19.4 %"), ("twenty-five people", "25 people"), ("open at 3 pm", "open at 15:00"),
        ("on 3 May 2021", "on May 3rd, 2021"), ("on 2021-05-03", "on 3 May 2021"), ("in May 2021", "on 3 May 2021"),
        ("half past, 3:30 p.m.", "at 15:30"), ("1.2 million users", "1,200,000 users"), ("$5 million", "5 mln bucks"),
        ("the 21st century", "the twenty-first century"), ("a dozen eggs: 12", "12 eggs"), ("in 1994", "1983 to 1994"),
        ("1.3 million people", "1,284,322 people"), ("3 km", "3000 metres"), ("90 minutes", "1.5 hours"),
        ("more than 40 clubs", "43 clubs"), ("two years", "24 months"), ("20 per cent", "20%"),
    ],
)  # fmt: skip
def test_the_same_quantity_is_held_however_it_is_written(claim: str, context: str) -> None:
    assert agree(claim, context)


@pytest.mark.parametrize(
    ("claim", "context"),
    [
        ("It takes two weeks.", "It takes 2 days."), ("5 euros", "5 dollars"), ("20 percent", "20 dollars"),
        ("25 people", "26 people"), ("open at 3 pm", "open at 3 am"), ("on 3 May 2021", "on 4 May 2021"),
        ("on 3 May", "on 3 June"), ("in May 2021", "in May 2022"), ("1.2 billion", "1.2 million"),
        ("1.3 million people", "1,384,322 people"), ("in 1995", "1983 to 1994"), ("about 40 clubs", "60 clubs"),
        ("the 21st century", "the 20th century"), ("15:30", "15:35"), ("10 kg", "10 km"), ("120 clubs", "123 clubs"),
    ],
)  # fmt: skip
def test_another_quantity_is_not(claim: str, context: str) -> None:
    assert not agree(claim, context)


@given(st.integers(2, 999_999))
def test_digits_separators_and_words_are_one_number(number: int) -> None:
    ways = (str(number), f"{number:,}", f"{number}.00", spelled(number))
    assert {one.value for way in ways for one in quantities(f"They sold {way} chairs.")} == {float(number)}
    assert all(len(quantities(f"They sold {way} chairs.")) == 1 for way in ways)


@given(st.integers(1, 28), st.integers(1, 12), st.integers(1900, 2099))
def test_notations_of_a_date_are_one_date(day: int, month: int, year: int) -> None:
    name = _MONTH_LIST.split()[month - 1]
    ways = (
        f"{year}-{month:02}-{day:02}",
        f"{day} {name} {year}",
        f"{name} {day}, {year}",
        f"the {day}th of {name} {year}",
    )
    assert {one.date for way in ways for one in quantities(f"It was on {way}.")} == {(year, month, day)}


@given(st.text(max_size=200))
def test_any_text_can_be_read_and_ranges_lie_in_it(text: str) -> None:
    for one in quantities(text):
        assert 0 <= one.start < one.end <= len(text)


def test_numbers_of_lists_and_citations_are_left_out() -> None:
    assert quantities("1. Open the app [2]") == ()
    assert [one.value for one in quantities("- 2) Wait 5 days [12].")] == [5 * 86_400]
