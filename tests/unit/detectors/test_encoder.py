from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from inferwatch.detectors.base import F32
from inferwatch.detectors.encoder.cache import CachedEncoder
from inferwatch.detectors.encoder.folder import family_of, model_folder
from inferwatch.detectors.encoder.load import load_encoder
from inferwatch.detectors.encoder.sentence_transformer import SentenceTransformerEncoder, native_bfloat16
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import EncoderSettings

TEXTS = ["How do I get my money back?", "I want a refund.", "The moon is far away.", "", "a " * 3000, "返金", "\ud800"]


@pytest.fixture(scope="module")
def exact() -> SentenceTransformerEncoder:
    return SentenceTransformerEncoder(dtype="float32")


def test_vectors_are_unit_float32_in_the_order_of_the_texts(exact: SentenceTransformerEncoder) -> None:
    vectors = exact.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), exact.dim) == (7, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    one_by_one = np.vstack([exact.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(vectors, one_by_one, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.5 > vectors[0] @ vectors[2]
    assert exact.encode([]).shape == (0, 384)


def test_it_agrees_with_sentence_transformers_itself(exact: SentenceTransformerEncoder) -> None:
    from sentence_transformers import SentenceTransformer

    peer = SentenceTransformer(str(model_folder("bundled")), device="cpu", local_files_only=True)
    texts = [text for text in TEXTS if text != "\ud800" and len(text) < 1000]  # it cuts where we pool
    np.testing.assert_allclose(exact.encode(texts), peer.encode(texts, normalize_embeddings=True), atol=1e-5)


def test_bfloat16_gives_nearly_the_same_vectors_under_the_same_revision(exact: SentenceTransformerEncoder) -> None:
    small = SentenceTransformerEncoder(dtype="bfloat16")
    assert small.revision == exact.revision
    assert (small.encode(TEXTS) * exact.encode(TEXTS)).sum(axis=1).min() > 0.995
    assert SentenceTransformerEncoder().dtype == ("bfloat16" if native_bfloat16() else "float32")


def test_the_batch_size_changes_no_vector(exact: SentenceTransformerEncoder) -> None:
    other = SentenceTransformerEncoder(dtype="float32", batch_size=1)
    np.testing.assert_allclose(exact.encode(TEXTS), other.encode(TEXTS), atol=1e-5)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"no-such-folder/modules\.json does not exist.*nothing is downloaded"):
        SentenceTransformerEncoder(str(tmp_path / "no-such-folder"))
    with pytest.raises(Misconfigured, match="sentence-transformers/all-MiniLM-L6-v2"):
        SentenceTransformerEncoder("sentence-transformers/all-MiniLM-L6-v2")


def test_missing_weights_and_broken_modules_are_named(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text('{"not": "a list"}')
    with pytest.raises(Misconfigured, match=r"modules\.json is not a list"):
        family_of(tmp_path)
    (tmp_path / "modules.json").write_text(json.dumps([{"path": ""}]))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(Misconfigured, match=r"model\.safetensors does not exist"):
        family_of(tmp_path)


def test_the_revision_is_of_contents_not_of_place(tmp_path: Path, exact: SentenceTransformerEncoder) -> None:
    folder = tmp_path / "renamed"
    shutil.copytree(model_folder("bundled"), folder)
    (folder / "README.md").write_text("another read-me")
    assert family_of(folder) == exact.family
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text(pooling.read_text().replace('"pooling_mode_cls_token": false', '"pooling_mode_cls_token": true'))
    assert family_of(folder) != exact.family


class Counting:
    """Records what it is asked to encode."""

    revision, family, dim = "counting", "counting", 2

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        self.asked: list[str] = []
        self.before = before

    def encode(self, texts: Sequence[str]) -> F32:
        self.before()
        self.asked += texts
        return np.array([[len(text), hash(text) % 97] for text in texts], np.float32)


def test_the_cache_asks_once_for_each_distinct_text() -> None:
    inner = Counting()
    cached = CachedEncoder(inner, 10)
    first = cached.encode(["a", "bb", "a"])
    again = cached.encode(["bb", "a", "ccc"])
    assert inner.asked == ["a", "bb", "ccc"]
    np.testing.assert_array_equal(first[[1, 0]], again[:2])
    np.testing.assert_array_equal(first, inner.encode(["a", "bb", "a"]))
    assert (cached.hits, cached.misses) == (3, 3)
    assert cached.encode([]).shape == (0, 2)


def test_the_cache_is_bounded_and_forgets_the_least_recently_used() -> None:
    inner = Counting()
    cached = CachedEncoder(inner, 2)
    cached.encode(["a", "bb"])
    cached.encode(["a"])
    cached.encode(["ccc"])
    assert len(cached) == 2
    inner.asked.clear()
    cached.encode(["a", "ccc"])
    assert inner.asked == []
    cached.encode(["bb"])
    assert inner.asked == ["bb"]
    many = [str(number) for number in range(50)]
    np.testing.assert_array_equal(cached.encode(many), inner.encode(many))
    assert len(cached) == 2


def test_threads_share_the_cache() -> None:
    inner = Counting()
    cached = CachedEncoder(inner, 100)
    texts = [str(number) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: cached.encode(texts), range(32)))
    assert sorted(inner.asked) == sorted(texts)
    for vectors in found:
        np.testing.assert_array_equal(vectors, found[0])


def test_calls_with_other_texts_do_not_wait_for_one_another() -> None:
    cached = CachedEncoder(Counting(threading.Barrier(2, timeout=10).wait), 100)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(cached.encode, (["a"], ["bb"]))
    np.testing.assert_array_equal(np.concatenate([first, second]), Counting().encode(["a", "bb"]))


def test_a_text_that_could_not_be_encoded_is_tried_again_by_the_next_call() -> None:
    def fail() -> None:
        raise MemoryError

    inner = Counting(fail)
    cached = CachedEncoder(inner, 100)
    with pytest.raises(MemoryError):
        cached.encode(["a"])
    inner.before = lambda: None
    np.testing.assert_array_equal(cached.encode(["a"]), inner.encode(["a"]))


def test_settings_decide_model_and_cache() -> None:
    cached = load_encoder(EncoderSettings(backend="torch", cache_texts=7))
    assert isinstance(cached, CachedEncoder)
    assert cached.capacity == 7
    assert isinstance(load_encoder(EncoderSettings(backend="torch", cache_texts=0)), SentenceTransformerEncoder)
    with pytest.raises(Misconfigured, match="/nowhere"):
        load_encoder(EncoderSettings(model="/nowhere"))
