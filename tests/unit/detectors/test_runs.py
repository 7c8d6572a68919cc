"""Which texts the int8 model is given together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inferwatch.detectors.encoder.onnx_int8 import runs


@given(st.lists(st.integers(3, 256)), st.integers(1, 16))
def test_every_row_is_in_one_run_of_texts_as_long_as_it(lengths: list[int], threads: int) -> None:
    found = runs(lengths, threads)
    assert sorted(row for rows in found for row in rows) == list(range(len(lengths)))
    assert all(len({lengths[row] for row in rows}) == 1 for rows in found)
    longest = [lengths[rows[0]] for rows in found]
    assert longest == sorted(longest, reverse=True)


@given(st.lists(st.integers(3, 256)), st.integers(1, 16))
def test_no_thread_waits_long_for_a_run_of_another(lengths: list[int], threads: int) -> None:
    share = sum(lengths) / threads
    for rows in runs(lengths, threads):
        tokens = sum(lengths[row] for row in rows)
        assert len(rows) == 1 or tokens <= min(512, share / 8)


def test_many_short_texts_share_a_run() -> None:
    assert [len(rows) for rows in runs([16] * 640, 2)] == [32] * 20
