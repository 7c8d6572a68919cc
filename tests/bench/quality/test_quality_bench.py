"""The quality benchmark: its arithmetic, a miniature of it, and that the page says what the raw results say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from inferwatch.detectors.base import Batch, Encoder, Item, Scores
from inferwatch.detectors.encoder.cache import CachedEncoder
from inferwatch.detectors.encoder.sentence_transformer import SentenceTransformerEncoder
from inferwatch.detectors.evaluation.calibration import calibration
from inferwatch.detectors.hallucination.corpora import FOLDS, Examples
from inferwatch.detectors.hallucination.detector import Hallucination
from inferwatch.detectors.hallucination.fit import in_part
from inferwatch.detectors.toxicity.detector import Toxicity
from tests.bench.parts import summary
from tests.bench.quality import report, scoring
from tests.bench.quality.__main__ import SUMMARY
from tests.bench.quality.bias import bias
from tests.bench.quality.cost import measure
from tests.bench.quality.edits import judged as judged_edits
from tests.bench.quality.grounding import SCORE, Set, _measured, _set, summedits, within
from tests.bench.quality.recalibrated import recalibrated
from tests.bench.quality.results import BOTH, FOLDER, OWN
from tests.bench.quality.sets import Madlibs, _identity, hatecheck, need, some
from tests.bench.quality.toxicity import judged
from tests.bench.quality.training_free import NAMES, training_free

RUDE = ["You are a stupid worthless idiot.", "Shut up, you disgusting moron.", "Get lost, you filthy fool."]
KIND = ["Thank you for your patience.", "Your parcel is on its way.", "The library opens at nine."]
CONTEXT = "Standard delivery takes two working days. Returns are free for thirty days."
HELD = ["Standard delivery takes two working days.", "Returns are free for thirty days."]
INVENTED = ["Our stores in Madrid sell unicorns on Sundays.", "Gold members fly to the moon with Captain Reed."]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return CachedEncoder(SentenceTransformerEncoder(threads=1), 1000)


def test_insults_are_told_from_kindness_and_one_label_gives_no_ranking(encoder: Encoder) -> None:
    labels = np.array([True] * 3 + [False] * 3)
    found = judged([*RUDE, *KIND], labels, Toxicity(), encoder, None, 50)
    assert (found["n"], found["bad"], found["coverage"]) == (6, 3, 1.0)
    assert found["methods"][OWN]["auc"]["value"] == 1
    assert found["methods"][OWN]["at"]["threshold"] == Toxicity.emits["toxicity.output"]
    alone = judged(RUDE, labels[:3], Toxicity(), encoder, None, 50)["methods"][OWN]
    assert set(alone) == {"at"}


def test_what_abstains_is_flagged_at_no_threshold(encoder: Encoder) -> None:
    items = [Item(output=INVENTED[0], contexts=(CONTEXT,)), Item(output=INVENTED[0])]
    said = scoring.score(Hallucination(), encoder, items, SCORE)
    assert said.values[0] > said.threshold
    assert said.values[1] == 0
    assert said.coverage == 0.5


def test_a_miniature_of_grounding(encoder: Encoder) -> None:
    items = [Item(output=text, contexts=(CONTEXT,)) for text in (*HELD, *INVENTED)]
    labels = np.array([False, False, True, True])
    one = _set(items, labels, scoring.score(Hallucination(), encoder, items, SCORE), encoder)
    found = _measured(one, 20)
    assert list(found["methods"]) == [OWN, *NAMES]
    assert found["groups"] == 1
    assert all(method["auc"]["value"] == 1 for method in found["methods"].values())


def test_each_answer_is_scored_by_who_was_fitted_without_it(encoder: Encoder) -> None:
    class Says(Hallucination):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.value = value

        def score(self, batch: Batch) -> tuple[Scores, ...]:
            self.asked = tuple(batch.items)
            n = len(batch.items)
            return (Scores(SCORE, np.full(n, self.value, np.float32), ("",) * n, ((),) * n),)

    items = tuple(Item(output=f"{HELD[0]} {n}", contexts=(f"{CONTEXT} {n // 2}",)) for n in range(40))
    examples = Examples(items, np.arange(40) % 2 == 1)
    parts = [Says(part / FOLDS) for part in range(FOLDS)]
    found = within({"news": examples}, parts, encoder, 20)
    assert sorted(map(repr, (item for part in parts for item in part.asked))) == sorted(map(repr, items))
    for fold, part in enumerate(parts):
        assert part.asked == tuple(items[row] for row in np.flatnonzero(in_part(examples, fold)))
    # Half of each part are wrong, whatever its detector says.
    shares = np.array([len(part.asked) for part in parts]) / 40
    error = float(shares @ np.abs(np.arange(FOLDS) / FOLDS - 0.5))
    assert found["each_answer"]["ece"]["value"] == pytest.approx(error, abs=1e-4)


def test_scores_without_training(encoder: Encoder) -> None:
    found = training_free([Item(output=HELD[0], contexts=(CONTEXT,)), Item(output="No."), Item()], encoder)
    for values in found.values():
        assert values == pytest.approx([0, 0, 0], abs=1e-3)
    half = training_free([Item(output="Delivery takes ages.", contexts=("Delivery takes long.",))], encoder)
    assert half["content words"] == pytest.approx([1 / 3])
    assert half["bigrams"] == pytest.approx([1 / 2])


def test_the_threshold_of_a_domain_comes_from_the_others() -> None:
    """The two domains are separable, but not by one threshold: at the other's, one half is right."""
    labels, groups = np.array([True, False] * 20), np.arange(40) // 2
    low, high = np.where(labels, 0.4, 0.2).astype(np.float32), np.where(labels, 0.9, 0.7).astype(np.float32)
    domains = {
        name: Set(labels, groups, {OWN: values}, 1.0, 0.5)
        for name, values in {"summedits_a": low, "summedits_b": high}.items()
    }
    found = summedits(domains, 20)[OWN]
    assert found["mean"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert found["domains"]["summedits_a"]["threshold"] == pytest.approx(0.9)
    same = summedits(domains | {"summedits_b": domains["summedits_a"]}, 20)[OWN]
    assert same["mean"]["value"] == 1
    assert summedits({"summedits_a": domains["summedits_a"]}, 20) == {}


@pytest.mark.parametrize(("shift", "area"), [(0.4, 1), (-0.4, 2)])
def test_a_group_called_toxic_has_a_low_bpsn_and_one_whose_insults_are_missed_a_low_bnsp(
    shift: float, area: int
) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(800) % 2 == 0
    names = np.repeat(["apart", "b", "c", "d"], 200)
    values = 0.5 + 0.2 * labels + shift * (names == "apart") + rng.normal(0, 0.05, 800)
    found = bias(Madlibs(tuple(map(str, range(800))), labels, tuple(names.tolist())), values, 20)
    areas = np.array(list(found["identities"].values()))
    assert areas[:, 0].min() > 0.95
    assert areas[0, area] < 0.1
    assert areas[1:, area].min() > 0.6
    assert found["worst"][("subgroup", "bpsn", "bnsp")[area]] == pytest.approx(areas[0, area], abs=1e-3)
    assert found["subgroup_gap"]["value"] == pytest.approx(np.ptp(areas[:, 0]), abs=1e-3)


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("Aki is a great asian", "asian"),
        ("Being middle aged is caring.", "middle aged"),
        ("murder african american", "african american"),
        ("You are a dumb american", "american"),
        ("i hate gay", "gay"),
    ],
)
def test_the_identity_of_a_template(text: str, identity: str) -> None:
    assert _identity(text) == identity


