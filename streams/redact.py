"""Personal data and secrets out of a text, before anything else sees it: encoder, store, alert."""

from __future__ import annotations

from inferwatch.detectors.privacy.finding import find


def redact(text: str) -> tuple[str, int]:
    """Replace personal data and secrets by what they are: ``[EMAIL]``, ``[PHONE]``, ``[CARD]``, ``[IBAN]``, ``[IP]``,
    ``[ID]`` (national numbers), ``[SECRET]`` (keys, tokens, private keys, passwords in addresses).

    Returns the text and how many stretches were replaced. Numbers with a check digit (cards, IBANs, most national
    numbers) are replaced only when it holds. Names and postal addresses are not found: that needs a model.

    >>> redact("write to ann@example.com or call +44 20 7946 0958")
    ('write to [EMAIL] or call [PHONE]', 2)
    """
    found = find(text)
    if not found:
        return text, 0
    parts: list[str] = []
    last = 0
    for one in found:
        parts += [text[last : one.start], f"[{one.kind.name}]"]
        last = one.end
    return "".join([*parts, text[last:]]), len(found)
