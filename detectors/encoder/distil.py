"""From a sentence-transformers model to one vector for each token of its vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel
from transformers.utils.logging import disable_progress_bar

from inferwatch.detectors.base import F32
from inferwatch.detectors.encoder.chunks import Chunker
from inferwatch.detectors.encoder.folder import longest_sequence

_quiet: Any = disable_progress_bar  # it has no types
_BATCH = 1024
# Weight a / (a + p) of a token with probability p; held-out AUC of the toxicity head: 1 (no weights) .9835,
# 1e-3 .9838, 1e-4 .9852. Projecting on 256 principal components lost .006 to .008, so there is no projection, and with
# it no choice of signs that two machines could make differently.
_SMOOTHING = 1e-4


def distil(source: Path) -> F32:
    """Return (vocabulary, dim) float16: what the model makes of each token alone, centred, rare tokens weighing more.

    Vocabularies of BERTs are sorted by frequency, and word frequencies follow Zipf's law: the rank stands for the
    probability.

    Args:
        source: a sentence-transformers folder.

    References:
        Arora, Liang and Ma 2017, A Simple but Tough-to-Beat Baseline for Sentence Embeddings (the weights).
        https://github.com/MinishLab/model2vec (distillation from tokens alone).
    """
    chunker = Chunker(source, longest_sequence(source), 1)
    size = chunker.tokenizer.get_vocab_size()
    _quiet()
    model = AutoModel.from_pretrained(source, local_files_only=True).float().eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, size, _BATCH):
            ids = torch.tensor([chunker.around([token]) for token in range(start, min(size, start + _BATCH))])
            parts.append(model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.mean(1).numpy())
    vectors: Any = np.concatenate(parts).astype(np.float64)
    vectors -= vectors.mean(axis=0)
    ranks = np.arange(2, size + 2)
    probabilities = 1 / (ranks * np.log(size))
    vectors *= (_SMOOTHING / (_SMOOTHING + probabilities))[:, None]
    # Half precision also swallows what two machines compute differently in the last digits.
    found: F32 = (vectors / np.abs(vectors).max()).astype(np.float16)
    return found
