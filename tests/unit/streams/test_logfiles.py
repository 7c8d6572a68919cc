"""Files of every shape give the same records."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import orjson
import pytest

from inferwatch.schemas.errors import Misconfigured
from inferwatch.streams.logfiles import values

ITEMS = [{"id": "a"}, {"id": "b", "text": "[x]"}, {"id": "c"}]
LINES = b"\n".join(orjson.dumps(item) for item in ITEMS)
SHAPES = {
    "lines": LINES + b"\n",
    "blank lines": b"\n\n" + LINES.replace(b"\n", b"\r\n\n") + b"\n\n",
    "array": orjson.dumps(ITEMS),
    "indented array": orjson.dumps(ITEMS, option=orjson.OPT_INDENT_2),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_records(tmp_path: Path, shape: str, packed: bool) -> None:
    path = tmp_path / ("log.jsonl.gz" if packed else "log.jsonl")
    path.write_bytes(gzip.compress(SHAPES[shape]) if packed else SHAPES[shape])
    assert [orjson.loads(value) for value in values(str(path))] == ITEMS


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(LINES)))
    assert len(list(values("-"))) == 3


def test_what_is_no_json_is_a_record_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"[broken\n{oops}\n")
    assert list(values(str(path))) == [b"[broken", b"{oops}"]


def test_an_empty_file_has_none(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    assert list(values(str(path))) == []


def test_a_damaged_or_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(LINES * 1000)[:-20])
    with pytest.raises(Misconfigured, match=r"cannot read .*log\.gz"):
        list(values(str(path)))
    path.write_bytes(b"not gzip")
    with pytest.raises(Misconfigured, match=r"cannot read .*log\.gz"):
        list(values(str(path)))
    with pytest.raises(Misconfigured, match="No such file"):
        list(values(str(tmp_path / "missing")))
