"""What the words of a text say beside its vector: n-grams, and who does what to whom in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from zlib import crc32

import numpy as np
import numpy.typing as npt

from inferwatch.detectors.base import F32
from inferwatch.detectors.toxicity.lexicon import CLASS_OF, CLASSES
from inferwatch.detectors.toxicity.obfuscation import words

BUCKETS = 1 << 18
"""Size of the table of hashed n-grams."""
MOST_WORDS = 512
_CLASSES = len(CLASSES) + 1
_NEAR = 3
PATTERNS = _CLASSES + 2 * _CLASSES * _CLASSES
"""Length of ``Reading.patterns``."""

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]


class _Codes(dict[str, int]):
    """The hash of a word, and its class above the low 32 bits; most words come back, and are looked up."""

    def __missing__(self, word: str) -> int:
        if len(self) >= 1 << 16:
            self.clear()
        code = self[word] = CLASS_OF.get(word, 0) << 32 | crc32(word.encode())
        return code


_CODES = _Codes()
_STEP = np.uint32(0x9E3779B1)
_MASK = np.uint32(BUCKETS - 1)
_LINE = ord("\n")
_SHORTER = np.array([[0], [1], [1], [2], [2], [3], [4]])
"""By how many the n-grams of a kind are fewer than the words or letters."""
_IDENTITY = np.uint32(CLASSES.index("identity") + 1)


@dataclass(frozen=True)
class Reading:
    """The words of n texts, in arrays.

    Attributes:
        hashes: (m,) uint32, of each word.
        classes: (m,) uint8, the class of each word, 0 for none.
        owner: (m,) int64, which text a word is of; ascending.
        letters: the words again, as bytes between spaces, a line each text.
        n: number of texts.
    """

    hashes: U32
    classes: npt.NDArray[np.uint8]
    owner: I64
    letters: bytes
    n: int

    @classmethod
    def of(cls, texts: Sequence[str]) -> Reading:
        """Read ``texts``, the first 512 words of each."""
        return cls.of_words([words(text)[:MOST_WORDS] for text in texts])

    @classmethod
    def of_words(cls, found: Sequence[Sequence[str]]) -> Reading:
        """Read texts that are cut into words already."""
        flat = list(chain.from_iterable(found))
        codes = np.fromiter(map(_CODES.__getitem__, flat), np.uint64, len(flat))
        return cls(
            codes.astype(np.uint32),
            (codes >> np.uint64(32)).astype(np.uint8),
            np.repeat(np.arange(len(found)), [len(one) for one in found]),
            "\n".join(f" {' '.join(one)} " for one in found).encode("ascii", "replace"),
            len(found),
        )

    def patterns(self) -> F32:
        """Return (n, PATTERNS) float32, 0 or 1: which classes occur, which before which, which shortly before which."""
        found = np.zeros((self.n, PATTERNS), np.float32)
        if not len(self.owner):
            return found
        held = np.flatnonzero(self.classes)
        owner, kinds = self.owner[held], self.classes[held].astype(np.int64)
        found[owner, kinds] = 1
        first = np.full((self.n, _CLASSES), len(self.owner), np.int64)
        last = np.full((self.n, _CLASSES), -1, np.int64)
        first[owner[::-1], kinds[::-1]] = held[::-1]
        last[owner, kinds] = held
        before = first[:, :, None] < last[:, None, :]
        found[:, _CLASSES : _CLASSES + _CLASSES**2] = before.reshape(self.n, -1)
        for step in range(1, _NEAR + 1):
            same = self.owner[:-step] == self.owner[step:]
            left, right = self.classes[:-step].astype(np.int64), self.classes[step:].astype(np.int64)
            place = np.flatnonzero(same & (left > 0) & (right > 0))
            found[self.owner[place], _CLASSES + _CLASSES**2 + left[place] * _CLASSES + right[place]] = 1
        return found

    def grams(self) -> tuple[U32, I64]:
        """Return the buckets of all n-grams (words, pairs, class triples, 3 to 5 letters) and the text each is of."""
        keys, firsts, counts = self._runs()
        flat = counts.ravel()
        places = np.repeat(firsts.ravel() - (np.cumsum(flat) - flat), flat) + np.arange(flat.sum())
        return _mixed(keys)[places], np.repeat(np.tile(np.arange(self.n), len(counts)), flat)

    def sums(self, table: npt.NDArray[np.int8]) -> tuple[I64, I64]:
        """Return (n,) int64 sums of the (BUCKETS,) ``table`` over the n-grams of each text, and how many it has."""
        if not self.n:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        keys, firsts, counts = self._runs()
        # What lies across two texts is looked up too, and left out of the sums: quicker than to pick out the others.
        bounds = np.stack([firsts, firsts + counts], axis=-1).ravel()
        sums = np.add.reduceat(table.take(_mixed(keys)), bounds, dtype=np.int64)[::2].reshape(counts.shape)
        return np.where(counts > 0, sums, 0).sum(axis=0), counts.sum(axis=0)

    def _runs(self) -> tuple[U32, I64, I64]:
        """Return a key at every place, one kind of n-gram after the other, and where and how many are a text's own.

        The latter two are (kinds, n): of a kind, the n-grams of a text follow each other. Behind the last is one more
        key.
        """
        # Who is meant shall not decide: an identity is read as its class.
        neutral = np.where(self.classes == _IDENTITY, _IDENTITY, self.hashes)
        kinds = np.where(self.classes > 0, self.classes.astype(np.uint32), self.hashes)
        letters = np.frombuffer(self.letters, np.uint8)
        keys = [
            *_rolled(neutral, {1: 0, 2: 2}),
            *_rolled(kinds, {2: 4, 3: 6}),
            *_rolled(letters.astype(np.uint32), {width: width << 8 for width in (3, 4, 5)}),
        ]
        word_counts = np.bincount(self.owner, minlength=self.n)
        first_word = np.cumsum(word_counts) - word_counts
        line_ends = np.append(np.flatnonzero(letters == _LINE), len(letters))[: self.n]
        first_letter = np.append(0, line_ends + 1)[: self.n]
        held = [0, *accumulate(len(own) for own in keys)]
        firsts = np.stack([first_word] * 4 + [first_letter] * 3) + np.array(held[:-1])[:, None]
        counts = np.stack([word_counts] * 4 + [line_ends - first_letter] * 3) - _SHORTER
        last = np.zeros(1, np.uint32)
        return np.concatenate([*keys, last]), np.minimum(firsts, held[-1]), np.maximum(counts, 0)


def _rolled(series: U32, salts: Mapping[int, int]) -> Iterator[U32]:
    """Yield the keys of the n-grams of each width in ``salts`` at every place of ``series``."""
    rolled = series
    for width in range(1, max(salts) + 1):
        if width > 1:
            rolled = rolled[:-1] * _STEP + series[width - 1 :]
        if width in salts:
            yield rolled + np.uint32(salts[width])


def _mixed(keys: U32) -> U32:
    """Return the bucket of each key, mixed: the low bits of a product depend on low bits only."""
    mixed = keys * _STEP
    mixed ^= mixed >> np.uint32(15)
    mixed *= np.uint32(0x85EBCA77)
    mixed >>= np.uint32(13)
    mixed &= _MASK
    return mixed
