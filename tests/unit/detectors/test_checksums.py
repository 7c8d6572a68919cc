"""Check digits: numbers of a scheme pass, and a number with one wrong digit does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.detectors.privacy import checksums

DIGITS = st.text("0123456789", min_size=8, max_size=18)


@pytest.mark.parametrize(
    ("check", "number"),
    [
        (checksums.luhn, "4111111111111111"),
        (checksums.luhn, "79927398713"),
        (checksums.iso7064_97, "GB82WEST12345698765432"),
        (checksums.iso7064_97, "DE89370400440532013000"),
        (checksums.verhoeff, "2363"),
        (checksums.iso7064_11_10, "36574261809"),
        (checksums.nhs, "9434765919"),
        (checksums.cpf, "52998224725"),
        (checksums.pesel, "44051401359"),
        (checksums.bsn, "111222333"),
        (checksums.nir, "255081416802538"),
        (checksums.dni, "12345678Z"),
        (checksums.dni, "X1234567L"),
        (checksums.hetu, "131052-308T"),
        (checksums.codice_fiscale, "RSSMRA85T10A562S"),
    ],
)
def test_published_examples_pass_and_any_other_last_character_fails(check: object, number: str) -> None:
    assert callable(check)
    assert check(number)
    last = number[-1]
    others = "0123456789" if last.isdigit() else "ABCDEFGHJKLMNPQRSTUVWXYZ"
    for other in others.replace(last, ""):
        assert not check(number[:-1] + other), other


@given(DIGITS, st.data())
def test_luhn_and_verhoeff_see_every_single_wrong_digit(body: str, data: st.DataObject) -> None:
    for check in (checksums.luhn, checksums.verhoeff):
        (whole,) = [body + digit for digit in "0123456789" if check(body + digit)]
        place = data.draw(st.integers(0, len(whole) - 1))
        wrong = data.draw(st.sampled_from("0123456789".replace(whole[place], "")))
        assert not check(whole[:place] + wrong + whole[place + 1 :])


@given(DIGITS, st.data())
def test_verhoeff_sees_every_swap_of_neighbours(body: str, data: st.DataObject) -> None:
    (whole,) = [body + digit for digit in "0123456789" if checksums.verhoeff(body + digit)]
    place = data.draw(st.integers(0, len(whole) - 2))
    swapped = whole[:place] + whole[place + 1] + whole[place] + whole[place + 2 :]
    assert checksums.verhoeff(swapped) == (swapped == whole)


@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=11, max_size=30), st.data())
def test_an_iban_has_one_right_pair_of_check_digits(account: str, data: st.DataObject) -> None:
    right = [n for n in range(2, 99) if checksums.iso7064_97(f"DE{n:02d}{account}")]
    assert len(right) == 1
    place = data.draw(st.integers(0, len(account) - 1))
    wrong = data.draw(st.sampled_from("0123456789".replace(account[place], "")))
    if account[place].isdigit():
        assert not checksums.iso7064_97(f"DE{right[0]:02d}{account[:place]}{wrong}{account[place + 1 :]}")
