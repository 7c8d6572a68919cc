"""National numbers of people. Plain digits count only after a word that names the number; a checksum alone is weak.

References: the issuing offices' published rules, as collected in OECD's TIN pages and Wikipedia's articles.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from inferwatch.detectors.privacy.checksums import (
    bsn,
    codice_fiscale,
    cpf,
    digits_of,
    dni,
    hetu,
    iso7064_11_10,
    luhn,
    nhs,
    nir,
    pesel,
    verhoeff,
)
from inferwatch.detectors.privacy.kinds import Kind


def _compact(text: str) -> str:
    return re.sub(r"[ .-]", "", text).upper()


def _steuer_id(text: str) -> bool:
    """Of the first ten digits exactly one occurs two or three times."""
    digits = digits_of(text)
    repeated = sorted(digits[:10].count(char) for char in set(digits[:10]))
    return repeated[-1] in (2, 3) and repeated[-2:-1] == [1] and iso7064_11_10(digits)


def _cue(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?i:\b(?:{words})\b)")


def _national(
    label: str,
    pattern: str,
    check: Callable[[str], bool] | None,
    *,
    sure: float = 0.95,
    cue: str = "",
    hints: tuple[str, ...] = ("",),
) -> Kind:
    return Kind("ID", label, sure, hints, re.compile(pattern), check, _cue(cue) if cue else None)


NATIONAL_IDS = (
    _national(
        "US social security number",
        r"(?<![\w-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])",
        None,
        sure=0.9,
        hints=("-",),
    ),
    _national(
        "US social security number",
        r"(?<![\w-])(?!000|666|9\d\d)\d{3} ?(?!00)\d{2} ?(?!0000)\d{4}(?![\w-])",
        None,
        cue="ssn|social security",
        hints=("SSN", "ssn", "ocial "),
    ),
    _national(
        "UK National Insurance number",
        r"\b(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b",
        None,
        sure=0.8,
    ),
    _national(
        "NHS number",
        r"(?<![\w-])\d{3}[ -]?\d{3}[ -]?\d{4}(?![\w-])",
        lambda text: nhs(digits_of(text)),
        cue="nhs",
        hints=("NHS", "nhs"),
    ),
    _national("DNI or NIE", r"\b(?:\d{8}|[XYZ]-?\d{7})-?[A-HJ-NP-TV-Z]\b", lambda text: dni(_compact(text))),
    _national("henkilötunnus", r"\b(?:[0-2]\d|3[01])(?:0\d|1[0-2])\d{2}[-+A]\d{3}[0-9A-Y]\b", hetu),
    _national(
        "numéro de sécurité sociale",
        r"(?<![\w-])[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?![\w-])",
        lambda text: nir(_compact(text)),
    ),
    _national(
        "CPF",
        r"(?<![\w.-])\d{3}\.\d{3}\.\d{3}-\d{2}(?![\w-])",
        lambda text: cpf(digits_of(text)),
        sure=1.0,
        hints=("-",),
    ),
    _national("CPF", r"(?<![\w.-])\d{11}(?![\w-])", lambda text: cpf(digits_of(text)), cue="cpf", hints=("CPF", "cpf")),
    _national(
        "PESEL", r"(?<![\w-])\d{11}(?![\w-])", lambda text: pesel(digits_of(text)), cue="pesel", hints=("PESEL", "esel")
    ),
    _national(
        "personnummer",
        r"(?<![\w-])(?:19|20)?\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[-+]\d{4}(?![\w-])",
        lambda text: luhn(digits_of(text)[-10:]),
        sure=0.9,
        hints=("-", "+"),
    ),
    _national(
        "Aadhaar",
        r"(?<![\w-])[2-9]\d{3} ?\d{4} ?\d{4}(?! ?\d)(?![\w-])",
        lambda text: verhoeff(digits_of(text)),
        cue="aadha+r|uidai?",
        hints=("adhar", "adhaar", "ADHA", "UID"),
    ),
    _national(
        "social insurance number",
        r"(?<![\w-])[1-79]\d{2}[ -]?\d{3}[ -]?\d{3}(?![\w-])",
        lambda text: luhn(digits_of(text)),
        cue="sin|social insurance",
        hints=("SIN", "ocial "),
    ),
    _national(
        "Steuer-ID",
        r"(?<![\w-])[1-9]\d ?\d{3} ?\d{3} ?\d{3}(?![\w-])",
        _steuer_id,
        cue="steuer-?id\\w*|steuer-?identifikationsnummer|tax id\\w*|idnr|tin",
        hints=("teuer", "ax ID", "ax id", "IdNr", "TIN"),
    ),
    _national(
        "BSN",
        r"(?<![\w-])\d{9}(?![\w-])",
        lambda text: bsn(digits_of(text)),
        cue="bsn|burgerservicenummer|sofinummer",
        hints=("BSN", "bsn", "urgerservice"),
    ),
)
CODICE_FISCALE = _national(
    "codice fiscale",
    r"[A-Z](?<!\w[A-Z])[A-Z]{5}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b",
    codice_fiscale,
    sure=1.0,
)
