"""The picture is one, whatever the texts hold, and matplotlib is not imported before it is drawn."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import numpy as np
import pytest

from inferwatch.detectors.drift.witness import find_witness
from inferwatch.infra.picture import draw
from inferwatch.schemas.explanation import Brief, Explanation, Share
from inferwatch.schemas.windows import Window
from inferwatch.streams.explaining import Explained

START = datetime(2026, 3, 1, 14, tzinfo=UTC)
EVIL = ("$\\frac{", "<script>alert(1)</script>", "\x07^_太陽光")


def explained(keywords: tuple[str, ...], *, new: bool = True) -> Explained:
    rng = np.random.default_rng(0)
    old, window = (rng.standard_normal((n, 8)).astype(np.float32) for n in (60, 30))
    window[20:] += 5
    share = Share(0.33, 0.2, 0.46) if new else Share(0.0, 0.0, 0.1)
    brief = Brief(share, Share(0, 0, 0.1), keywords)
    explanation = Explanation("shop & co", "input", Window(START, START + timedelta(minutes=5)), "baseline v2", 30, 60,
                              brief, (), ())  # fmt: skip
    witness = find_witness(old, window, relabellings=19)
    return Explained(explanation, old, window, witness, witness.new if new else ())


def test_svg_is_xml_without_script_and_the_same_each_time() -> None:
    found = draw(explained(("solar panels", "feed-in")), "svg")
    assert ElementTree.fromstring(found).tag == "{http://www.w3.org/2000/svg}svg"
    assert found == draw(explained(("solar panels", "feed-in")), "svg")


def test_what_users_write_is_no_markup() -> None:
    found = draw(explained(EVIL), "svg")
    ElementTree.fromstring(found)
    assert b"<script" not in found
    assert "太陽光".encode() in found
    assert draw(explained(EVIL), "png")


@pytest.mark.parametrize("new", [True, False])
def test_png_is_a_png(new: bool) -> None:
    assert draw(explained(("solar",) if new else (), new=new), "png").startswith(b"\x89PNG\r\n\x1a\n")


def test_matplotlib_is_not_imported_at_start() -> None:
    script = "import sys, inferwatch.infra.picture; assert 'matplotlib' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
