"""From a sentence-transformers model to one int8 ONNX file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from transformers import AutoModel
from transformers.utils.logging import disable_progress_bar

from inferwatch.detectors.base import F32
from inferwatch.detectors.encoder.built import MEANS, TEXTS
from inferwatch.schemas.errors import Misconfigured

_quiet: Any = disable_progress_bar
_RUNTIME = "com.microsoft"
"""The operators of ONNX Runtime that ONNX has not."""
_OPSETS = {"": 23, _RUNTIME: 1}
_IR_VERSION = 10


@dataclass(frozen=True, slots=True)
class _Bert:
    """What the graph depends on beside the weights."""

    layers: int
    heads: int
    dim: int
    epsilon: float


@dataclass(slots=True)
class _Graph:
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

    def graph(self, name: str, given: onnx.ValueInfoProto, found: onnx.ValueInfoProto, **more: Any) -> onnx.GraphProto:
        return helper.make_graph(self.nodes, name, [given], [found], **more)


def write_int8(source: Path, target: Path) -> int:
    """Write the int8 model of ``source`` to ``target``; return the length of its vectors.

    It takes texts of one length, (n, tokens) int64 ids without padding, and gives the (n, dim) float32 means over their
    tokens. Every weight is int8, one scale for each column of a matrix and for each token's row; activations get their
    scale at run time, for all that is multiplied at once. Texts are therefore read one after the other, and a text's
    mean is what it would be alone, bit for bit: each half of a layer is a Scan over the texts, so that its weights come
    into the core's cache once for all of them. The same weights give the same file.

    The graph is written operator by operator, of those that ONNX Runtime computes fast on a CPU, and is run as it is.
    Exported by torch, fused and quantised by ONNX Runtime's tools it takes a sixth more time: they put bias and GELU,
    skip and normalisation, and all of attention into single operators whose CPU kernels are slower than the parts.

    Args:
        source: a sentence-transformers folder with a BERT and mean pooling.
        target: the file to write.

    Raises:
        Misconfigured: the model is of another kind.

    References:
        J. Devlin et al. (2019), BERT, arXiv:1810.04805: the layers.
        https://onnx.ai/onnx/operators and
        https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md: the operators.
    """
    bert = _shape(source)
    _quiet()
    model = AutoModel.from_pretrained(source, local_files_only=True).float()
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    many = _Graph()
    read = _embedded(many, weights, bert)
    halves = [(half, f"encoder.layer.{number}.") for number in range(bert.layers) for half in (_attended, _fed)]
    for half, layer in halves:
        one = _Graph(many.weights)
        found, shape = half(one, "one", layer, weights, bert), _text(bert)
        if (half, layer) == halves[-1]:
            found, shape = (
                one.node("ReduceMean", [found, one.held("all_tokens", [0, 1])], "mean", keepdims=0),
                [bert.dim],
            )
        body = one.graph("text", _value("one", _text(bert)), _value(found, shape))
        # A text's own place, before its tokens, is for attention, which takes batches.
        read = many.node("Scan", [read], f"{found}_of_all", num_scan_inputs=1, body=body)
    many.node("Identity", [read], MEANS)
    # Weights of an inner graph would be held twice: as they are and as the kernels want them.
    graph = many.graph(
        "texts",
        helper.make_tensor_value_info(TEXTS, onnx.TensorProto.INT64, ["n", "tokens"]),
        _value(MEANS, ["n", bert.dim]),
        initializer=list(many.weights.values()),
    )
    opsets = [helper.make_opsetid(domain, since) for domain, since in _OPSETS.items()]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION), target)
    return bert.dim


def _text(bert: _Bert) -> list[int | str]:
    return [1, "tokens", bert.dim]


def _value(name: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def _embedded(graph: _Graph, weights: Mapping[str, F32], bert: _Bert) -> str:
    """Add what gives (n, 1, tokens, dim) of the ids: token, place and the first segment, normalised."""
    rows, scales = _int8(weights["embeddings.word_embeddings.weight"], axis=1)
    graph.node("Unsqueeze", [TEXTS, graph.held("second", [1])], "ids")
    graph.node("Gather", [graph.held("token", rows), "ids"], "token_int8")
    graph.node("Cast", ["token_int8"], "token_unscaled", to=onnx.TensorProto.FLOAT)
    graph.node("Gather", [graph.held("token_scale", scales), "ids"], "scale")
    graph.node("Mul", ["token_unscaled", "scale"], "token_read")
    places = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    graph.node("Shape", [TEXTS], "tokens", start=1)
    first = graph.held("first", [0])
    graph.node("Slice", [graph.held("place", places), first, "tokens", first], "place_read")
    graph.node("Add", ["token_read", "place_read"], "embedded")
    return _norm(graph, "embedded", "embeddings.LayerNorm.", weights, bert)


def _attended(graph: _Graph, read: str, layer: str, weights: Mapping[str, F32], bert: _Bert) -> str:
    """Add the first half of a layer: what each token reads of the others."""
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


def _fed(graph: _Graph, read: str, layer: str, weights: Mapping[str, F32], bert: _Bert) -> str:
    """Add the second half of a layer: what is made of each token by itself."""
    wide = graph.node("Gelu", [_product(graph, read, f"{layer}intermediate.dense.", weights)], f"{layer}wide")
    return _added(graph, read, wide, f"{layer}output.", weights, bert)


def _added(graph: _Graph, read: str, found: str, name: str, weights: Mapping[str, F32], bert: _Bert) -> str:
    """Add ``found``, projected, to what was ``read``, and normalise."""
    graph.node("Add", [_product(graph, found, f"{name}dense.", weights), read], f"{name}sum")
    return _norm(graph, f"{name}sum", f"{name}LayerNorm.", weights, bert)


def _product(graph: _Graph, given: str, name: str, weights: Mapping[str, F32]) -> str:
    return graph.node("DynamicQuantizeMatMul", [given, *_columns(graph, name, weights)], f"{name}y", domain=_RUNTIME)


def _columns(graph: _Graph, name: str, weights: Mapping[str, F32]) -> tuple[str, str, str, str]:
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


def _norm(graph: _Graph, given: str, name: str, weights: Mapping[str, F32], bert: _Bert) -> str:
    gamma, beta = (graph.held(f"{name}{part}", weights[f"{name}{part}"]) for part in ("weight", "bias"))
    return graph.node("LayerNormalization", [given, gamma, beta], f"{name}y", axis=-1, epsilon=bert.epsilon)


def _shape(source: Path) -> _Bert:
    """Return what of its configuration the graph of a BERT with mean pooling needs."""
    try:
        config = json.loads((source / "config.json").read_text("utf-8"))
        modules = [
            str(module["type"]).rpartition(".")[2] for module in json.loads((source / "modules.json").read_text())
        ]
        pooling = json.loads((source / "1_Pooling" / "config.json").read_text("utf-8"))
        found = _Bert(
            int(config["num_hidden_layers"]),
            int(config["num_attention_heads"]),
            int(config["hidden_size"]),
            float(config["layer_norm_eps"]),
        )
        kind, gelu = config["model_type"], config["hidden_act"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Misconfigured(f"{source} cannot be built: {error!r}; use encoder.backend: torch") from error
    modes = [name for name, on in pooling.items() if name.startswith("pooling_mode_") and on is True]
    mean = modes == ["pooling_mode_mean_tokens"] or pooling.get("pooling_mode") == "mean"
    places = config.get("position_embedding_type", "absolute")
    if kind != "bert" or not mean or set(modules) - {"Transformer", "Pooling", "Normalize"}:
        raise Misconfigured(
            f"{source}: models build takes a BERT with mean pooling, got {kind!r}, {modes}, modules {modules}; "
            "use encoder.backend: torch"
        )
    if (gelu, places) != ("gelu", "absolute"):
        raise Misconfigured(
            f"{source}: models build takes a BERT with hidden_act 'gelu' and position_embedding_type 'absolute', got "
            f"{gelu!r} and {places!r}; use encoder.backend: torch"
        )
    return found
