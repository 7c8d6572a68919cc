"""Texts longer than the model reads: cut into chunks of tokens, encoded chunk by chunk, pooled. Every token counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from inferwatch.detectors.base import F32
from inferwatch.schemas.errors import Misconfigured

POOLING = "p1"
"""Part of every revision whose long texts are pooled: changes when the way of cutting or pooling does."""
I64 = npt.NDArray[np.int64]
_CHARS_A_TOKEN = 64


@dataclass(frozen=True, slots=True)
class Chunked:
    """The token ids of n texts, in m >= n chunks that the model can read.

    Attributes:
        ids: m lists of token ids, the special tokens around each included.
        counts: (n,) chunks of each text, at least 1; a text's chunks follow each other.
        cut: (n,) bool, whether tokens of the text beyond ``max_tokens`` were left out.
    """

    ids: list[list[int]]
    counts: I64
    cut: npt.NDArray[np.bool_]

    def pool(self, vectors: F32) -> F32:
        """Return (n, dim) of norm 1 from the (m, dim) unit vectors of the chunks: their mean, weighted by tokens.

        A text of one chunk keeps its vector bit for bit.
        """
        if len(self.ids) == len(self.counts):
            return vectors
        starts = np.cumsum(self.counts) - self.counts
        pooled: F32 = vectors[starts]
        for row in np.flatnonzero(self.counts > 1):
            own = slice(int(starts[row]), int(starts[row] + self.counts[row]))
            weights = np.array([len(ids) for ids in self.ids[own]], np.float32)
            total = weights @ vectors[own]
            norm = np.linalg.norm(total)
            if norm > 1e-6:  # else the chunks cancel each other; the first one stands for the text
                pooled[row] = total / norm
        return pooled


class Chunker:
    """Tokenise texts with the Rust tokenizer of a model folder and cut them into chunks.

    A text of more tokens than ``window`` holds becomes as few chunks as can be, of the same length but for one token;
    at most its first ``max_tokens`` tokens are read. Before tokenising, a text is cut to 64 characters for each of
    those, which bounds the cost of hostile input.

    Args:
        folder: holds ``tokenizer.json``.
        window: most tokens of a chunk, special ones included.
        max_tokens: most tokens of a text, special ones not included.

    Raises:
        Misconfigured: tokenizer.json is missing or unreadable.
    """

    def __init__(self, folder: Path, window: int, max_tokens: int) -> None:
        path = folder / "tokenizer.json"
        try:
            # The Rust tokenizer itself: the Python class around it costs five times its work.
            self.tokenizer = Tokenizer.from_str(path.read_text("utf-8"))
        except Exception as error:  # tokenizers raises bare Exception for a file it cannot read
            raise Misconfigured(f"{path} is not a tokenizer: {error}") from error
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        whole, bare = self.tokenizer.encode("a").ids, self.tokenizer.encode("a", add_special_tokens=False).ids
        before = next(at for at in range(len(whole) + 1) if whole[at : at + len(bare)] == bare)
        self._before: list[int] = whole[:before]
        self._after: list[int] = whole[before + len(bare) :]
        self._room = max(1, window - len(self._before) - len(self._after))
        self.max_tokens = max(max_tokens, self._room)
        self._max_chars = self.max_tokens * _CHARS_A_TOKEN

    def bare(self, texts: Sequence[str]) -> tuple[list[list[int]], npt.NDArray[np.bool_]]:
        """Return the ids of each text's first ``max_tokens`` tokens, without special ones, and (n,) what was cut."""
        found = self.tokenizer.encode_batch_fast([self._clean(text) for text in texts], add_special_tokens=False)
        ids = [one.ids for one in found]
        cut = np.fromiter(
            (len(own) > self.max_tokens or len(text) > self._max_chars for own, text in zip(ids, texts, strict=True)),
            np.bool_,
            len(ids),
        )
        return [own[: self.max_tokens] for own in ids] if cut.any() else ids, cut

    def around(self, ids: Sequence[int]) -> list[int]:
        """Return ``ids`` with the special tokens before and after."""
        return [*self._before, *ids, *self._after]

    def __call__(self, texts: Sequence[str]) -> Chunked:
        """Return the chunks of ``texts``."""
        found, cut = self.bare(texts)
        room, before, after = self._room, self._before, self._after
        chunks: list[list[int]] = []
        counts = np.ones(len(found), np.int64)
        for row, ids in enumerate(found):
            if len(ids) <= room:
                chunks.append([*before, *ids, *after])
                continue
            n = -(-len(ids) // room)
            counts[row] = n
            ends = [len(ids) * (k + 1) // n for k in range(n)]
            chunks += [[*before, *ids[start:end], *after] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        return Chunked(chunks, counts, cut)

    def _clean(self, text: str) -> str:
        """Cut to what can matter and replace lone surrogates, which no tokenizer takes."""
        text = text[: self._max_chars]
        return text if text.isascii() else text.encode("utf-8", "replace").decode()
