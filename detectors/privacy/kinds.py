"""What one kind of personal data or secret looks like, and the kinds that are not national numbers or keys."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

from inferwatch.detectors.privacy.checksums import digits_of, iso7064_97, luhn


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of stretch.

    Attributes:
        name: what redaction writes in its place, in brackets.
        label: what a person reads.
        sure: in (0, 1], how likely a match is what it looks like; 1 where a checksum or a format of its own says so.
        hints: a text without any of these cannot hold one, which is far cheaper to see.
        pattern: every quantifier in it is bounded, so that a hostile text costs linear time.
        check: what a match must pass.
        cue: what must stand in the 40 characters before a match.
    """

    name: str
    label: str
    sure: float
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    check: Callable[[str], bool] | None = None
    cue: re.Pattern[str] | None = None


# Prefixes and lengths of the networks (ISO/IEC 7812); one number in ten has a right check digit by chance.
_NETWORK = re.compile(
    r"(?:4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|5[0678]\d{11,17}|6\d{15,18}|2[2-7]\d{14}|220\d{13,16}|3[47]\d{13}|"
    r"3[0689]\d{12,17}|35\d{14,17}|9792\d{12})"
)


def _is_card(text: str) -> bool:
    digits = digits_of(text)
    return _NETWORK.fullmatch(digits) is not None and luhn(digits)


def _is_iban(text: str) -> bool:
    compact = text.replace(" ", "").upper()
    return len(compact) >= 15 and iso7064_97(compact)


_DATE = re.compile(r"\d\d([.-])\d\d\1(?:19|20)\d\d")


def _is_phone(text: str) -> bool:
    return 9 <= len(digits_of(text)) <= 15 and _DATE.match(text) is None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


# A look back stands after the first character, so that the search can skip to the next candidate: three times as fast.
EMAIL = Kind(
    "EMAIL",
    "email address",
    1.0,
    ("@",),
    re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}"),
)
IBAN = Kind(
    "IBAN",
    "bank account (IBAN)",
    1.0,
    ("",),
    re.compile(r"[A-Z](?<!\w[A-Z])[A-Z]\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
    _is_iban,
)
CARD = Kind("CARD", "card number", 0.9, ("",), re.compile(r"\d(?<![\d-]\d)(?:[ -]?\d){12,18}(?![\d-])"), _is_card)
IP = Kind(
    "IP",
    "IP address",
    0.6,
    (".",),
    re.compile(r"\d(?<![\d.]\d)\d{0,2}\.(?:\d{1,3}\.){2}\d{1,3}(?!\d|\.\d)"),
    _is_address,
)
PHONE = Kind(
    "PHONE",
    "telephone number",
    0.8,
    ("+", "(", "0"),
    re.compile(
        r"[+(0](?<![\w+][+(0])(?<!\d[.-]0)"
        r"(?:(?<=\+)\d{1,3}[ .-]?|(?<=\()0?\d{2,4}\)[ .-]?|(?<=0))\d(?:[ .-]?\d){6,12}(?!\w)"
    ),
    _is_phone,
)
PHONE_NANP = Kind(
    "PHONE",
    "telephone number (North America)",
    0.7,
    ("-", "."),
    re.compile(r"[2-9](?<![\w+.-][2-9])\d{2}([.-])[2-9]\d{2}\1\d{4}(?![\w-])"),
)
