"""What a detector is: texts and vectors in, scores out. No I/O, no clock, no network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from typing import ClassVar, Protocol, TypeVar, runtime_checkable
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from inferwatch.schemas.scores import Evidence

F32 = npt.NDArray[np.float32]
T = TypeVar("T")


class Field(StrEnum):
    """Parts of an inference a detector may read."""

    INPUT = "input"
    OUTPUT = "output"
    CONTEXTS = "contexts"
    SYSTEM = "system"
    SAMPLES = "samples"
    LOGPROBS = "logprobs"


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Item:
    """What was said in one inference; its texts are redacted and cut to the configured length.

    ``input`` is what the user wrote, without the system prompt or earlier answers; ``samples`` are other outputs to the
    same input; ``logprobs`` the natural logarithms of the output tokens' probabilities.
    """

    input: str = ""
    output: str = ""
    contexts: tuple[str, ...] = ()
    system: str = ""
    samples: tuple[str, ...] = ()
    logprobs: tuple[float, ...] = ()


def once_an_item(work: Callable[[Item], T]) -> Callable[[Item], T]:
    """Let ``work`` be done once an item, however often it is asked for; what was found is gone when the item is."""
    known: WeakKeyDictionary[Item, T] = WeakKeyDictionary()

    @wraps(work)
    def find(item: Item) -> T:
        found = known.get(item)
        if found is None:
            found = known[item] = work(item)
        return found

    return find


class Encoder(Protocol):
    """Turns texts into vectors.

    Attributes:
        revision: names everything that decides a vector: vectors of two revisions never meet.
        family: the revision that weights fitted on these vectors are known by. An encoder whose vectors come close
            enough to another's for its heads to hold has that one's family; every other has one of its own.
        dim: length of a vector.
    """

    revision: str
    family: str
    dim: int

    def encode(self, texts: Sequence[str]) -> F32:
        """Return (n, dim) float32 with rows of L2 norm 1; the order is that of ``texts``."""
        ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """The vectors of n texts and how each was read.

    Attributes:
        vectors: (n, dim) float32, rows of L2 norm 1.
        chunks: (n,) int, of how many chunks the vector was pooled; 1 for a text the model reads at once.
        cut: (n,) bool, whether the end of the text, beyond the encoder's limit, was not read.
    """

    vectors: F32
    chunks: npt.NDArray[np.int64]
    cut: npt.NDArray[np.bool_]

    @classmethod
    def nothing(cls, n: int, dim: int) -> Encoded:
        """Return n texts of which nothing is known: NaN, no chunk."""
        return cls(np.full((n, dim), np.nan, np.float32), np.zeros(n, np.int64), np.zeros(n, np.bool_))

    def followed_by(self, other: Encoded) -> Encoded:
        """Return these texts and then those of ``other``."""
        return Encoded(
            np.concatenate([self.vectors, other.vectors]),
            np.concatenate([self.chunks, other.chunks]),
            np.concatenate([self.cut, other.cut]),
        )


@runtime_checkable
class ReadingEncoder(Encoder, Protocol):
    """An encoder that says how it read a text."""

    def encode_all(self, texts: Sequence[str]) -> Encoded:
        """Return what ``encode`` does, and how each text was read."""
        ...


def encode_all(encoder: Encoder, texts: Sequence[str]) -> Encoded:
    """Encode ``texts``; of an encoder that does not say otherwise, each is read whole and at once."""
    if isinstance(encoder, ReadingEncoder):
        return encoder.encode_all(texts)
    n = len(texts)
    return Encoded(encoder.encode(texts), np.ones(n, np.int64), np.zeros(n, np.bool_))


class Batch:
    """Items to score together, with the vectors of every text the detectors asked for.

    Args:
        items: n inferences.
        index: text -> row of ``vectors``.
        vectors: (m, dim) float32, rows of L2 norm 1.
    """

    def __init__(self, items: Sequence[Item], index: Mapping[str, int], vectors: F32) -> None:
        self.items = items
        self._index = index
        self._vectors = vectors

    def embed(self, texts: Sequence[str]) -> F32:
        """Return the (len(texts), dim) vectors of texts that ``Detector.texts`` named; KeyError for others."""
        return self._vectors[[self._index[text] for text in texts]]

    def take(self, rows: Sequence[int]) -> Batch:
        """Return a batch of the items at ``rows``, over the same vectors."""
        return Batch([self.items[row] for row in rows], self._index, self._vectors)

    @classmethod
    def encode(cls, items: Sequence[Item], detectors: Iterable[Detector], encoder: Encoder) -> Batch:
        """Run one encoder pass over the distinct texts that ``detectors`` need of ``items``."""
        detectors = list(detectors)
        wanted = dict.fromkeys(text for item in items for detector in detectors for text in detector.texts(item))
        texts = list(wanted)
        vectors = encoder.encode(texts) if texts else np.empty((0, encoder.dim), np.float32)
        return cls(items, {text: row for row, text in enumerate(texts)}, vectors)


@dataclass(frozen=True, slots=True)
class Scores:
    """One named score for each item of a batch.

    ``values`` is (n,) float32 in [0, 1], higher is worse, NaN where the detector abstained;
    ``abstained[i]`` then holds a short stable reason (``no contexts``) and is empty elsewhere.
    """

    name: str
    values: F32
    abstained: tuple[str, ...]
    evidence: tuple[tuple[Evidence, ...], ...]

    def __post_init__(self) -> None:
        n = len(self.values)
        if len(self.abstained) != n or len(self.evidence) != n:
            raise ValueError(f"{self.name}: {n} values, {len(self.abstained)} reasons, {len(self.evidence)} evidences")


class Detector(ABC):
    """Base class of every detector, found by the entry point group ``inferwatch.detectors``.

    ``emits`` maps each score name to its default threshold, from which on a row counts as a hit.
    Laws (see ``checks``): scoring a batch equals scoring one by one, in any order; a score is in [0, 1] or
    NaN with a reason; ``score`` looks up only vectors of texts that ``texts`` named.
    ``families`` are those of the encoders its weights fit; empty where any will do.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    reads: ClassVar[frozenset[Field]]
    emits: ClassVar[Mapping[str, float]]
    families: frozenset[str] = frozenset()

    @abstractmethod
    def texts(self, item: Item) -> Iterable[str]:
        """Return the texts of ``item`` whose vectors ``score`` will look up."""

    @abstractmethod
    def score(self, batch: Batch) -> tuple[Scores, ...]:
        """Return one ``Scores`` for each name in ``emits``; row i depends on item i only."""
