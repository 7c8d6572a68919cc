"""What every backend of the encoder keeps to."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferwatch.detectors.encoder.backend import Backend
from inferwatch.detectors.encoder.choose import choose
from inferwatch.schemas.settings import EncoderSettings

TEXTS = (
    "How do I get my money back?",
    "I want to get my money back.",
    "The moon is far away.",
    "",
    " \n\t",
    "返金してください",
    "naïve café 👍🏽",
    "\ud800 lone surrogate",
    "\0",
    "word " * 100,
    "a long text of many words " * 200,
    "x" * 50_000,
)
EXACT = {"onnx-int8", "static"}
"""Backends whose vectors are a function of the text, bit for bit; batches change the last digits of the others'."""


@pytest.fixture(scope="module", params=["torch", "onnx-int8", "static"])
def encoder(request: pytest.FixtureRequest, built_models: Path) -> Backend:
    own = EncoderSettings(backend=request.param, models_dir=str(built_models), dtype="float32", max_tokens=2048)
    return choose(own).encoder


def same(encoder: Backend, these: np.ndarray, those: np.ndarray) -> None:
    if encoder.backend in EXACT:
        np.testing.assert_array_equal(these, those)
    else:
        np.testing.assert_allclose(these, those, atol=1e-5)


def test_vectors_are_finite_unit_float32_in_the_order_of_the_texts(encoder: Backend) -> None:
    found = encoder.encode_all(TEXTS)
    assert found.vectors.shape == (len(TEXTS), encoder.dim)
    assert found.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)
    assert found.vectors[0] @ found.vectors[1] > found.vectors[0] @ found.vectors[2] + 0.2
    assert encoder.encode([]).shape == (0, encoder.dim)


@settings(max_examples=15)
@given(st.lists(st.sampled_from(TEXTS[:10]) | st.text(max_size=60), min_size=1, max_size=8), st.randoms())
def test_a_vector_is_a_function_of_its_text(encoder: Backend, texts: list[str], rng: random.Random) -> None:
    together = encoder.encode(texts)
    order = list(range(len(texts)))
    rng.shuffle(order)
    same(encoder, together[order], encoder.encode([texts[row] for row in order]))
    row = order[0]
    same(encoder, together[row : row + 1], encoder.encode([texts[row]]))


def test_a_vector_does_not_depend_on_how_many_texts_are_as_long(encoder: Backend) -> None:
    texts = [f"{word} {number % 10} is what they asked for" for word in ("soap", "tea", "rope") for number in range(40)]
    texts += [f"{text} and much more of it" for text in texts[:5]]
    together = encoder.encode(texts)
    for row in range(0, len(texts), 7):
        same(encoder, together[row : row + 1], encoder.encode([texts[row]]))


def test_threads_share_an_encoder(encoder: Backend) -> None:
    alone = encoder.encode(TEXTS[:10])
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: encoder.encode(TEXTS[:10]), range(8)):
            same(encoder, found, alone)


def test_every_token_counts_up_to_the_limit(encoder: Backend) -> None:
    long = "The parcel is late. " * 200
    texts = [long, long + "Penguins live in Antarctica.", long * 8, long * 8 + "Penguins live in Antarctica."]
    found = encoder.encode_all(texts)
    assert found.cut.tolist() == [False, False, True, True]
    assert np.abs(found.vectors[0] - found.vectors[1]).max() > 1e-4
    same(encoder, found.vectors[2], found.vectors[3])
    if encoder.backend == "static":
        assert found.chunks.tolist() == [1, 1, 1, 1]
    else:
        assert found.chunks[0] == -(-1000 // 254)
        assert found.chunks[2] == -(-2048 // 254)


def test_work_is_counted(encoder: Backend) -> None:
    texts, seconds = encoder.texts, encoder.seconds
    encoder.encode(TEXTS[:3])
    assert encoder.texts == texts + 3
    assert encoder.seconds > seconds


def test_only_equal_spaces_share_a_revision(built_models: Path) -> None:
    found = {
        name: choose(EncoderSettings(backend=name, models_dir=str(built_models))).encoder
        for name in ("torch", "onnx-int8", "static")
    }
    assert len({one.revision for one in found.values()}) == 3
    assert found["torch"].family == found["onnx-int8"].family != found["static"].family
    near = (found["torch"].encode(TEXTS[:3]) * found["onnx-int8"].encode(TEXTS[:3])).sum(axis=1)
    assert near.min() > 0.97
