"""Plans keep the budget, favour risk and are the same for the same rows; a draw is a function of the row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.detectors.base import Batch, Detector, Field, Item, Scores
from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.schemas.clock import ManualClock, SystemClock
from inferwatch.schemas.errors import Misconfigured, StoreUnavailable
from inferwatch.schemas.settings import BudgetSettings, Settings
from inferwatch.schemas.windows import Window
from inferwatch.streams.pipeline import Pipeline
from inferwatch.streams.plans import HOLDS, Planner, Plans
from inferwatch.streams.sampling import BANDS, BOUNDS, NOT_SAMPLED, bands, chance, probabilities

DAY = datetime(2026, 3, 1, tzinfo=UTC)
SIZE = timedelta(minutes=10)

shares = st.floats(0.001, 1)
counts = st.lists(st.integers(0, 10**7), min_size=BANDS, max_size=BANDS)


def cost(seen: Sequence[int], plan: Sequence[float]) -> float:
    return sum(n * one for n, one in zip(seen, plan, strict=True)) / sum(seen)


# Plans


@given(counts, shares, st.floats(0.01, 1))
def test_a_plan_keeps_the_budget_and_the_floor_and_favours_risk(seen: list[int], share: float, part: float) -> None:
    budget = BudgetSettings(share=share, floor=max(0.0001, share * part))
    plan = probabilities(seen, budget)
    assert len(plan) == BANDS
    assert all(budget.lowest <= one <= 1 for one in plan)
    assert list(plan[1:]) == sorted(plan[1:])
    assert plan[0] == share
    if sum(seen):
        assert cost(seen, plan) <= share * (1 + 1e-9)


@given(counts.filter(lambda seen: sum(seen[1:]) > 0), shares)
def test_a_plan_spends_what_it_may(seen: list[int], share: float) -> None:
    plan = probabilities(seen, BudgetSettings(share=share))
    assert cost(seen, plan) == pytest.approx(share, rel=1e-6)


@given(counts, shares, shares)
def test_a_larger_budget_samples_no_band_less(seen: list[int], one: float, other: float) -> None:
    small, large = sorted((one, other))
    few = probabilities(seen, BudgetSettings(share=small, floor=0.0001))
    many = probabilities(seen, BudgetSettings(share=large, floor=0.0001))
    assert all(a <= b * (1 + 1e-9) for a, b in zip(few, many, strict=True))


def test_the_proportions_matter_and_not_the_number_of_rows() -> None:
    budget = BudgetSettings(share=0.05)
    few, many = probabilities([10, 50, 5, 3, 2, 1], budget), probabilities([1000, 5000, 500, 300, 200, 100], budget)
    assert few == pytest.approx(many, rel=1e-12)
    assert probabilities([7, 0, 0, 0, 0, 0], budget) == (0.05,) * BANDS


def test_bands_end_where_they_say() -> None:
    values = [np.nan, 0.0, *BOUNDS, 1.0]
    assert bands(np.array(values)).tolist() == [0, 1, 2, 3, 4, 5, 5]


@given(counts, shares, st.floats(0.01, 1))
def test_a_cascade_keeps_the_budget_and_looks_most_where_the_guide_is_unsure(
    seen: list[int], share: float, part: float
) -> None:
    budget = BudgetSettings(share=share, floor=max(0.0001, share * part), prefer="uncertain")
    plan = probabilities(seen, budget)
    assert all(budget.lowest <= one <= 1 for one in plan)
    assert max(plan[1:]) == plan[4]
    assert list(plan[1:5]) == sorted(plan[1:5])
    assert plan[5] <= plan[4]
    if sum(seen):
        assert cost(seen, plan) <= share * (1 + 1e-9)


def test_a_cascade_looks_less_at_what_the_guide_is_sure_of() -> None:
    seen = [0, 60, 20, 10, 5, 5]
    risky = probabilities(seen, BudgetSettings(share=0.1))
    unsure = probabilities(seen, BudgetSettings(share=0.1, prefer="uncertain"))
    assert risky[4] == risky[5]
    assert unsure[4] > risky[4]
    assert unsure[5] < risky[5]


# The draw


@given(st.text(), st.text(), st.text())
def test_a_draw_is_a_function_of_the_row_and_the_detector(application: str, inference: str, detector: str) -> None:
    found = chance(application, inference, detector)
    assert 0 <= found < 1
    assert chance(application, inference, detector) == found


def test_draws_are_uniform_and_those_of_two_detectors_independent() -> None:
    from scipy import stats

    n = 20_000
    one = np.array([chance("shop", f"id-{row}", "judge") for row in range(n)])
    other = np.array([chance("shop", f"id-{row}", "entailment") for row in range(n)])
    assert stats.kstest(one, "uniform").pvalue > 0.01
    table, _, _ = np.histogram2d(one, other, bins=8, range=[[0, 1], [0, 1]])
    assert stats.chi2_contingency(table).pvalue > 0.01


def test_the_draw_has_nothing_in_common_with_the_sample_of_drift(store: ClickHouseStore) -> None:
    from scipy import stats

    n = 5000
    rows = store.query(f"SELECT concat('id-', toString(number)) AS id, cityHash64(id) AS hash FROM numbers({n})")
    place = np.array(rows["hash"].to_pylist(), dtype=np.float64)
    drawn = np.array([chance("shop", row["id"], "judge") for row in rows.to_pylist()])
    assert stats.spearmanr(place, drawn).pvalue > 0.01


def test_a_share_of_one_draws_every_row() -> None:
    assert all(chance("shop", f"id-{row}", "judge") < np.float32(1) for row in range(1000))


# Scoring


class Hint(Detector):
    """The cheap guide: the share of exclamation marks in the output; abstains on none."""

    name, version = "hint", "1"
    reads = frozenset({Field.OUTPUT})
    emits: Mapping[str, float] = {"hint": 0.5}

    def texts(self, item: Item) -> list[str]:
        return []

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        texts = [item.output.strip() for item in batch.items]
        values = np.array([text.count("!") / len(text) if text else np.nan for text in texts], np.float32)
        return (Scores("hint", values, tuple("" if text else "no output" for text in texts), ((),) * len(texts)),)


class Judge(Detector):
    """The dear one: reads vectors of both texts; notes what it was asked."""

    name, version = "judge", "1"
    reads = frozenset({Field.INPUT, Field.OUTPUT})
    emits: Mapping[str, float] = {"judge.a": 0.5, "judge.b": 0.5}

    def __init__(self) -> None:
        self.asked: list[str] = []

    def texts(self, item: Item) -> list[str]:
        return [f"judge reads {item.output}", item.input] if item.output.strip() else []

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        found = []
        for item in batch.items:
            if "explode" in item.output:
                raise ArithmeticError("boom")
            self.asked.append(item.output)
            texts = self.texts(item)
            found.append(float(abs(batch.embed(texts)[0] @ batch.embed(texts)[1])) if texts else np.nan)
        values = np.clip(np.array(found, np.float32), 0, 1)
        reasons = tuple("no output" if np.isnan(one) else "" for one in found)
        return tuple(Scores(name, values, reasons, ((),) * len(found)) for name in self.emits)


def pipeline(store: Any, encoder: Any, budget: Mapping[str, Any], *, judge: Judge | None = None) -> Pipeline:
    settings = Settings.model_validate({"detectors": {"budgets": {"judge": budget}}, "windows": {"size": "10m"}})
    return Pipeline(settings, encoder, [judge or Judge(), Hint()], store, SystemClock())


def outputs(n: int) -> list[str]:
    texts = ["", "all is well", "careful!", "no! no! no!", "!!!!", "explode"]
    return [f"{texts[place % 6]} {place}" if place % 6 else "" for place in range(n)]


def seen(prepared: Any) -> list[tuple[Any, ...]]:
    """Everything a row says of the judge and its sampling."""
    return [
        (
            entry.log.id,
            *((scores.name, scores.abstained[row], round(float(scores.values[row]), 5)) for scores in prepared.scores),
            *((name, float(chances[row])) for name, chances in prepared.inclusion.items()),
        )
        for row, entry in enumerate(prepared.entries)
    ]


def test_a_batch_scores_as_its_records_do_one_by_one(store: ClickHouseStore, encoder: Any, record: Any) -> None:
    budget = {"share": 0.4, "guide": "hint"}
    records = [record(n, output=text) for n, text in enumerate(outputs(60))]
    together = seen(pipeline(store, encoder, budget).prepare(records))
    single = [line for one in records for line in seen(pipeline(store, encoder, budget).prepare([one]))]
    assert repr(together) == repr(single)
    again = seen(pipeline(store, encoder, budget).prepare(records[::-1]))[::-1]
    assert repr(together) == repr(again)


def test_only_sampled_rows_reach_the_detector_and_the_encoder_sees_each_text_once(
    store: ClickHouseStore, encoder: Any, record: Any
) -> None:
    judge = Judge()
    texts = [f"fine {n % 50}" for n in range(200)]
    prepared = pipeline(store, encoder, {"share": 0.2}, judge=judge).prepare(
        [record(n, output=text) for n, text in enumerate(texts)]
    )
    a, b, hint = prepared.scores
    assert (a.name, b.name, hint.name) == ("judge.a", "judge.b", "hint")
    drawn = [row for row in range(200) if chance("shop", f"id-0-{row}", "judge") < np.float32(0.2)]
    assert 20 < len(drawn) < 60
    assert [row for row in range(200) if a.abstained[row] != NOT_SAMPLED] == drawn
    assert judge.asked == [texts[row] for row in drawn]
    assert len(encoder.seen) == len(set(encoder.seen))
    assert {text for text in encoder.seen if text.startswith("judge")} == {f"judge reads {texts[row]}" for row in drawn}


def test_a_row_says_with_which_probability_it_was_drawn(store: ClickHouseStore, encoder: Any, record: Any) -> None:
    one = pipeline(store, encoder, {"share": 0.3})
    one.commit(one.prepare([record(n, output=text) for n, text in enumerate(outputs(60))]))
    rows = store.query("SELECT id, scores, abstained, inclusion FROM inferences").to_pylist()
    reasons = set()
    for row in rows:
        assert dict(row["inclusion"]) == {"judge.a": np.float32(0.3), "judge.b": np.float32(0.3)}
        scored = "judge.a" in dict(row["scores"])
        reason = dict(row["abstained"]).get("judge.a", "")
        assert scored == (not reason)
        assert (reason == NOT_SAMPLED) == (chance("shop", row["id"], "judge") >= np.float32(0.3))
        reasons.add(reason)
    assert reasons == {"", NOT_SAMPLED, "no output", "detector failed: ArithmeticError"}


def test_without_budgets_rows_say_nothing_of_sampling(store: ClickHouseStore, build: Any, record: Any) -> None:
    one = build(store)
    one.commit(one.prepare([record(0)]))
    assert store.query("SELECT inclusion FROM inferences").to_pylist() == [{"inclusion": []}]


@pytest.mark.parametrize(
    ("name", "guide", "message"),
    [
        ("jugde", None, r"detectors\.budgets names 'jugde'; enabled detectors: \['judge', 'hint'\]"),
        (
            "judge",
            "hnt",
            r"budgets\.judge\.guide must be a score of a detector without a budget \(\['hint'\]\), got 'hnt'",
        ),
        ("judge", "judge.a", r"got 'judge\.a'"),
    ],
)
def test_a_budget_that_cannot_work_is_refused(
    store: ClickHouseStore, encoder: Any, name: str, guide: str | None, message: str
) -> None:
    settings = Settings.model_validate({"detectors": {"budgets": {name: {"share": 0.1, "guide": guide}}}})
    with pytest.raises(Misconfigured, match=message):
        Pipeline(settings, encoder, [Judge(), Hint()], store, SystemClock())


# Plans in the store

BUDGETS = {"judge": BudgetSettings(share=0.1, guide="hint")}


def window(place: int) -> Window:
    return Window(DAY + place * SIZE, DAY + (place + 1) * SIZE)


def fill(store: ClickHouseStore, encoder: Any, record: Any, first: int, last: int, output: str) -> None:
    one = pipeline(store, encoder, {"share": 0.1, "guide": "hint"})
    records = [record(n, minute=n / 10, output=f"{output} {n % 10}") for n in range(first, last)]
    one.commit(one.prepare(records))


def test_a_window_leads_to_a_plan_that_workers_find(store: ClickHouseStore, encoder: Any, record: Any) -> None:
    fill(store, encoder, record, 0, 90, "all is well")
    fill(store, encoder, record, 90, 100, "!!!!!!!!!!!")
    clock = ManualClock(DAY + timedelta(days=1))
    plans = Plans(store, BUDGETS, clock)
    plans.refresh(DAY, DAY + SIZE)
    assert plans.of("shop", "judge", DAY + 3 * SIZE) is None
    Planner(store, BUDGETS, clock).plan(window(0))
    plans.refresh(DAY, DAY + SIZE)
    assert plans.of("shop", "judge", DAY + 3 * SIZE) is None  # read a moment ago
    clock.advance(timedelta(seconds=5))
    plans.refresh(DAY, DAY + SIZE)
    found = plans.of("shop", "judge", DAY + 2 * SIZE)
    assert found == pytest.approx(probabilities([0, 90, 0, 0, 0, 10], BUDGETS["judge"]), rel=1e-6)
    assert plans.of("shop", "judge", DAY + 2 * SIZE - timedelta(milliseconds=1)) is None
    assert plans.of("other", "judge", DAY + 2 * SIZE) is None
    assert plans.of("shop", "judge", DAY + 2 * SIZE + HOLDS) is None
    assert plans.of("shop", "judge", DAY + SIZE + HOLDS) == found


def test_rows_are_drawn_by_the_plan_of_their_time_and_guide(store: ClickHouseStore, encoder: Any, record: Any) -> None:
    fill(store, encoder, record, 0, 90, "all is well")
    fill(store, encoder, record, 90, 100, "!!!!!!!!!!!")
    Planner(store, BUDGETS, SystemClock()).plan(window(0))
    plan = np.array(probabilities([0, 90, 0, 0, 0, 10], BUDGETS["judge"]), np.float32)
    one = pipeline(store, encoder, {"share": 0.1, "guide": "hint"})
    prepared = one.prepare(
        [
            record(0, minute=19.9, output="!!!!"),
            record(1, minute=20, output="!!!!"),
            record(2, minute=20, output="all is well"),
            record(3, minute=20, output=""),
            record(4, minute=20, output="!!!!", application="other"),
        ]
    )
    expected = [np.float32(0.1), plan[5], plan[1], plan[0], np.float32(0.1)]
    assert prepared.inclusion["judge.a"].tolist() == pytest.approx(expected, rel=1e-6)
    assert plan[5] > 2 * plan[1] > 0


def test_planning_twice_gives_the_same_plan_and_later_windows_remember(
    store: ClickHouseStore, encoder: Any, record: Any
) -> None:
    fill(store, encoder, record, 0, 100, "all is well")
    fill(store, encoder, record, 100, 200, "!!!!!!!!!!!")
    planner = Planner(store, BUDGETS, SystemClock())
    columns = "SELECT application, detector, effective_from, budget, counts, probabilities FROM sampling_plans"
    planner.plan(window(0))
    planner.plan(window(1))
    first = store.query(f"{columns} ORDER BY effective_from").to_pylist()
    planner.plan(window(0))
    planner.plan(window(1))
    assert store.query(f"{columns} ORDER BY effective_from").to_pylist() == first
    assert [row["counts"] for row in first] == [[0, 100, 0, 0, 0, 0], [0, 0, 0, 0, 0, 100]]
    both = probabilities([0, 100, 0, 0, 0, 100], BUDGETS["judge"])
    assert first[1]["probabilities"] == pytest.approx(both, rel=1e-6)


def test_a_plan_for_another_budget_is_not_followed(store: ClickHouseStore, encoder: Any, record: Any) -> None:
    fill(store, encoder, record, 0, 100, "all is well")
    Planner(store, BUDGETS, SystemClock()).plan(window(0))
    for change in ({"share": 0.2}, {"floor": 0.01}, {"guide": "other"}):
        plans = Plans(store, {"judge": BUDGETS["judge"].model_copy(update=change)}, SystemClock())
        plans.refresh(DAY, DAY + SIZE)
        assert plans.of("shop", "judge", DAY + 2 * SIZE) is None


def test_while_the_store_is_away_the_last_plans_go_on(store: ClickHouseStore, encoder: Any, record: Any) -> None:
    fill(store, encoder, record, 0, 100, "all is well")
    clock = ManualClock(DAY)
    Planner(store, BUDGETS, clock).plan(window(0))

    class Away:
        def __init__(self) -> None:
            self.away = False

        def query(self, *arguments: Any) -> Any:
            if self.away:
                raise StoreUnavailable("refused")
            return store.query(*arguments)

        def insert(self, *_: Any, **__: Any) -> None:
            raise AssertionError

    door = Away()
    plans = Plans(door, BUDGETS, clock)
    plans.refresh(DAY, DAY + SIZE)
    known = plans.of("shop", "judge", DAY + 2 * SIZE)
    assert known is not None
    door.away = True
    clock.advance(timedelta(minutes=1))
    plans.refresh(DAY, DAY + SIZE)
    assert plans.of("shop", "judge", DAY + 2 * SIZE) == known
