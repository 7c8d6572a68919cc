"""A transformers model on this machine that says numbers about a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from inferwatch.detectors.base import F32
from inferwatch.detectors.hub.folder import core_folder
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.hub import HubModelSettings

LONGEST = 512
"""Tokens that are read at once where ``window_tokens`` does not say more: attention costs their square."""
Reading = tuple[str, ...]

_quiet: Any = disable_progress_bar  # it has no types


class HubModel:
    """A loaded model: readings in, one row of numbers (logits) each out. In float32, on the processor.

    Attributes:
        labels: what each number is about.
        several: whether more than one label may hold at once.
        window: most tokens of a reading, special ones included.
        special: how many special tokens there are around a reading.
        tokenizer: neither cuts nor pads.

    Raises:
        Misconfigured: the model cannot be loaded, needs code of its own, or reads fewer tokens than configured.
    """

    def __init__(self, folder: Path, settings: HubModelSettings, place: str) -> None:
        self._place, self._folder = place, folder
        self._batch = settings.batch_size
        self._lock = Lock()  # the tokenizer's wrapper changes the tokenizer when it is called
        self._pairs = settings.kind == "cross-encoder"
        _quiet()
        try:
            self._load(settings)
        except Misconfigured:
            raise
        except Exception as error:  # what a folder of somebody else's files can raise has no bound
            raise Misconfigured(f"{place}: the model in {folder} cannot be loaded: {error}") from error

    def _load(self, settings: HubModelSettings) -> None:
        local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        core = core_folder(self._folder)
        config: Any = AutoConfig.from_pretrained(core, **local)
        wrapper: Any = AutoTokenizer.from_pretrained(core, **local)
        if not wrapper.is_fast:
            raise Misconfigured(f"{self._place}: {self._folder} has no fast tokenizer (tokenizer.json)")
        self.window = self._window(settings.window_tokens, config, wrapper)
        if self._pairs:
            cross = CrossEncoder(str(self._folder), device="cpu", max_length=self.window, **local)
            cross.eval()
            cross.float()
            self._cross, config, inside = cross, cross.config, cross.transformers_model
        else:
            plain: Any = AutoModelForSequenceClassification.from_pretrained(core, **local)
            self._plain, self._wrapper, inside = plain.eval().float(), wrapper, plain
        self.tokenizer = Tokenizer.from_str(wrapper.backend_tokenizer.to_str())
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        ids, rows = max(wrapper.get_vocab().values()), inside.get_input_embeddings().weight.shape[0]
        if ids >= rows:
            raise Misconfigured(f"{self._place}: the tokenizer has the id {ids} and the model {rows}: not of one model")
        self.special = int(wrapper.num_special_tokens_to_add(pair=self._pairs))
        if self.window < 2 * self.special + 8:
            raise Misconfigured(f"{self._place}: the model reads {self.window} tokens only")
        self.several = getattr(config, "problem_type", None) == "multi_label_classification"
        width = self._try().shape[1]
        named = {int(row): str(label) for row, label in (getattr(config, "id2label", None) or {}).items()}
        self.labels = tuple(named.get(row, f"LABEL_{row}") for row in range(width))

    def _try(self) -> F32:
        """Let the model read as much as it ever will, beside a short text, so that it fails here if at all."""
        long = "a b " * self.window
        return self.numbers([(long, "a"), ("a", "a")] if self._pairs else [(long,), ("a",)])

    def _window(self, wanted: int | None, config: Any, wrapper: Any) -> int:
        """Return how many tokens to read at once."""
        positions = int(getattr(config, "max_position_embeddings", None) or wrapper.model_max_length)
        # RoBERTa and its kin, whose padding has the id 1, count positions from 2.
        most = min(positions - 2 * (wrapper.pad_token_id == 1), int(wrapper.model_max_length))
        if wanted is not None and wanted > most:
            raise Misconfigured(f"{self._place}.window_tokens: the model reads at most {most} tokens, got {wanted}")
        return wanted or min(most, LONGEST)

    def numbers(self, readings: Sequence[Reading]) -> F32:
        """Return (n, labels) float32, what the model says of each reading before any activation."""
        with self._lock, torch.inference_mode():
            if self._pairs:
                found: F32 = self._cross.predict(
                    [list(reading) for reading in readings],
                    batch_size=self._batch,
                    show_progress_bar=False,
                    activation_fn=torch.nn.Identity(),
                )
                return found.reshape(len(readings), -1)
            order = sorted(range(len(readings)), key=lambda row: -len(readings[row][0]))
            parts = []
            for start in range(0, len(order), self._batch):
                texts = [readings[row][0] for row in order[start : start + self._batch]]
                features = self._wrapper(
                    texts, padding=True, truncation=True, max_length=self.window, return_tensors="pt"
                )
                parts.append(self._plain(**features).logits.float().numpy())
            sorted_rows = np.concatenate(parts)
            numbers = np.empty_like(sorted_rows)
            numbers[order] = sorted_rows
            return numbers
