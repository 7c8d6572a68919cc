"""How customers ask and how the assistant answers: sentences put together from independently drawn parts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from inferwatch.infra.demo.knowledge import Fact, Passage, Topic, phrases

_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_LONG_WORD = re.compile(r"(?<![{\w])[a-z]{5,}")


@dataclass(frozen=True, slots=True)
class Customer:
    """Who is writing; the same for a whole conversation. ``care`` is how tidily they type, 0 to 1."""

    name: str
    care: float


def customer(rng: Random) -> Customer:
    """Draw a customer."""
    return Customer(rng.choice(phrases("names")), rng.choice((0.1, 0.5, 0.8, 0.95, 1.0)))


def question(rng: Random, who: Customer, about: Topic, facts: tuple[Fact, ...], *, follow_up: bool, rude: bool) -> str:
    """Put a question about the first of ``facts`` (and the second, if there are two)."""
    parts: list[str] = []
    if follow_up:
        parts.append(rng.choice(phrases("follow_ups")))
    elif rng.random() < 0.55:
        parts.append(rng.choice(phrases("question_openers")))
    if not follow_up and rng.random() < 0.5:
        parts.append(rng.choice(about.situations))
    if rng.random() < 0.06:
        parts.append(rng.choice(phrases("grumbles")))
    parts.append(rng.choice(facts[0].asks))
    if len(facts) > 1:
        parts += [rng.choice(phrases("joins")), rng.choice(facts[1].asks)]
    if rude:
        parts.insert(rng.choice((0, len(parts))), rng.choice(phrases("rude")))
    elif rng.random() < 0.4:
        parts.append(rng.choice(phrases("question_closings")))
    if len(parts) > 1 and parts[0].endswith(",") and not parts[1].startswith("I "):
        parts[1] = parts[1][0].lower() + parts[1][1:]
    text = _mistype(rng, " ".join(parts), who.care)
    if rng.random() < 0.22:
        text = f"{text} {rng.choice(phrases('details'))}"
    return _fill(rng, text, who)


def answer(rng: Random, who: Customer, passage: Passage, facts: tuple[Fact, ...], *, talkative: float) -> str:
    """Answer faithfully: what the asked facts say, sometimes one more of the passage, with or without courtesies."""
    told = list(facts)
    others = [fact for fact in passage.facts if fact not in facts]
    if others and rng.random() < talkative * 0.8:
        told.append(rng.choice(others))
    return _courteous(rng, who, [rng.choice(fact.answers) for fact in told], talkative)


def invention(rng: Random, who: Customer, about: Topic, facts: tuple[Fact, ...], *, talkative: float) -> str:
    """Answer with other numbers than the passage has, and with policies, people and places it does not know."""
    sentences = [_misremember(rng, rng.choice(fact.answers)) for fact in facts]
    sentences += rng.sample(about.invented, min(len(about.invented), rng.choice((1, 1, 2))))
    rng.shuffle(sentences)
    return _courteous(rng, who, sentences, talkative)


def insult(rng: Random, who: Customer, passage: Passage, facts: tuple[Fact, ...]) -> str:
    """Answer, but abuse the customer while doing so."""
    sentence = rng.choice(facts[0].answers)
    opening, closing = rng.choice(phrases("insult_openers")), rng.choice(phrases("insult_closings"))
    shape = rng.choice(([opening, sentence], [opening, sentence, closing], [opening, closing]))
    return _fill(rng, " ".join(shape), who)


def refusal(rng: Random) -> str:
    """Say that the answer is not known."""
    text = rng.choice(phrases("refusals"))
    return f"{text} {rng.choice(phrases('refusal_closings'))}" if rng.random() < 0.6 else text


def chat(rng: Random, who: Customer) -> tuple[str, str]:
    """Return a pleasantry and its reply; nothing is retrieved for it."""
    said, reply = rng.choice(phrases("chat")).split(" | ")
    text = _mistype(rng, said, who.care)
    if rng.random() < 0.5:
        text = f"{text} {rng.choice(phrases('question_closings') + phrases('details'))}"
    return _fill(rng, text, who), reply


def _courteous(rng: Random, who: Customer, sentences: list[str], talkative: float) -> str:
    text = " ".join(sentences)
    if rng.random() < talkative * 0.8:
        opener = rng.choice(phrases("answer_openers"))
        text = f"{opener}{chr(10) if opener.endswith(',') else ' '}{text}"
    if rng.random() < talkative * 0.6:
        text = f"{text} {rng.choice(phrases('answer_closings'))}"
    return _fill(rng, text, who)


def _fill(rng: Random, text: str, who: Customer) -> str:
    if "{" not in text:
        return text
    given = who.name.lower()
    return text.format(
        name=who.name,
        customer=f"{rng.randrange(10, 99)}-{rng.randrange(10_000, 99_999)}",
        mail=f"{given}{rng.choice(('.', '_', ''))}{rng.choice('bdfhklmrstw')}{rng.randrange(10, 99)}@example.org",
        # Number ranges that the British and German regulators keep free for fiction.
        phone=rng.choice((f"+44 7700 900{rng.randrange(1000):03d}", f"+49 30 23125 {rng.randrange(1000):03d}")),
        years=rng.randrange(2, 19),
    )


def _mistype(rng: Random, text: str, care: float) -> str:
    """Type ``text`` as a hurried person does. Placeholders in braces survive."""
    if rng.random() > care and rng.random() < 0.5:
        text = text.replace("?", "").replace("'", "") if rng.random() < 0.6 else text.replace("?", "??")
    if rng.random() > care:
        text = re.sub(r"[A-Z]", lambda found: found.group().lower(), text)

    def slip(found: re.Match[str]) -> str:
        word = found.group()
        if rng.random() >= (1 - care) * 0.08:
            return word
        place = rng.randrange(1, len(word) - 2)
        before, after = word[:place], word[place + 2 :]
        first, second = word[place], word[place + 1]
        return before + rng.choice((second, second + first, first + first + second)) + after

    return _LONG_WORD.sub(slip, text)


def _misremember(rng: Random, sentence: str) -> str:
    """Replace every number by another one of about the same size."""

    def other(found: re.Match[str]) -> str:
        value = found.group()
        changed = value
        while changed == value:
            digits = [rng.choice("123456789") if char.isdigit() else char for char in value]
            changed = "".join(digits)
        return changed

    return _NUMBER.sub(other, sentence)
