"""The cross-encoder as it is used: the bundled sentence encoder's transformer, tuned, in int8."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from inferwatch.detectors.base import F32
from inferwatch.detectors.encoder.bert_int8 import Bert, Graph, attended, embedded, exact, fed, floats, ids
from inferwatch.detectors.encoder.folder import BUNDLED, model_folder
from inferwatch.detectors.encoder.onnx_session import one_thread_session
from inferwatch.detectors.hallucination.entailment.differences import BERT, restored
from inferwatch.detectors.hallucination.entailment.reader import Encoding, Reader
from inferwatch.detectors.hub.windows import clean
from inferwatch.detectors.sentences import Span
from inferwatch.schemas.errors import Misconfigured

logger = logging.getLogger(__name__)

PACKAGED = Path(__file__).with_name("entailment.npz")
Weights = Mapping[str, F32]
Judge = Callable[[Encoding], tuple[float, F32]]
"""Gives the log odds that a claim is not supported, and those of each of its tokens."""
_PAIR, _CLAIM, _ODDS = "pair", "claim", "odds"
_REMEMBERED = 4096


class CrossEncoder:
    """Reads one pair a run, without padding: what it finds does not depend on what else is read."""

    def __init__(self, judge: Judge, reader: Reader) -> None:
        self._judge, self._reader = judge, reader
        self._remembered = lru_cache(_REMEMBERED)(self._read)

    @classmethod
    def load(cls, path: Path = PACKAGED, model: str = BUNDLED) -> CrossEncoder:
        """Return the encoder's transformer with the differences of ``path`` added, in int8.

        A processor that cannot multiply int8 exactly reads in float32, with torch, which takes three times as long.

        Raises:
            Misconfigured: a file is missing, or the differences are not of this model.
        """
        source = model_folder(model)
        try:
            weights = load_weights(source, path)
            judge = int8_judge(weights, Bert.read(source)) if exact() else float32_judge(weights, source)
        except (OSError, KeyError, ValueError) as error:
            raise Misconfigured(
                f"{path} is no cross-encoder on {source}: {error!r}; train one with hallucination/entailment/train.py"
            ) from error
        return cls(judge, Reader(source))

    def read(self, premise: str, claim: str) -> tuple[float, Span]:
        """Return the log odds that ``claim`` is not supported, and the range of its token that speaks most for it.

        The last 4096 pairs are remembered.
        """
        return self._remembered(clean(premise), clean(claim))

    def _read(self, premise: str, claim: str) -> tuple[float, Span]:
        encoding = self._reader.encode(premise, claim)
        if not encoding.ranges:
            return 0.0, (0, 0)
        odds, each = self._judge(encoding)
        return odds, encoding.ranges[int(each.argmax())]


def load_weights(source: Path, path: Path) -> dict[str, F32]:
    """Return the weights of ``network.Network``: those of the encoder in ``source`` with ``path`` added.

    Raises:
        OSError, KeyError, ValueError: a file is missing or something else.
    """
    untrained = {
        f"{BERT}{name}": value.astype(np.float32)
        for name, value in load_file(source / "model.safetensors").items()
        if value.dtype != np.int64
    }
    with np.load(path) as held:
        return restored(untrained, held)


def int8_judge(weights: Weights, bert: Bert) -> Judge:
    """Return what judges with ``weights`` in int8; ``bert_int8`` says how.

    The two heads, one for each token and one for the mean over the claim, stay float32.
    """
    own = {name.removeprefix(BERT): value for name, value in weights.items()}
    graph = Graph()
    read = embedded(graph, _PAIR, own, bert, segments=_CLAIM)
    for number in range(bert.layers):
        for half in (attended, fed):
            read = half(graph, read, f"encoder.layer.{number}.", own, bert)
    heads = [own[f"{head}.weight"][0] for head in ("token", "mean")]
    biases = np.concatenate([own[f"{head}.bias"] for head in ("token", "mean")])
    graph.node("MatMul", [read, graph.held("heads", np.stack(heads, axis=1))], "unshifted")
    graph.node("Add", ["unshifted", graph.held("biases", biases)], _ODDS)
    shape: list[int | str] = [1, "t"]
    model = graph.model("pair", [ids(_PAIR, shape), ids(_CLAIM, shape)], [floats(_ODDS, [*shape, len(heads)])])
    session = one_thread_session(model)

    def judge(encoding: Encoding) -> tuple[float, F32]:
        claim = np.zeros((1, len(encoding.tokens)), np.int64)
        place = slice(encoding.first, encoding.first + len(encoding.ranges))
        claim[0, place] = 1
        [[found]] = session.run(None, {_PAIR: np.array([encoding.tokens], np.int64), _CLAIM: claim})
        each, mean = found[place].T
        return float(np.logaddexp.reduce(each) + mean.mean()), each

    return judge


def float32_judge(weights: Weights, source: Path) -> Judge:
    """Return what judges with ``weights`` as they are, by torch."""
    import torch

    from inferwatch.detectors.hallucination.entailment.network import Network, batch

    logger.info("entailment reads in float32, in three times the time: this processor does not multiply int8 exactly")
    network = Network(source)
    network.load_state_dict({name: torch.from_numpy(weights[name]) for name in network.state_dict()})
    network.eval()

    def judge(encoding: Encoding) -> tuple[float, F32]:
        with torch.inference_mode():
            odds, each = network(*batch([encoding]))
        return float(odds[0]), each[0, encoding.first : encoding.first + len(encoding.ranges)].numpy()

    return judge
