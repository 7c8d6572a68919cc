from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from inferwatch.detectors import registry
from inferwatch.detectors.base import F32, Batch, Detector, Encoder, Field, Item, Scores
from inferwatch.detectors.registry import known_detectors, load_detectors, require_encoder
from inferwatch.schemas.errors import Misconfigured


class Politeness(Detector):
    """A plug-in of somebody else that takes a score name already in use."""

    name, version = "politeness", "1"
    reads = frozenset({Field.OUTPUT})
    emits = {"toxicity.output": 0.5}  # noqa: RUF012

    def texts(self, item: Item) -> Iterable[str]:
        return ()

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        n = len(batch.items)
        return (Scores("toxicity.output", np.zeros(n, np.float32), ("",) * n, ((),) * n),)


class OtherEncoder:
    revision, family, dim = "of-somebody-else-p1", "st-of-somebody-else", 384

    def encode(self, texts: Iterable[str]) -> F32:
        raise AssertionError("never asked")


def install(monkeypatch: pytest.MonkeyPatch, **plugins: str) -> None:
    real = registry.entry_points

    def with_plugins(*, group: str) -> list[EntryPoint]:
        return [*real(group=group), *(EntryPoint(name, value, group) for name, value in plugins.items())]

    monkeypatch.setattr(registry, "entry_points", with_plugins)


def test_detectors_are_found_by_name_in_the_order_asked_for() -> None:
    assert {"toxicity", "hallucination"} <= set(known_detectors())
    assert [detector.name for detector in load_detectors(["hallucination", "toxicity"])] == [
        "hallucination",
        "toxicity",
    ]
    assert load_detectors([]) == []


def test_an_unknown_name_says_what_was_meant() -> None:
    with pytest.raises(Misconfigured, match=r"'toxicty' \(did you mean 'toxicity'\?\); installed: .*hallucination"):
        load_detectors(["toxicty"])
    with pytest.raises(Misconfigured, match="'zzz'; installed"):
        load_detectors(["zzz"])


def test_two_plug_ins_with_one_score_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "Politeness", Politeness, raising=False)
    install(monkeypatch, politeness="inferwatch.detectors.registry:Politeness")
    with pytest.raises(Misconfigured, match=r"'toxicity' and 'politeness' both emit the score 'toxicity\.output'"):
        load_detectors(["toxicity", "politeness"])
    assert load_detectors(["politeness"])[0].name == "politeness"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("inferwatch.no_such_module:X", "cannot be loaded"),
        ("inferwatch.detectors.registry:NoSuchClass", "cannot be loaded"),
        ("builtins:dict", "is a dict, not a Detector"),
    ],
)
def test_a_broken_plug_in_is_named(monkeypatch: pytest.MonkeyPatch, value: str, message: str) -> None:
    install(monkeypatch, broken=value)
    with pytest.raises(Misconfigured, match=rf"'broken' \({value}\) {message}"):
        load_detectors(["broken"])


def test_detectors_that_the_configuration_describes_are_made_when_named() -> None:
    made: list[str] = []

    def make() -> Detector:
        made.append("own")
        return Politeness()

    own = {"own": make}
    assert load_detectors([], configured=own) == []
    assert made == []
    assert [one.name for one in load_detectors(["hallucination", "own"], configured=own)] == [
        "hallucination",
        "politeness",
    ]
    with pytest.raises(Misconfigured, match=r"'owm' \(did you mean 'own'\?\); installed: .*own"):
        load_detectors(["owm"], configured=own)
    with pytest.raises(Misconfigured, match="both emit the score"):
        load_detectors(["toxicity", "own"], configured=own)
    with pytest.raises(Misconfigured, match="'toxicity' under models or judges, and so is an installed detector"):
        load_detectors(["own"], configured={"toxicity": make})


def test_two_plug_ins_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, toxicity="builtins:dict")
    with pytest.raises(Misconfigured, match="two plug-ins are named 'toxicity'"):
        load_detectors(["toxicity"])


def test_weights_for_another_encoder_are_refused(encoder: Encoder) -> None:
    detectors = load_detectors(["toxicity", "hallucination"], encoder)
    with pytest.raises(Misconfigured, match=rf"trained for encoder {encoder.family}.*st-of-somebody-else"):
        require_encoder(detectors, OtherEncoder())
    with pytest.raises(Misconfigured, match="'hallucination' was trained for"):
        load_detectors(["hallucination"], OtherEncoder())
