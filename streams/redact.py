"""Personal data and secrets out of a text, before anything else sees it: encoder, store, alert."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 check digit of a card number."""
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _is_card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return 13 <= len(digits) <= 19 and _luhn(digits)


def _is_iban(text: str) -> bool:
    """ISO 13616 check: move the first four characters to the end, letters to numbers, modulo 97 is 1."""
    compact = text.replace(" ", "").upper()
    moved = compact[4:] + compact[:4]
    return len(compact) >= 15 and int("".join(str(int(char, 36)) for char in moved)) % 97 == 1


def _is_phone(text: str) -> bool:
    return 9 <= len(re.sub(r"\D", "", text)) <= 15


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of stretch. A text without any of ``hints`` cannot hold one, which is far cheaper to see."""

    name: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    check: Callable[[str], bool] | None = None

    def replace(self, text: str) -> tuple[str, int]:
        count = 0

        def shown(match: re.Match[str]) -> str:
            nonlocal count
            if self.check is not None and not self.check(match.group()):
                return match.group()
            count += 1
            return f"[{self.name}]"

        return self.pattern.sub(shown, text), count


# Every quantifier is bounded, so that a hostile text costs linear time.
_WITHOUT_DIGITS = (
    _Kind("EMAIL", ("@",), re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}")),
    _Kind(
        "SECRET",
        ("sk-", "AKIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "xox", "eyJ"),
        re.compile(
            r"\b(?:sk-[A-Za-z0-9_-]{20,200}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,80}|xox[abprs]-[A-Za-z0-9-]{10,200}"
            r"|eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,2000})"
        ),
    ),
)
_DIGIT = re.compile(r"\d")
_WITH_DIGITS = (
    _Kind("IBAN", ("",), re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), _is_iban),
    _Kind("CARD", ("",), re.compile(r"(?<![\d-])\d(?:[ -]?\d){12,18}(?![\d-])"), _is_card),
    _Kind("IP", (".",), re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"), _is_address),
    _Kind(
        "PHONE",
        ("+", "(", "0"),
        re.compile(r"(?<![\w+])(?:\+\d{1,3}[ .-]?|\(0?\d{2,4}\)[ .-]?|0)\d(?:[ .-]?\d){6,12}(?!\w)"),
        _is_phone,
    ),
)


def redact(text: str) -> tuple[str, int]:
    """Replace personal data and secrets by ``[EMAIL]``, ``[PHONE]``, ``[CARD]``, ``[IBAN]``, ``[IP]``, ``[SECRET]``.

    Returns the text and how many stretches were replaced. Numbers with a check digit (cards, IBANs) are replaced
    only when it holds. Names and postal addresses are not found: that needs a model.

    >>> redact("write to ann@example.com or call +44 20 7946 0958")
    ('write to [EMAIL] or call [PHONE]', 2)
    """
    count = 0
    for kind in _WITHOUT_DIGITS if _DIGIT.search(text) is None else (*_WITHOUT_DIGITS, *_WITH_DIGITS):
        for hint in kind.hints:
            if hint in text:
                text, found = kind.replace(text)
                count += found
                break
    return text, count
