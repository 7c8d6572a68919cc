"""Three of the schedules of ``make chaos``: between them, most kinds of faults."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferwatch.infra.local.broker import LocalKafka
from tests.chaos.faults import KINDS, plan
from tests.chaos.schedule import run

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    # kafka-python leaves sockets of attempts to connect for the garbage collector while the broker is away.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def own_rubbish() -> Iterator[None]:
    """Collect those sockets here: a later test would be blamed for them."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def broker() -> Iterator[LocalKafka]:
    with LocalKafka() as running:
        yield running


@pytest.mark.parametrize("seed", [2, 8, 27])
def test_nothing_is_lost_and_nothing_counts_twice(seed: int, tmp_path: Path, broker: LocalKafka) -> None:
    result = run(seed, tmp_path, broker)
    print(result.as_json())
    assert result.verdict.words == []
    assert result.counts["transitions"] > 5


def test_a_seed_says_what_happens() -> None:
    assert plan(7, 10.0, disk=True) == plan(7, 10.0, disk=True)


def test_seeds_in_a_row_cover_every_kind() -> None:
    assert {fault.kind for seed in range(len(KINDS)) for fault in plan(seed, 10.0, disk=True)} == set(KINDS)
