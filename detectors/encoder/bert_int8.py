"""The layers of a BERT as int8 nodes of an ONNX graph, for whatever is built on them.

Every weight is int8, one scale for each column of a matrix and for each token's row; activations get their scale at run
time, for all that is multiplied at once. The graph is written operator by operator, of those that ONNX Runtime computes
fast on a CPU, and is run as it is. Exported by torch, fused and quantised by ONNX Runtime's tools it takes a sixth more
time: they put bias and GELU, skip and normalisation, and all of attention into single operators whose CPU kernels are
slower than the parts.

References:
    J. Devlin et al. (2019), BERT, arXiv:1810.04805: the layers.
    https://onnx.ai/onnx/operators and
    https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md: the operators.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from inferwatch.detectors.base import F32
from inferwatch.detectors.encoder.onnx_session import one_thread_session
from inferwatch.schemas.errors import Misconfigured

_RUNTIME = "com.microsoft"
"""The operators of ONNX Runtime that ONNX has not."""
_OPSETS = {"": 23, _RUNTIME: 1}
_IR_VERSION = 10


@dataclass(frozen=True, slots=True)
class Bert:
    """What a graph depends on beside the weights."""

    layers: int
    heads: int
    dim: int
    epsilon: float

    @classmethod
    def read(cls, source: Path) -> Bert:
        """Read the configuration of the model in ``source``.

        Raises:
            Misconfigured: the model is of another kind, or the file is missing or something else.
        """
        try:
            config = json.loads((source / "config.json").read_text("utf-8"))
            found = cls(
                int(config["num_hidden_layers"]),
                int(config["num_attention_heads"]),
                int(config["hidden_size"]),
                float(config["layer_norm_eps"]),
            )
            kind, gelu = config["model_type"], config["hidden_act"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Misconfigured(f"{source} cannot be built: {error!r}") from error
        places = config.get("position_embedding_type", "absolute")
        if (kind, gelu, places) != ("bert", "gelu", "absolute"):
            raise Misconfigured(
                f"{source}: int8 layers are made of a BERT with hidden_act 'gelu' and position_embedding_type "
                f"'absolute', got {kind!r}, {gelu!r} and {places!r}"
            )
        return found


@dataclass(slots=True)
class Graph:
    """Nodes of one graph as they are added, and the weights that it shares with the graphs around and within it.

    A value has the name of the node that gives it.
    """

    weights: dict[str, onnx.TensorProto] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def held(self, name: str, value: npt.ArrayLike) -> str:
        self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def node(self, kind: str, given: Sequence[str], name: str, *more: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, given, [name, *more], domain=domain, **attributes))
        return name

    def within(self, name: str, given: onnx.ValueInfoProto, found: onnx.ValueInfoProto) -> onnx.GraphProto:
        """Return the nodes as the body of a Scan in another graph, which holds the weights.

        Weights of an inner graph would be held twice: as they are and as the kernels want them.
        """
        return helper.make_graph(self.nodes, name, [given], [found])

    def model(self, name: str, given: Sequence[onnx.ValueInfoProto], found: Sequence[onnx.ValueInfoProto]) -> bytes:
        """Return the nodes and their weights as the content of an ONNX file."""
        graph = helper.make_graph(self.nodes, name, given, found, initializer=list(self.weights.values()))
        opsets = [helper.make_opsetid(domain, since) for domain, since in _OPSETS.items()]
        model: Any = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        return bytes(model.SerializeToString())


def ids(name: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.INT64, shape)


def floats(name: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


@cache
def exact() -> bool:
    """Return whether this processor multiplies int8 exactly.

    Without VNNI, ONNX Runtime's x86 kernels add two products in 16 bits, which large ones overflow.
    """
    many = 64
    graph = Graph()
    graph.node("MatMulInteger", ["some", graph.held("columns", np.full((many, many), 127, np.int8))], "product")
    given = helper.make_tensor_value_info("some", onnx.TensorProto.UINT8, [many, many])
    found = helper.make_tensor_value_info("product", onnx.TensorProto.INT32, [many, many])
    session = one_thread_session(graph.model("exact", [given], [found]))
    [product] = session.run(None, {"some": np.full((many, many), 255, np.uint8)})
    return bool((product == 255 * 127 * many).all())


def embedded(
    graph: Graph, texts: str, weights: Mapping[str, F32], bert: Bert, *, tokens: str = "", segments: str = ""
) -> str:
    """Add what gives a vector of each token, its place and its segment, normalised.

    Args:
        graph: gets the nodes.
        texts: (n, t) ids of tokens.
        weights: of the transformer, by their names in it.
        bert: its shape.
        tokens: ``texts`` in the shape in which they are wanted, (…, t), for (…, t, dim); without, as they are.
        segments: (n, t) 0 or 1; without, all are of the first.
    """
    tokens = tokens or texts
    rows, scales = _int8(weights["embeddings.word_embeddings.weight"], axis=1)
    graph.node("Gather", [graph.held("token", rows), tokens], "token_int8")
    graph.node("Cast", ["token_int8"], "token_unscaled", to=onnx.TensorProto.FLOAT)
    graph.node("Gather", [graph.held("token_scale", scales), tokens], "scale")
    graph.node("Mul", ["token_unscaled", "scale"], "token_read")
    kinds = weights["embeddings.token_type_embeddings.weight"]
    places = weights["embeddings.position_embeddings.weight"] + kinds[0]
    graph.node("Shape", [texts], "tokens", start=1)
    first = graph.held("first", [0])
    graph.node("Slice", [graph.held("place", places), first, "tokens", first], "place_read")
    found = graph.node("Add", ["token_read", "place_read"], "embedded")
    if segments:
        graph.node("Gather", [graph.held("segment", kinds - kinds[0]), segments], "segment_read")
        found = graph.node("Add", [found, "segment_read"], "embedded_of_segments")
    return _norm(graph, found, "embeddings.LayerNorm.", weights, bert)


def attended(graph: Graph, read: str, layer: str, weights: Mapping[str, F32], bert: Bert) -> str:
    """Add the first half of a layer to (1, t, dim) ``read``: what each token reads of the others."""
    own = f"{layer}attention.self."
    # Quantised once for three products: a matrix of all three would have to be cut apart again.
    numbers, scale, zero = (f"{own}{part}" for part in ("int8", "scale", "zero"))
    graph.node("DynamicQuantizeLinear", [read], numbers, scale, zero)
    parts = []
    for part in ("query", "key", "value"):
        columns, scales, none, bias = _columns(graph, f"{own}{part}.", weights)
        given = [numbers, columns, scale, scales, zero, none, bias]
        parts.append(graph.node("MatMulIntegerToFloat", given, f"{own}{part}", domain=_RUNTIME))
    seen = graph.node("Attention", parts, f"{own}seen", q_num_heads=bert.heads, kv_num_heads=bert.heads)
    return _added(graph, read, seen, f"{layer}attention.output.", weights, bert)


def fed(graph: Graph, read: str, layer: str, weights: Mapping[str, F32], bert: Bert) -> str:
    """Add the second half of a layer to (1, t, dim) ``read``: what is made of each token by itself."""
    wide = graph.node("Gelu", [_product(graph, read, f"{layer}intermediate.dense.", weights)], f"{layer}wide")
    return _added(graph, read, wide, f"{layer}output.", weights, bert)


def _added(graph: Graph, read: str, found: str, name: str, weights: Mapping[str, F32], bert: Bert) -> str:
    """Add ``found``, projected, to what was ``read``, and normalise."""
    graph.node("Add", [_product(graph, found, f"{name}dense.", weights), read], f"{name}sum")
    return _norm(graph, f"{name}sum", f"{name}LayerNorm.", weights, bert)


def _product(graph: Graph, given: str, name: str, weights: Mapping[str, F32]) -> str:
    return graph.node("DynamicQuantizeMatMul", [given, *_columns(graph, name, weights)], f"{name}y", domain=_RUNTIME)


def _columns(graph: Graph, name: str, weights: Mapping[str, F32]) -> tuple[str, str, str, str]:
    """Hold a linear layer in int8; return the names of its matrix, its columns' scales, no zero point, and its bias."""
    columns, scales = _int8(weights[f"{name}weight"].T, axis=0)
    return (
        graph.held(f"{name}weight", columns),
        graph.held(f"{name}scale", scales[0]),
        "",
        graph.held(f"{name}bias", weights[f"{name}bias"]),
    )


def _int8(matrix: F32, axis: int) -> tuple[npt.NDArray[np.int8], F32]:
    """Return ``matrix`` in int8, symmetric, with one scale for all numbers along ``axis``."""
    scales = np.maximum(np.abs(matrix).max(axis=axis, keepdims=True) / 127, np.finfo(np.float32).tiny)
    return np.rint(matrix / scales).astype(np.int8), scales.astype(np.float32)


def _norm(graph: Graph, given: str, name: str, weights: Mapping[str, F32], bert: Bert) -> str:
    gamma, beta = (graph.held(f"{name}{part}", weights[f"{name}{part}"]) for part in ("weight", "bias"))
    return graph.node("LayerNormalization", [given, gamma, beta], f"{name}y", axis=-1, epsilon=bert.epsilon)
