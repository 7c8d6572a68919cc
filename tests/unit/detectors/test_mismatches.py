from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.detectors.hallucination.edits import KINDS, change, name_pool
from inferwatch.detectors.hallucination.mismatches import known, mismatches
from inferwatch.detectors.hallucination.names import names
from inferwatch.detectors.hallucination.negation import denied

CONTEXTS = (
    "Maria Keller sold Norvik Shipping to Oslo Lines for 3.5 million euros on 4 May 2019. "
    "The deal was not approved by the regulator until July. Norvik employs 120 people and 14 captains.",
    "Oslo Lines, founded in 1983, runs ferries between Norway and Germany. A crossing takes 9 hours.",
)
TRUE_CLAIMS = (
    "Maria Keller sold Norvik Shipping to Oslo Lines.", "The price was €3.5 million.",
    "The sale took place in May 2019.", "It employs one hundred and twenty people.",
    "A crossing between Norway and Germany takes 9 hours.", "The German crossing takes nine hours.",
    "Two companies were involved.", "The deal had to wait until July.", "Oslo Lines runs ferries.",
)  # fmt: skip


def kinds(claim: str, contexts: tuple[str, ...] = CONTEXTS, question: str = "") -> list[str]:
    sentences = tuple(f"{part}." for context in contexts for part in context.split(". "))
    return [one.kind for one in mismatches(claim, known(contexts, question, sentences))]


@pytest.mark.parametrize("claim", TRUE_CLAIMS)
def test_what_the_contexts_say_has_no_mismatch(claim: str) -> None:
    assert kinds(claim) == []


@pytest.mark.parametrize(
    ("claim", "kind"),
    [
        ("The price was 3.7 million euros.", "number"), ("The price was 3.5 million dollars.", "number"),
        ("It employs 120 captains.", "number"), ("The sale took place on 5 May 2019.", "number"),
        ("Maria Keller sold Norvik Shipping to Bergen Lines.", "name"), ("Ferries run on Saturday.", "name"),
        ("The ferries to Denmark are cheap.", "name"),
        ("Oslo Lines sold Norvik Shipping to Maria Keller.", "relation"),
        ("Oslo Lines does not run ferries between Norway and Germany.", "negation"),
    ],
)  # fmt: skip
def test_one_changed_fact_is_found(claim: str, kind: str) -> None:
    assert kind in kinds(claim)


def test_what_the_question_says_is_known() -> None:
    assert kinds("Order 99812 of Mrs Okafor ships.") == ["number", "name"]
    assert kinds("Order 99812 of Mrs Okafor ships.", question="Where is order 99812 of Mrs Okafor?") == []


def test_a_mismatch_lies_where_it_says() -> None:
    claim = "It employs 121 people in Bergen."
    found = mismatches(claim, known(CONTEXTS, "", CONTEXTS))
    assert [claim[one.start : one.end] for one in found] == ["121", "Bergen"]
    assert "they say 120" in found[0].reason


@given(st.permutations(CONTEXTS), st.sampled_from((*TRUE_CLAIMS, "It employs 121 people in Bergen.")))
def test_the_order_of_the_contexts_does_not_matter(order: list[str], claim: str) -> None:
    assert kinds(claim, tuple(order)) == kinds(claim)


@given(st.sampled_from(TRUE_CLAIMS), st.text(max_size=80))
def test_a_claim_that_a_context_repeats_has_no_unknown_number_or_name(claim: str, more: str) -> None:
    reasons = [one.reason for one in mismatches(claim, known((more, claim), "", (more, claim)))]
    assert not [reason for reason in reasons if "is not in the contexts" in reason]


@given(st.sampled_from(TRUE_CLAIMS), st.sampled_from(KINDS), st.integers(0, 2**32))
def test_an_edit_changes_the_claim_at_one_place(claim: str, kind: str, seed: int) -> None:
    pool = name_pool(["We met Ludmila in Zagreb with Tanaka."])
    edit = change(claim, CONTEXTS, kind, pool, np.random.default_rng(seed))
    if edit is not None:
        assert edit.text != claim
        assert edit.text.startswith(claim[: edit.start])
        assert edit.text[edit.end :] == claim[len(claim) - (len(edit.text) - edit.end) :]
        assert edit == change(claim, CONTEXTS, kind, pool, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", ["number", "name", "unit", "date"])
def test_edits_from_elsewhere_are_all_found(kind: str) -> None:
    pool = name_pool(["We met Ludmila in Zagreb with Tanaka."])
    rng = np.random.default_rng(0)
    made = [change(claim, CONTEXTS, kind, pool, rng) for claim in TRUE_CLAIMS for _ in range(5)]
    found = [bool(kinds(edit.text)) for edit in made if edit is not None]
    assert found
    assert all(found)


def test_names_are_words_that_english_does_not_write_small() -> None:
    assert [
        name.key for name in names("Yesterday the Support Team met Maria in Oslo. Additionally, Bergen waits.")
    ] == [
        "maria",
        "oslo",
        "bergen",
    ]
    assert names("[EMAIL] and we'll see. I'm sure. Quickly done.") == ()


def test_denial_ends_with_its_clause() -> None:
    assert denied("He did not pay, but the fee was refunded.") == denied("He didn't pay.") != frozenset()
    assert denied("It is not only cheap. No longer than two days.") == frozenset()
