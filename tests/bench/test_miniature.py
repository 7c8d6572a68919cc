"""The benchmarks run: every part in miniature, whose numbers mean nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.bench import report
from tests.bench.__main__ import SUMMARY
from tests.bench.latency import APPLICATIONS, incidents
from tests.bench.workloads import records

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.timeout(600)
def test_parts_run_and_end_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench", "static", "growth", "--quick"]
    done = subprocess.run([*command, "--output", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stdout + done.stderr
    line = json.loads(done.stdout.splitlines()[-1])
    assert list(line) == list(SUMMARY)
    assert line["static_tier_per_s"] > 0
    assert line["speedup_vs_st_fp32_short"] is None, "a part that did not run has no number"
    growth = json.loads((tmp_path / "growth.json").read_text())
    assert [size["rows"] for size in growth["sizes"]] == [100, 1000]
    assert growth["machine"]["cores"]


def test_the_page_and_the_readme_say_what_the_raw_results_say() -> None:
    found = report.results()
    assert set(found) <= set(report.SECTIONS)
    assert report.PAGE.read_text() == report.page(found)
    readme = report.README.read_text()
    assert readme == report.with_headline(readme, found)


def test_every_text_of_a_workload_is_new() -> None:
    texts = [text for record in records("short", 500) for text in (record["input"], record["output"])]
    assert len(set(texts)) == 1000
    assert records("short", 500)[:100] == records("short", 100)


def test_an_application_recovers_between_two_incidents() -> None:
    for application in APPLICATIONS:
        own = [one for one in incidents(100, 600, 20) if one.application == application]
        assert len(own) > 5
        assert all(later.start - one.start - one.seconds >= 20 for one, later in pairwise(own))
