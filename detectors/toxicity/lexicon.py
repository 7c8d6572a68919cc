"""Words by what they do in a sentence: what insults, who is meant, what denies, who reports, who objects."""

from __future__ import annotations

from pathlib import Path

import yaml

_FILE = Path(__file__).with_name("lexicon.yaml")


def _read() -> tuple[tuple[str, ...], dict[str, int]]:
    held: dict[str, str] = yaml.safe_load(_FILE.read_text("utf-8"))
    found: dict[str, int] = {'"': len(held) + 1, "?": len(held) + 2, "!": len(held) + 3}
    for place, words in enumerate(held.values(), 1):
        for word in words.split():
            found.setdefault(word, place)
    return (*held, "quote", "question", "exclamation"), found


CLASSES, CLASS_OF = _read()
"""Names of the classes, and the class of a word: 1 for the first name. Words of no class are not in it."""

_HIDDEN = ("slur", "insult", "profane", "sexual", "hostile", "violent", "death", "vermin", "bad", "identity")
WORTH_HIDING = frozenset(word for word, place in CLASS_OF.items() if CLASSES[place - 1] in _HIDDEN)
"""What people write in disguise."""
