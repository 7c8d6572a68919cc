"""Refusal, language, relevance, repetition, text and JSON: what each score says of plain cases."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.detectors.base import Batch, Detector, Encoder, Item, Scores
from inferwatch.detectors.quality.identify import Identifier
from inferwatch.detectors.quality.json_validity import JsonValidity, asked
from inferwatch.detectors.quality.language import Language
from inferwatch.detectors.quality.refusal import Refusal
from inferwatch.detectors.quality.relevance import Relevance
from inferwatch.detectors.quality.repetition import Repetition
from inferwatch.detectors.quality.scripts import LANGUAGES
from inferwatch.detectors.quality.text import Text


def scored(detector: Detector, item: Item) -> dict[str, Scores]:
    return {scores.name: scores for scores in detector.score(Batch([item], {}, np.empty((0, 1), np.float32)))}


def value(detector: Detector, item: Item, name: str) -> float:
    return float(scored(detector, item)[name].values[0])


def why(detector: Detector, item: Item, name: str) -> str:
    return scored(detector, item)[name].abstained[0]


ANSWER = (
    "Refunds take five business days after the parcel has reached our warehouse. We send a mail as soon as the money "
    "is on its way. Please keep the receipt of the carrier until then."
)


@pytest.mark.parametrize(
    "output",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot assist with requests that involve illegal activities.",
        "I'm unable to browse the internet, so I cannot open this page.",
        "As an AI language model, I do not have access to real-time data.",
        "Unfortunately, I do not have enough information to say when it arrives.",
        "Es tut mir leid, aber dabei kann ich dir nicht helfen.",
        "Lo siento, pero no puedo ayudar con eso.",
        "Je suis désolé, mais je ne peux pas vous aider.",
    ],
)
def test_a_refusal_is_over_the_threshold(output: str) -> None:
    found = scored(Refusal(), Item("?", output))["refusal"]
    assert found.values[0] >= Refusal.emits["refusal"]
    assert found.evidence[0][0].text in output


@pytest.mark.parametrize(
    "output",
    [
        ANSWER,
        "I'm sorry to hear that your parcel is late. It will arrive on Tuesday.",
        "I can't wait to see you at the party on Saturday!",
        'The clerk said: "I cannot help you with this form, please go to window three."',
        "As an AI language model, I don't have personal opinions. "
        + "Here are the arguments of both sides: "
        + ANSWER * 3,
        "I cannot give legal advice, but here is what the law says:\n1. " + "\n2. ".join([ANSWER] * 4),
    ],
)
def test_an_answer_is_under_the_threshold(output: str) -> None:
    assert value(Refusal(), Item("?", output), "refusal") < Refusal.emits["refusal"]


KNOWN = Identifier.load()
SAID = {
    "en": "Your order was sent this morning and should arrive on Thursday at the latest.",
    "de": "Ihre Bestellung wurde heute Morgen verschickt und sollte spätestens am Donnerstag ankommen.",
    "fr": "Votre commande a été expédiée ce matin et devrait arriver jeudi au plus tard.",
    "es": "Su pedido fue enviado esta mañana y debería llegar el jueves como muy tarde.",
    "it": "Il tuo ordine è stato spedito questa mattina e dovrebbe arrivare al più tardi giovedì.",
    "pl": "Twoje zamówienie zostało wysłane dziś rano i powinno dotrzeć najpóźniej w czwartek.",
    "ru": "Ваш заказ был отправлен сегодня утром и должен прибыть не позднее четверга.",
    "ar": "تم إرسال طلبك هذا الصباح ومن المتوقع أن يصل يوم الخميس على أبعد تقدير.",
    "ja": "ご注文の商品は今朝発送されました。遅くとも木曜日には届く予定です。",
    "zh": "您的订单今天早上已经发出，最迟应该在星期四送到。",
}


@pytest.fixture(scope="module")
def identifier() -> Identifier:
    return KNOWN


@pytest.mark.parametrize("language", SAID)
def test_a_language_is_told(language: str, identifier: Identifier) -> None:
    found = identifier(SAID[language])
    assert max(found, key=lambda one: found[one]) == language
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize("asked_in", SAID)
@pytest.mark.parametrize("answered_in", SAID)
def test_a_mismatch_is_seen_and_a_match_is_not(asked_in: str, answered_in: str, identifier: Identifier) -> None:
    found = value(Language(identifier), Item(SAID[asked_in], SAID[answered_in]), "language.mismatch")
    assert (found >= Language.emits["language.mismatch"]) == (asked_in != answered_in)


def test_the_language_abstains_where_it_cannot_know(identifier: Identifier) -> None:
    detector, name = Language(identifier), "language.mismatch"
    assert why(detector, Item("", SAID["en"]), name) == "no input"
    assert why(detector, Item(SAID["en"], " "), name) == "no output"
    assert why(detector, Item(SAID["en"], "OK, 42."), name) == "too little text"
    assert why(detector, Item("Translate this, please: " + SAID["en"], SAID["de"]), name) == "a language is named"
    assert why(detector, Item(SAID["en"], SAID["de"], system="Always answer in German."), name) == "a language is named"


def test_code_and_addresses_are_in_no_language(identifier: Identifier) -> None:
    code = "```\nfor zeile in datei: drucke(zeile)\n```"
    alone, beside = identifier(SAID["en"]), identifier(f"{code} {SAID['en']} https://beispiel.de/anleitung-fuer-alle")
    assert beside == pytest.approx(alone, abs=1e-6)


@given(st.text(max_size=300))
def test_probabilities_of_a_language_are_probabilities(text: str) -> None:
    found = KNOWN(text)
    assert not found or sum(found.values()) == pytest.approx(1)
    assert set(found) <= {one for own in LANGUAGES.values() for one in own}


def test_an_answer_to_something_else_is_less_relevant(encoder: Encoder) -> None:
    detector = Relevance()
    question = "How long do refunds take after I send the parcel back?"
    items = [Item(question, ANSWER), Item(question, "The tallest mountain of Africa is Kilimanjaro in Tanzania.")]
    (found,) = detector.score(Batch.encode(items, [detector], encoder))
    right, wrong = found.values.tolist()
    assert right < 0.2
    assert wrong >= Relevance.emits["irrelevance"]
    assert not found.evidence[0]
    assert found.evidence[1][0].text == items[1].output


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (Item("", ANSWER), "no input"),
        (Item("How long does it take?", ""), "no output"),
        (Item("How long does it take?", "Five days."), "too short"),
        (Item("thanks!", ANSWER), "too short"),
        (Item(SAID["ru"], ANSWER), "not in Latin letters"),
    ],
)
def test_relevance_abstains_where_it_cannot_know(item: Item, reason: str) -> None:
    assert why(Relevance(), item, "irrelevance") == reason


def test_a_loop_is_seen_and_shown() -> None:
    output = "The steps are as follows. " + "Press the button and wait. " * 30
    found = scored(Repetition(), Item("?", output))["repetition"]
    assert found.values[0] > 0.8
    assert found.evidence[0][0].text.startswith("Press the button")
    assert "30 times" in found.evidence[0][0].reason


@pytest.mark.parametrize("length", [1, 3, 7, 20, 60])
def test_loops_of_every_length_are_seen(length: int) -> None:
    rng = random.Random(length)
    period = " ".join("".join(rng.choices("abcdefghij", k=5)) for _ in range(length))
    output = f"{ANSWER} {(period + ' ') * max(4, 240 // length)}"
    assert value(Repetition(), Item("?", output), "repetition") >= Repetition.emits["repetition"]


@pytest.mark.parametrize(
    "output",
    [
        ANSWER,
        "| day | high | low |\n|---|---|---|\n"
        + "\n".join(f"| {n} | {n * 7 % 31} | {n * 5 % 17} |" for n in range(40)),
        "\n".join(f"{n}. Step {word}: turn the {word} valve by {n} degrees." for n, word in enumerate(ANSWER.split())),
    ],
)
def test_prose_tables_and_lists_are_no_loops(output: str) -> None:
    assert value(Repetition(), Item("?", output), "repetition") < Repetition.emits["repetition"]


@given(st.lists(st.sampled_from("ab c d e\nf ."), min_size=16, max_size=300).map("".join))
def test_repetition_is_a_share(output: str) -> None:
    found = value(Repetition(), Item("?", output), "repetition")
    assert np.isnan(found) or 0 <= found <= 1


@pytest.mark.parametrize(
    ("output", "score", "least"),
    [
        ("It takes five days, and then the", "text.unfinished", 0.8),
        ("Use this:\n```python\nprint(1)\n", "text.unfinished", 0.8),
        ("Das wÃ¤re schÃ¶n, aber es geht nicht fÃ¼r alle.", "text.garbled", 0.5),
        ("Broken \ufffd\ufffd characters here.", "text.garbled", 0.5),
    ],
)
def test_what_is_wrong_with_a_text_is_seen(output: str, score: str, least: float) -> None:
    found = scored(Text(), Item("?", output))[score]
    assert found.values[0] >= least
    assert found.evidence[0]


@pytest.mark.parametrize(
    "output", [ANSWER, "- one\n- two\n- three", "```\nx = 1\n```", "42", "Möchten Sie das Café sehen?"]
)
def test_an_ordinary_text_is_whole_and_clean(output: str) -> None:
    assert value(Text(), Item("?", output), "text.unfinished") < 0.8
    assert value(Text(), Item("?", output), "text.garbled") == 0


def test_long_words_in_long_sentences_are_hard_to_read() -> None:
    hard = (
        "Notwithstanding any antecedent contractual stipulation, the aforementioned indemnification obligations, "
        "inclusive of consequential liabilities arising from unauthorised intermediary representations, "
    ) * 4
    assert value(Text(), Item("?", ANSWER * 3), "text.hard_to_read") < 0.2
    assert value(Text(), Item("?", hard + "survive."), "text.hard_to_read") >= 0.9
    assert why(Text(), Item("?", SAID["ru"] * 5), "text.hard_to_read") == "not in Latin letters"


SYSTEM = "Reply only with a JSON object that has the keys name and price."


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ('{"name": "Ann", "price": 3}', 0.0),
        (" [1, 2.5e3, null]\n", 0.0),
        ('```json\n{"name": "Ann"}\n```', 0.2),
        ('{"a": 1}\n{"a": 2}', 0.3),
        ('Sure! Here it is:\n{"name": "Ann"}\nAnything else?', 0.6),
        ('{"name": "Ann", "price": ', 1.0),
        ("{'name': 'Ann'}", 1.0),
        ('{"price": NaN}', 1.0),
        ('{"a": 1,}', 1.0),
        ("The price is three.", 1.0),
        ("[" * 100_000, 1.0),
        ("9" * 10_000, 0.0),
        ('{"card": [CARD], "mail": "[EMAIL]"}', 0.0),
        ('{"card": [CARD], "mail": ', 1.0),
    ],
)
def test_json_that_was_asked_for_is_judged(output: str, expected: float) -> None:
    found = scored(JsonValidity(), Item("Who?", output, system=SYSTEM))["json.invalid"]
    assert found.values[0] == pytest.approx(expected)
    assert bool(found.evidence[0]) == (expected > 0)


def test_an_output_that_was_cut_is_not_judged() -> None:
    cut = '{"names": ["Ann", "B […cut from 90000 characters]'
    assert why(JsonValidity(), Item("?", cut, system=SYSTEM), "json.invalid") == "cut by us"
    assert why(Text(), Item("?", cut), "text.unfinished") == "cut by us"


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda one: st.lists(one, max_size=3))
)
def test_whatever_json_writes_is_json(held: object) -> None:
    assert value(JsonValidity(), Item("?", json.dumps(held), system=SYSTEM), "json.invalid") == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Return the result as JSON.", True),
        ("Answer in JSON format", True),
        ("Antworte nur als JSON", True),
        ("Output valid JSON with two keys", True),
        ("What is JSON?", False),
        ("How do I write a JSON parser in Rust?", False),
        ("Do not answer in JSON.", False),
        ("Write a script that prints a dictionary as a JSON file", False),
        ("Summarise the text.", False),
    ],
)
def test_json_is_judged_only_where_it_was_asked_for(text: str, expected: bool) -> None:
    assert asked(text) is expected
    assert (why(JsonValidity(), Item(text, "no json"), "json.invalid") == "") is expected
