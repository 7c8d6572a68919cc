"""What the int8 model computes, made from a BERT of another shape than the bundled one, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from transformers import BertConfig, BertModel

from inferwatch.detectors.encoder.built import TEXTS
from inferwatch.detectors.encoder.export import write_int8
from inferwatch.schemas.errors import Misconfigured

IDS = np.random.default_rng(5).integers(0, 50, (7, 11))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    torch.manual_seed(5)
    shape = BertConfig(
        vocab_size=50, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, intermediate_size=40,
        max_position_embeddings=16, layer_norm_eps=1e-7, initializer_range=0.3,
    )  # fmt: skip
    BertModel(shape).save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true, "pooling_mode_cls": false}')
    kinds = ("Transformer", "Pooling", "Normalize")
    (folder / "modules.json").write_text(
        json.dumps([{"type": f"sentence_transformers.models.{kind}"} for kind in kinds])
    )
    return folder


def test_it_gives_the_means_of_the_model_it_was_made_from(source: Path, tmp_path: Path) -> None:
    assert write_int8(source, tmp_path / "model.onnx") == 24
    [found] = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {TEXTS: IDS})
    with torch.no_grad():
        wanted = BertModel.from_pretrained(source).eval()(torch.tensor(IDS)).last_hidden_state.mean(1).numpy()
    assert found.shape == wanted.shape
    cosines = (found * wanted).sum(axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
    assert cosines.min() > 0.99
    assert np.abs(np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1) - 1).max() < 0.05


def test_the_same_weights_give_the_same_file(source: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_int8(source, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize(
    ("file", "name", "value", "said"),
    [
        ("config.json", "model_type", "roberta", "'roberta'"),
        ("config.json", "hidden_act", "relu", "hidden_act 'gelu'"),
        ("config.json", "position_embedding_type", "relative_key", "'relative_key'"),
        ("config.json", "layer_norm_eps", None, "cannot be built"),
        ("1_Pooling/config.json", "pooling_mode_cls", True, "mean pooling"),
    ],
)
def test_a_model_of_another_kind_is_refused(
    source: Path, tmp_path: Path, file: str, name: str, value: object, said: str
) -> None:
    config = json.loads((source / file).read_text())
    (source / file).write_text(json.dumps(config | {name: value}))
    with pytest.raises(Misconfigured, match=said) as raised:
        write_int8(source, tmp_path / "model.onnx")
    assert "encoder.backend: torch" in str(raised.value)
    assert not (tmp_path / "model.onnx").exists()
