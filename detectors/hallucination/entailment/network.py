"""The cross-encoder: the bundled sentence encoder's transformer, tuned to read a claim beside what should hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from transformers.models.bert.modeling_bert import BertModel
from transformers.utils.logging import disable_progress_bar

from inferwatch.detectors.encoder.folder import BUNDLED, model_folder
from inferwatch.detectors.hub.windows import clean
from inferwatch.detectors.sentences import Span
from inferwatch.schemas.errors import Misconfigured

PACKAGED = Path(__file__).with_name("entailment.npz")
_untyped: Any = (disable_progress_bar, BertModel)
_quiet, _Bert = _untyped
MOST_TOKENS, MOST_CLAIM_TOKENS = 208, 60
_NOTHING = -1e4
_REMEMBERED = 4096
_STEPS, _LEAST = 31, 1e-6


class Encoding(NamedTuple):
    """A pair as tokens: ``[CLS] premise [SEP] claim [SEP]``; the claim's begin at ``first``, with character ranges."""

    tokens: list[int]
    first: int
    ranges: list[tuple[int, int]]


class Network(torch.nn.Module):
    """Log odds for every token of the claim; those of the pair are their soft maximum, and a read of their mean."""

    def __init__(self, source: Path, dropout: float = 0.0) -> None:
        super().__init__()
        _quiet()
        self.bert = _Bert.from_pretrained(
            source,
            attn_implementation="sdpa" if dropout else "eager",
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            local_files_only=True,
        ).float()
        self.bert.pooler = None
        width = int(self.bert.config.hidden_size)
        self.token, self.mean = torch.nn.Linear(width, 1), torch.nn.Linear(width, 1)
        for layer, bias in ((self.token, -3.0), (self.mean, 0.0)):
            torch.nn.init.normal_(layer.weight, std=0.02)
            torch.nn.init.constant_(layer.bias, bias)

    def forward(self, tokens: Any, mask: Any, claim: Any) -> tuple[Any, Any]:
        """Return (n,) log odds that the claim is not supported and (n, t) log odds of each token, float32."""
        found = self.bert(input_ids=tokens, attention_mask=mask, token_type_ids=claim).last_hidden_state.float()
        each, own = self.token(found)[..., 0], claim.float()
        soft = torch.logsumexp(each.masked_fill(claim == 0, _NOTHING), 1)
        mean = (found * own[..., None]).sum(1) / own.sum(1, keepdim=True).clamp(min=1)
        return soft + self.mean(mean)[:, 0], each


class CrossEncoder:
    """A network with its tokenizer; it reads in float32."""

    def __init__(self, network: Network, source: Path) -> None:
        self.network = network
        self._tokenizer: Any = Tokenizer.from_file(str(source / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._ends: list[int] = self._tokenizer.encode("").ids
        self._remembered = lru_cache(_REMEMBERED)(self._read)

    @classmethod
    def load(cls, path: Path = PACKAGED, model: str = BUNDLED) -> CrossEncoder:
        """Return the encoder's transformer with the differences of ``path`` added.

        Raises:
            Misconfigured: a file is missing, or the differences are not of this model.
        """
        source = model_folder(model)
        network = Network(source)
        try:
            with np.load(path) as held:
                network.load_state_dict(restored(network.state_dict(), held))
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise Misconfigured(
                f"{path} is no cross-encoder on {source}: {error!r}; train one with hallucination/entailment/train.py"
            ) from error
        return cls(network.eval(), source)

    def encode(self, premise: str, claim: str) -> Encoding:
        """Return the tokens of a pair: at most 60 of the claim, and of the premise what fits into 208."""
        tokens, ranges = self.tokens(claim, MOST_CLAIM_TOKENS)
        given, _ = self.tokens(premise, MOST_TOKENS - 3 - len(tokens))
        start, end = self._ends
        return Encoding([start, *given, end, *tokens, end], len(given) + 2, ranges)

    def tokens(self, text: str, most: int) -> tuple[list[int], list[Span]]:
        """Return at most ``most`` tokens of ``text`` and the characters that each stands for."""
        own = self._tokenizer.encode(text, add_special_tokens=False)
        return own.ids[:most], own.offsets[:most]

    def read(self, premise: str, claim: str) -> tuple[float, Span]:
        """Return the log odds that ``claim`` is not supported, and the range of its token that speaks most for it.

        One pair a run, without padding: what is found does not depend on what else is read, and the last 4096 pairs are
        remembered.
        """
        return self._remembered(clean(premise), clean(claim))

    def _read(self, premise: str, claim: str) -> tuple[float, Span]:
        encoding = self.encode(premise, claim)
        if not encoding.ranges:
            return 0.0, (0, 0)
        with torch.inference_mode():
            logits, each = self.network(*batch([encoding]))
        own = each[0, encoding.first : encoding.first + len(encoding.ranges)]
        return float(logits[0]), encoding.ranges[int(own.argmax())]


def batch(encodings: Sequence[Encoding]) -> tuple[Any, Any, Any]:
    """Return (n, t) int64 tokens, mask and where the claim is, padded to the longest."""
    length = max(len(one.tokens) for one in encodings)
    tokens, mask, claim = (np.zeros((len(encodings), length), np.int64) for _ in range(3))
    for row, one in enumerate(encodings):
        tokens[row, : len(one.tokens)] = one.tokens
        mask[row, : len(one.tokens)] = 1
        claim[row, one.first : one.first + len(one.ranges)] = 1
    return torch.from_numpy(tokens), torch.from_numpy(mask), torch.from_numpy(claim)


def differences(state: Mapping[str, Any], untrained: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """Return what training changed: matrices in whole steps (int8) of a size for each row, others as float16."""
    found: dict[str, npt.NDArray[Any]] = {}
    for name, value in state.items():
        change = (value - untrained[name] if name.startswith("bert.") else value).cpu()
        if not change.any():
            continue
        if change.dim() == 2 and len(change) > 1:
            size = (change.abs().amax(1, keepdim=True) / _STEPS).clamp(min=_LEAST).half().float()
            found[f"{name}/steps"] = (change / size).round().clamp(-127, 127).numpy().astype(np.int8)
            found[f"{name}/size"] = size.numpy().astype(np.float16)
        else:
            found[name] = change.numpy().astype(np.float16)
    return found


def restored(untrained: Mapping[str, Any], held: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Return the weights of the untrained network with ``differences`` added."""
    found = dict(untrained)
    for name in held:
        key, _, part = name.partition("/")
        if part == "size":
            continue
        values = held[name].astype(np.float32)
        change = torch.from_numpy(values * held[f"{key}/size"].astype(np.float32) if part else values)
        found[key] = untrained[key] + change.to(untrained[key].device) if key.startswith("bert.") else change
    return found
