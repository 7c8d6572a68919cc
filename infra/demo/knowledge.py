"""The demo company's knowledge base and turns of phrase, read from the YAML files beside this module."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

TOPICS = ("billing", "payments", "tariffs", "meters", "moving", "broadband", "solar", "charging")
"""What customers ask about on every day."""
NEW_TOPIC = "recall"
"""What nobody asked about before the incident."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One statement of a passage, questions about it, and faithful answers to each of them."""

    says: str
    asks: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """One retrievable text: its facts in order."""

    title: str
    facts: tuple[Fact, ...]

    @property
    def text(self) -> str:
        """What the retriever hands to the model."""
        return f"{self.title}. " + " ".join(fact.says for fact in self.facts)


@dataclass(frozen=True, slots=True)
class Topic:
    """Passages that belong together, what customers tell about themselves, and what a lying model makes up."""

    name: str
    passages: tuple[Passage, ...]
    situations: tuple[str, ...]
    invented: tuple[str, ...]


@cache
def topic(name: str) -> Topic:
    """Return one topic of the knowledge base."""
    data = _read(f"topic_{name}.yaml")
    passages = tuple(
        Passage(
            passage["title"],
            tuple(Fact(fact["says"], _lines(fact["asks"]), _lines(fact["answers"])) for fact in passage["facts"]),
        )
        for passage in data["passages"]
    )
    return Topic(data["topic"], passages, _lines(data["situations"]), _lines(data["invented"]))


@cache
def phrases(kind: str) -> tuple[str, ...]:
    """Return the turns of phrase of one kind, such as ``question_openers``."""
    return _lines(_read("phrases.yaml")[kind])


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


@cache
def _read(name: str) -> dict[str, Any]:
    found = yaml.safe_load(resources.files("inferwatch.infra.demo").joinpath(name).read_text("utf-8"))
    if not isinstance(found, dict):
        raise TypeError(f"{name} must hold a mapping, got {type(found).__name__}")
    return found
