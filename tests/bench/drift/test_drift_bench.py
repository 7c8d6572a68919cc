"""The drift benchmark: its arithmetic, its draws, and that the page says what the raw results say."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from inferwatch.detectors.drift.combination import cauchy
from inferwatch.detectors.drift.scan import Scale, Summary, scan
from inferwatch.schemas.windows import Window
from tests.bench.drift import report
from tests.bench.drift.__main__ import SUMMARY
from tests.bench.drift.counting import detected, lower, poisson, rate
from tests.bench.drift.delay import first, sudden
from tests.bench.drift.level import p_values, summed_up
from tests.bench.drift.logs import Pool, load, synthetic
from tests.bench.drift.own import BOTH, NAME, SIZE, SPANS, Own
from tests.bench.drift.power import behind, counted, judged, own_scores, windows
from tests.bench.drift.results import FOLDER
from tests.bench.drift.scenarios import BASE, MIXED, VERBOSE, groups, only
from tests.bench.drift.stream import pages, recurrences, totals
from tests.bench.drift.told import statistics, threshold_of, told
from tests.bench.parts import summary

PROMPTS = 805


@pytest.fixture(scope="module")
def pool() -> Pool:
    """A pool as that of the real file, of synthetic rows."""
    generators = (BASE, *VERBOSE, *MIXED[1:])
    outputs = len(generators) * PROMPTS
    rows, novel = synthetic(outputs + 2 * PROMPTS, 300, seed=3)
    at = np.arange(len(rows) + len(novel))
    return Pool(
        np.concatenate([rows, novel]),
        at[:outputs].reshape(len(generators), PROMPTS),
        generators,
        at[outputs : outputs + PROMPTS],
        np.repeat(["helpful", "koala", "vicuna"], [300, 205, 300]),
        at[outputs + PROMPTS : len(rows)],
        at[len(rows) :],
        at[:outputs].reshape(len(generators), PROMPTS)[:, ::-1],
        "revision",
        "file",
    )


def test_both_sides_of_a_swap_share_no_prompt(pool: Pool) -> None:
    seen = set()
    for group in groups(pool, references=2, repeats=1):
        draws, again = list(group.draws(1)), list(group.draws(1))
        assert len(draws) == group.references
        assert list(draws[0].changed) == list(group.scenarios)
        assert not draws[-1].changed
        for draw, same in zip(draws, again, strict=True):
            np.testing.assert_array_equal(draw.reference, same.reference)
            seen |= {one.kind for one in draw.changed}
            assert all(len(rows) == one.n for one, rows in draw.changed.items())
            assert all(len(rows) == n for n, windows in draw.null.items() for rows in windows)
            assert all(draw.null[one.n] for one in group.scenarios)
            if group.name.startswith("swap"):
                old = set(draw.reference % PROMPTS)
                windows = [*draw.changed.values(), *(rows for some in draw.null.values() for rows in some)]
                assert not any(old & set(rows % PROMPTS) for rows in windows)
    assert seen == {"swap", "generator mixture", "verbosity", "source", "source mixture", "synthetic"}


def test_a_threshold_keeps_its_level_and_finds_what_is_there() -> None:
    rng = np.random.default_rng(0)
    for draw in (rng.standard_normal, lambda n: rng.integers(0, 3, n).astype(float), np.zeros):
        found = [detected(draw(199), draw(50), 0.05, seed).mean() for seed in range(200)]
        assert np.mean(found) == pytest.approx(0.05, abs=0.01)
    shifted = [detected(rng.standard_normal(199), 2 + rng.standard_normal(50), 0.05, seed).mean() for seed in range(99)]
    assert np.mean(shifted) == pytest.approx(norm.sf(norm.isf(0.05) - 2), abs=0.03)


def test_a_change_is_found_more_often_than_by_a_rival_that_guesses(pool: Pool) -> None:
    group = next(one for one in groups(pool, references=4, repeats=3) if one.name == "synthetic")
    draws = list(group.draws(2))
    rng = np.random.default_rng(0)
    own = own_scores(pool, draws)
    assert own[BOTH] == own[NAME]  # no outputs
    guessed = [rng.random(len(values)).tolist() for values in own[NAME]]
    found = judged(group, draws, own | {"a guess": guessed})
    assert [one["share"] for one in found] == [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]
    half = found[-1]
    assert half["power"][NAME] == 1
    assert (half["draws"], half["best_rival"]) == (3, "a guess")
    assert half["compared"][NAME]["at_least"]
    assert half["compared"][NAME]["not_lower"]
    count = counted(found)
    assert counted(found, BOTH) == count
    assert count["scenarios"] == 6
    assert count["plain"] == count["more"] + count["ties"] <= count["not_lower"]
    reversed_ = judged(group, draws, {NAME: guessed, "the test": own[NAME]})[-1]
    assert not reversed_["compared"][NAME]["at_least"]


def test_the_scenarios_that_were_behind_are_drawn_again_alone(pool: Pool) -> None:
    known = groups(pool, references=2, repeats=1)
    scenarios = [one for group in known for one in group.scenarios]
    was = [
        {"kind": one.kind, "name": one.name, "n": one.n, "share": one.share, "best_rival": f"rival {at}"}
        | {"compared": {BOTH: {"at_least": at % 7}}}
        for at, one in enumerate(scenarios)
    ]
    kept = behind(was)
    assert kept == {one: f"rival {7 * at}" for at, one in enumerate(scenarios[::7])}
    taken = list(only(known, kept.keys()))
    assert [one for group in taken for one in group.scenarios] == scenarios[::7]
    for group in taken:
        draw, *nulls = group.draws(1)
        whole = next(iter(next(one for one in known if one.name == group.name).draws(1)))
        assert tuple(draw.changed) == group.scenarios
        assert set(draw.null) == {one.n for one in group.scenarios}
        assert all((rows == whole.changed[one]).all() for one, rows in draw.changed.items())
        assert not any(one.changed for one in nulls)


def test_outputs_are_looked_at_by_themselves_and_given_their_inputs(pool: Pool) -> None:
    group = next(one for one in groups(pool, references=1, repeats=1) if one.name.startswith("swap"))
    [draw] = group.draws(2)
    own = own_scores(pool, [draw])
    found = [
        Own(pool.vectors[rows[draw.reference]]).p_values([pool.vectors[rows[one]] for one in windows(draw)])
        for rows in (pool.table.ravel(), pool.given.ravel())
    ]
    np.testing.assert_allclose(np.exp(-np.array(own[NAME][0])), found[0], rtol=1e-6)
    np.testing.assert_allclose(np.exp(-np.array(own[BOTH][0])), cauchy(np.array(found)), rtol=1e-6)
    assert not np.allclose(own[NAME], own[BOTH])


def test_a_sudden_change_is_found_soon(pool: Pool) -> None:
    found = sudden(pool, (pool.synthetic, pool.novel, 0.5), streams=1)
    assert found["delays"][0] <= 2
    assert found["within"]["2"] == 1
    nothing, before = first(np.array([31.0, 2, 2, 2]), 30, 1)
    assert nothing is None
    assert before


def test_a_change_is_in_the_p_values_of_the_windows_that_hold_it(pool: Pool) -> None:
    change = (pool.synthetic, pool.novel, 0.5)
    own = np.array([p_values(pool.vectors, (change, 500, at)) for at in range(3)])
    assert own.shape == (3, 2, 3)
    assert (own[:, 1] < 1e-3).all()
    assert (own[:, 0] > 1e-3).all()
    found = summed_up(np.array([[[0.5, 0.02, 0.5], [0.5, 0.03, 0.004]], [[0.9, 0.9, 0.9], [0.009, 0.9, 0.9]]]))
    assert found["0.05"]["null"]["hits"] == 1
    assert [one["rate"] for one in found["0.05"]["within"].values()] == [0.5, 1, 1]
    assert [one["rate"] for one in found["0.01"]["within"].values()] == [0.5, 0.5, 1]
    assert [one["hits"] for one in found["0.001"]["within"].values()] == [0, 0, 0]


def test_who_was_told_pages_as_rarely_as_stated_and_finds_what_can_be_told_apart(pool: Pool) -> None:
    rng = np.random.default_rng(9)
    windows = rng.normal(-0.5, 1.0, 40_000)
    threshold = threshold_of(windows, 400)
    assert statistics(windows, threshold)[1] <= 100 < statistics(windows, 0.95 * threshold)[1]
    apart, alike = (
        told(pool, (pool.synthetic[:800] if wide else pool.outputs[:800], rows, 0.1), 20_000, 50)
        for wide, rows in ((True, pool.novel), (False, pool.outputs[800:1600]))
    )
    assert apart["auc"] > 0.9 > 0.6 > alike["auc"]
    assert apart["within"]["2"] > 0.9
    assert alike["within"]["6"] < 0.1


def test_intervals_are_exact() -> None:
    assert rate(0, 100)["high"] == pytest.approx(1 - 0.025 ** (1 / 100))
    assert rate(50, 1000)["low"] < 0.05 < rate(50, 1000)["high"]
    assert poisson(0, 1)["high"] == pytest.approx(-np.log(0.025))
    some, none = np.array([True] * 8 + [False] * 2), np.zeros(10, bool)
    assert lower(none, some) == pytest.approx(0.5**8)
    assert lower(some, none) == 1
    assert lower(some, some) == 1


def test_sums_of_windows_are_those_of_their_rows() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((40, 6)).astype(np.float32)
    counts = np.array([3, 0, 5, 1])
    rows = rng.integers(0, 40, counts.sum())
    wanted = [features[part].sum(axis=0) for part in np.split(rows, np.cumsum(counts)[:-1])]
    np.testing.assert_allclose(totals(features, rows, counts), wanted, rtol=1e-5, atol=1e-6)


def test_the_scan_of_all_windows_at_once_is_that_of_the_service(pool: Pool) -> None:
    rng = np.random.default_rng(0)
    own = Own(pool.vectors[rng.choice(pool.synthetic, 60)])
    counts = rng.integers(5, 40, 40)
    drawn = np.where(np.repeat(np.arange(40) >= 20, counts), pool.novel[0], rng.choice(pool.synthetic, counts.sum()))
    sums = totals(own.features(pool.vectors), drawn, counts)
    found = recurrences(sums, counts, SIZE, SPANS, own.tails)
    chosen = tuple(Scale(SIZE * span, SIZE * stride) for span, stride in SPANS)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    windows = [Window(epoch + SIZE * at, epoch + SIZE * (at + 1)) for at in range(40)]
    summaries = [Summary(*one) for one in zip(windows, counts.tolist(), sums, strict=True)]
    wanted = [scan(summaries[: at + 1], windows[at].end, chosen, own.pooled).recurrence for at in range(40)]
    np.testing.assert_allclose(found, np.nan_to_num(wanted), rtol=1e-6)
    assert found[-1] > 1000 * found[19] > 0


def test_many_windows_at_once_have_the_p_values_of_the_service(pool: Pool) -> None:
    rng = np.random.default_rng(1)
    own = Own(pool.vectors[rng.choice(pool.synthetic, 60)])
    windows = [pool.vectors[rng.choice(pool.synthetic, n)] for n in (30, 55)]
    np.testing.assert_allclose(own.p_values(windows), [own.p_value(window) for window in windows], rtol=1e-3)


def test_pages_are_beginnings() -> None:
    assert pages(np.array([40.0, 50, 1, 29, 30, 31, 2, 99]), 30) == 3


def test_missing_data_are_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no data at .*nothing.gz: .*--data FILE"):
        load(tmp_path / "nothing.gz")


def test_the_page_says_what_the_raw_results_say() -> None:
    found = report.results(FOLDER)
    assert set(found) <= set(report.SECTIONS)
    if found:
        assert report.PAGE.read_text() == report.page(found)


def test_a_part_that_did_not_run_has_no_number(tmp_path: Path) -> None:
    assert summary(SUMMARY, tmp_path) == dict.fromkeys(SUMMARY)