def test_the_threshold_for_edits_comes_from_the_other_families() -> None:
    labels = np.arange(80) % 2 == 1
    seen = np.where(labels, 0.8, 0.3).astype(np.float32)
    found = judged_edits({"a": (labels, seen), "b": (labels, seen)}, 0.5, 20)
    assert found["pairs"] == 80
    assert (found["at_others"]["precision"]["value"], found["at_others"]["recall"]["value"]) == (1, 1)
    blind = np.full(80, 0.3, np.float32)
    hidden = judged_edits({"a": (labels, blind), "b": (labels, blind)}, 0.5, 20)
    assert hidden["at_others"]["flagged"] == 0
    assert hidden["at_others"]["recall"]["value"] == 0


def test_cost_counts_what_only_a_detector_has_encoded(encoder: Encoder) -> None:
    items = [Item("When?", f"{text} {INVENTED[0]}", (CONTEXT,)) for text in HELD]
    found = measure(items, [Hallucination()], SentenceTransformerEncoder(threads=1), rounds=1)
    assert found["texts"] == 3
    share = found["shares"]["hallucination"]
    assert share["more_texts"] == len({HELD[0], HELD[1], INVENTED[0]})
    assert share["work"] > 0
    assert share["texts"] > 0


def test_labels_of_a_family_take_most_of_its_calibration_error_away() -> None:
    rng = np.random.default_rng(3)
    values = rng.random(1_000).astype(np.float32)
    labels = rng.random(1_000) < 0.3 * values
    before = calibration(labels, values, np.ones(1_000)).error
    found = recalibrated(labels, values)
    assert found is not None
    assert found["ideal"] <= found["ece"] < before / 4
    assert found == recalibrated(labels, values), "seeded"
    assert recalibrated(labels[:150], values[:150]) is None
    assert recalibrated(np.zeros(1_000, bool), values) is None


def test_rows_are_drawn_by_their_text_alone() -> None:
    texts = [f"text {place}" for place in range(100)]
    chosen = {texts[row] for row in some(texts, 10)}
    assert len(chosen) == 10
    assert {texts[::-1][row] for row in some(texts[::-1], 10)} == chosen
    assert some(texts, 1000).tolist() == list(range(100))


