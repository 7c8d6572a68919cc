"""Writing systems: which one a text is written in, and the languages of each."""

from __future__ import annotations

import re
from collections.abc import Mapping

_RANGES: Mapping[str, str] = {
    "latin": "A-Za-zªºÀ-ÖØ-öø-ɏḀ-ỿ",
    "cyrillic": "Ѐ-ԯ",
    "arabic": "ء-يٮ-ۓەۺ-ۼݐ-ݿ",
    "devanagari": "ऄ-हऽ-ॡॲ-ॿ",
    "kana": "ぁ-ゖァ-ヺー",
    "han": "㐀-䶿一-鿿",
    "hangul": "가-힣ᄀ-ᇿ",
    "greek": "Ͱ-Ͽἀ-῿",
    "hebrew": "א-ת",
    "thai": "ก-ฮเ-ๆ",
    "bengali": "অ-হৎড়-ৡ",
    "tamil": "அ-ஹ",
    "telugu": "అ-హ",
    "gujarati": "અ-હ",
    "gurmukhi": "ਅ-ਹ",
    "armenian": "Ա-և",
    "georgian": "Ⴀ-ჿ",
    "ethiopic": "ሀ-ፚ",
}
_ONE = {name: re.compile(f"[{own}]") for name, own in _RANGES.items()}
_ASCII = re.compile(r"[A-Za-z]")
LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "latin": (
        "en",
        "de",
        "fr",
        "es",
        "pt",
        "it",
        "nl",
        "sv",
        "da",
        "nb",
        "fi",
        "pl",
        "cs",
        "sk",
        "sl",
        "hr",
        "ro",
        "hu",
        "tr",
        "az",
        "id",
        "ms",
        "vi",
        "sw",
        "et",
        "lv",
        "lt",
        "sq",
        "ca",
        "eu",
        "cy",
        "ga",
        "is",
        "af",
        "eo",
    ),
    "cyrillic": ("ru", "uk", "bg", "sr", "mk", "be", "kk"),
    "arabic": ("ar", "fa", "ur"),
    "devanagari": ("hi", "mr"),
    "kana": ("ja",),
    "han": ("zh",),
    "hangul": ("ko",),
    "greek": ("el",),
    "hebrew": ("he",),
    "thai": ("th",),
    "bengali": ("bn",),
    "tamil": ("ta",),
    "telugu": ("te",),
    "gujarati": ("gu",),
    "gurmukhi": ("pa",),
    "armenian": ("hy",),
    "georgian": ("ka",),
    "ethiopic": ("am",),
}
# A Japanese sentence may be mostly Chinese characters; some kana tell it from Chinese.
_KANA_SHARE = 0.08


def letters_of(text: str) -> dict[str, int]:
    """Return how many letters of each script ``text`` has; scripts without any are left out.

    >>> letters_of("Привет, Ann!")
    {'latin': 3, 'cyrillic': 6}
    """
    if text.isascii():
        n = len(_ASCII.findall(text))
        return {"latin": n} if n else {}
    found = {name: len(one.findall(text)) for name, one in _ONE.items()}
    return {name: n for name, n in found.items() if n}


def script_of(text: str) -> tuple[str, int]:
    """Return the script of most letters of ``text`` and how many letters it has; an empty name where there is none.

    >>> script_of("返金は5日かかります")
    ('kana', 8)
    """
    found = letters_of(text)
    han, kana = found.get("han", 0), found.get("kana", 0)
    if kana and kana >= _KANA_SHARE * (han + kana):
        found["kana"] = found.pop("han", 0) + kana
    if not found:
        return "", 0
    name = max(found, key=lambda one: found[one])
    return name, found[name]
