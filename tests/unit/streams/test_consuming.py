"""Batches of large records are cut, so that the encoder does not wait for all of them to be read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inferwatch.streams.consuming import cut


@given(sizes=st.lists(st.integers(0, 50), min_size=1, max_size=200), limit=st.integers(1, 200))
def test_a_batch_is_cut_into_few_runs_of_about_one_size(sizes: list[int], limit: int) -> None:
    runs = cut(list(range(len(sizes))), sizes, limit)
    assert [place for run in runs for place in run] == list(range(len(sizes)))
    assert len(runs) <= max(1, -(-sum(sizes) // limit))
    assert all(sum(sizes[place] for place in run) < limit + max(sizes) for run in runs if len(run) > 1)