def test_hatecheck_as_it_is_distributed(tmp_path: Path) -> None:
    folder = tmp_path / "toxicity"
    folder.mkdir()
    (folder / "hatecheck.csv").write_text(
        "functionality,test_case,label_gold\nslur_h,You are one. ,hateful\nslur_nh,He was one.,non-hateful\n"
    )
    texts, labels, functions = hatecheck(tmp_path)
    assert (texts, labels.tolist(), functions) == (
        ("You are one.", "He was one."),
        [True, False],
        ("slur_h", "slur_nh"),
    )
    assert need(tmp_path) == tmp_path
    with pytest.raises(SystemExit, match=r"no data at .*--data FOLDER"):
        need(tmp_path / "nothing")


def test_a_page_of_a_miniature(encoder: Encoder, tmp_path: Path) -> None:
    about = {
        "machine": {"cores": 2, "cpu": "a CPU", "instructions": ["avx2"], "load_before": 0.0},
        "measured_at": "2026-11-25T00:00:00+00:00",
        "encoder": {"backend": "torch"},
    }
    labels = np.array([True] * 3 + [False] * 3)
    texts = [*RUDE, *KIND]
    both = judged(texts, labels, Toxicity(), encoder, None, 20)
    alone = judged(RUDE, labels[:3], Toxicity(), encoder, None, 20)
    identities = Madlibs(tuple(texts), labels, ("a", "b") * 3)
    toxicity = about | {
        "families": {"tweets": both, "insults": alone},
        "within": {"tweets": both},
        "hatecheck": both,
        "functions": {"slur_h": {"hateful": True, "n": 3, "flagged": 1.0}},
        "bias": {"all": bias(identities, np.linspace(1, 0, 6), 20)},
        "benign": {OWN: {"n": 3, "flagged": 0, "rate": 0.0, "low": 0.0, "high": 0.56}},
        "versions": {"VADER": "3.3.2"},
        "missing": "",
    }
    items = [Item(output=text, contexts=(CONTEXT,)) for text in (*HELD, *INVENTED)]
    said = scoring.score(Hallucination(), encoder, items, SCORE)
    one = _set(items, np.array([False, False, True, True]), said, encoder)
    domains = summedits({"summedits_news": one, "summedits_samsum": one}, 20)
    unseen = within({"news": Examples(tuple(items), one.labels)}, [Hallucination()] * FOLDS, encoder, 20)
    grounding = about | {"families": {"news": _measured(one, 20)}, "within": unseen, "summedits": domains}
    alternating = np.arange(8) % 2 == 1
    changed = judged_edits({"a": (alternating, alternating.astype(np.float32))}, 0.5, 20)
    edits = about | {"precision": 0.9, "kinds": {"number": changed}}
    cost = about | {"rounds": 1, "found": {"short": measure(items[:2], [Toxicity()], encoder, 1)}}
    found = {"toxicity": toxicity, "grounding": grounding, "edits": edits, "cost": cost}
    text = report.page(found)
    assert "| **tweets** (6, 3 bad) | inferwatch | 1.000 [1.000, 1.000] |" in text
    assert "| **insults** (3, 3 bad) | inferwatch | - | - | - | - | - |" in text
    assert "| as fitted | 1.000 [1.000, 1.000] |" in text
    assert "| QAFactEval (published) | 67.4 |  |  |" in text
    assert "| inferwatch | 3 | 0 | 0.00 % [0.00, 56.00] |" in text
    assert "| number | 4 | 1.000" in text
    assert "nan" not in text.lower().replace("finance", "")
    readme = report.with_headline(f"before\n{report.BEGIN}old\n{report.END}after", found)
    assert "toxicity ROC-AUC 1.00" in readme
    assert "old" not in readme
    report.plot(found, tmp_path / "plots")
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"toxicity.svg", "grounding.svg"}


def test_the_page_and_the_readme_say_what_the_raw_results_say() -> None:
    found = report.results(FOLDER)
    assert set(found) <= set(report.SECTIONS)
    if found:
        assert report.PAGE.read_text() == report.page(found)
        readme = report.README.read_text()
        assert readme == report.with_headline(readme, found)


def test_a_part_that_did_not_run_has_no_number(tmp_path: Path) -> None:
    assert summary(SUMMARY, tmp_path) == dict.fromkeys(SUMMARY)
    methods = {OWN: {"auc": {"value": 0.75}, "ece": {"value": 0.1}}}
    easy = {"methods": {OWN: {"auc": {"value": 1.0}, "ece": {"value": 0.0}}}}
    raw = {
        "families": {"a": {"methods": methods}, "b": {"methods": {OWN: {"at": {}}}}, "support": easy},
        "summedits": {},
    }
    (tmp_path / "grounding.json").write_text(json.dumps(raw))
    assert summary(SUMMARY, tmp_path)["features_grounding_mean_auc"] == 0.75
    assert summary(SUMMARY, tmp_path)["grounding_mean_auc"] is None
    (tmp_path / "entailment.json").write_text(json.dumps(raw).replace(f'"{OWN}"', f'"{BOTH}"'))
    assert summary(SUMMARY, tmp_path)["grounding_mean_auc"] == 0.75
    assert summary(SUMMARY, tmp_path)["grounding_ece"] == 0.1
