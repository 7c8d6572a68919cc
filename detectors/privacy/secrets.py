"""Credentials: the formats that services publish for their own keys, and assignments of what looks random."""

from __future__ import annotations

import math
import re
from collections import Counter

from inferwatch.detectors.privacy.kinds import Kind

_KEYS = {
    "API key": (("sk-",), r"sk-[A-Za-z0-9_-]{20,200}"),
    "AWS access key": (("AKIA", "ASIA"), r"A(?:KIA|SIA)[0-9A-Z]{16}"),
    "GitHub token": (
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"(?:gh[pousr]_[A-Za-z0-9]{36,80}|github_pat_[A-Za-z0-9_]{22,100})",
    ),
    "GitLab token": (("glpat-",), r"glpat-[A-Za-z0-9_-]{20,60}"),
    "Slack token": (("xox",), r"xox[abprse]-[A-Za-z0-9-]{10,200}"),
    "Slack webhook": (("hooks.slack.com/",), r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_]{20,120}"),
    "Stripe key": (("k_live_", "k_test_"), r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,120}"),
    "Google API key": (("AIza",), r"AIza[0-9A-Za-z_-]{35}"),
    "SendGrid key": (("SG.",), r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}"),
    "npm token": (("npm_",), r"npm_[A-Za-z0-9]{36}"),
    "PyPI token": (("pypi-",), r"pypi-[A-Za-z0-9_-]{50,250}"),
    "Hugging Face token": (("hf_",), r"hf_[A-Za-z0-9]{30,50}"),
    "DigitalOcean token": (("_v1_",), r"do[opr]_v1_[a-f0-9]{64}"),
    "Databricks token": (("dapi",), r"dapi[a-f0-9]{32}(?:-\d)?"),
    "Shopify token": (("shpat_", "shpca_", "shppa_", "shpss_"), r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    "Telegram bot token": ((":AA",), r"\d{8,10}:AA[A-Za-z0-9_-]{33}"),
    "JSON web token": (("eyJ",), r"eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,2000}"),
}
KEYS = tuple(
    Kind("SECRET", label, 1.0, hints, re.compile(rf"\b{pattern}")) for label, (hints, pattern) in _KEYS.items()
)
PRIVATE_KEY = Kind(
    "SECRET",
    "private key",
    1.0,
    ("PRIVATE KEY-----",),
    re.compile(
        r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY-----(?:[A-Za-z0-9+/=\s\\:,.]|-(?!-)){0,9000}+"
        r"(?:-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY-----)?"
    ),
)
_EXAMPLES = re.compile(
    r"(?i)^[<\[{$%*(]|x{4}|\*{3}|\.{3}|(?:your|my|the|some|change|example|placeholder|dummy|redacted|hidden|"
    r"process\.env|os\.|getenv|config\.|settings\.|secrets?\.|vault)|^(?:pass(?:word)?|pwd|user|none|null|true|false)$"
)


def _is_password(text: str) -> bool:
    return not _EXAMPLES.search(text.rpartition(":")[2].rstrip("@"))


URL_PASSWORD = Kind(
    "SECRET",
    "password in an address",
    0.9,
    ("://",),
    re.compile(r"(?<![A-Za-z])[a-z][a-z0-9+.-]{1,15}://[^\s:/@]{0,64}:[^\s:/@]{3,128}@"),
    _is_password,
)
_LEAST_BITS = 2.75


def bits_a_character(text: str) -> float:
    """Return the Shannon entropy of the characters of ``text``, in bits a character.

    >>> bits_a_character("aaaa"), bits_a_character("abcd")
    (0.0, 2.0)
    """
    n = len(text)
    return math.log2(n) - sum(count * math.log2(count) for count in Counter(text).values()) / n if n else 0.0


def _is_random(text: str) -> bool:
    """Whether the value of an assignment looks made by chance: letters and digits mixed, no word, no example."""
    value = re.split(r"[:=]>?\s{0,3}[\"']?|\bis\s{1,3}", text, maxsplit=1)[-1]
    if len(value) < 8 or _EXAMPLES.search(value):
        return False
    digits = sum(char.isdigit() for char in value)
    letters = sum(char.isalpha() for char in value)
    return digits >= 2 and letters >= 2 and bits_a_character(value) >= _LEAST_BITS


ASSIGNMENT = Kind(
    "SECRET",
    "credential in an assignment",
    0.7,
    ("assw", "ASSW", "pwd", "PWD", "ecret", "ECRET", "oken", "OKEN", "ey", "EY", "redential"),
    re.compile(
        r"(?i:(?<![A-Za-z])(?:pass(?:word|wd|phrase)|pwd|secret|token|(?:api|access|secret|auth|account)[_ -]?key|"
        r"credentials?|client[_-]?secret|auth[_-]?token))[A-Za-z_-]{0,16}[\"']?"
        r"\s{0,3}(?:[:=]>?|\bis\b)\s{0,3}[\"']?[^\s\"',;)}\]]{8,200}"
    ),
    _is_random,
)
