"""From a sentence-transformers model to one int8 ONNX file."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from onnxruntime import quantization
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions
from transformers import AutoModel
from transformers.utils.logging import disable_progress_bar

from inferwatch.detectors.encoder.built import MEANS, TEXTS
from inferwatch.schemas.errors import Misconfigured

_untyped: Any = (disable_progress_bar, optimizer.optimize_model, FusionOptions, quantization)
_quiet, _fuse, _FusionOptions, _quantization = _untyped
_INT64, _FLOAT = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class _Mean(torch.nn.Module):
    """The transformer and the mean over its tokens, for texts without padding."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
        out = self.transformer(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        return out.last_hidden_state.mean(1)


def export_int8(source: Path, target: Path, scratch: Path) -> int:
    """Write the int8 model of ``source`` to ``target``; return the length of its vectors.

    Export, fusion of attention, embeddings and GELU into single operators, layer normalisation in operators that are
    fast, then int8 for every weight, one scale for each column; activations get their scale at run time, text by text.
    The same versions of the libraries give the same bytes. ``in_turn`` makes of it the model that is run.

    Args:
        source: a sentence-transformers folder with a BERT and mean pooling.
        target: the file to write.
        scratch: an empty folder for what lies between, about ten times the result.

    Raises:
        Misconfigured: the model is of another kind.

    References:
        https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """
    heads, dim = _shape(source)
    _quiet()
    model = AutoModel.from_pretrained(source, attn_implementation="eager", local_files_only=True).float().eval()
    tokens = torch.ones((1, 16), dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        # The newer exporter (dynamo=True) writes a graph in which the attention is not recognised and fused.
        torch.onnx.export(
            _Mean(model),
            (tokens, tokens, torch.zeros_like(tokens)),
            str(scratch / "exported.onnx"),
            input_names=list(INPUTS),
            output_names=["mean"],
            dynamic_axes={name: {1: "tokens"} for name in INPUTS},
            dynamo=False,
            opset_version=17,
        )
        before = logging.root.level
        logging.root.setLevel(logging.ERROR)  # hints of the quantiser, by the root logger
        try:
            options = _FusionOptions("bert")
            options.enable_skip_layer_norm = options.enable_bias_skip_layer_norm = False
            fused = _fuse(
                str(scratch / "exported.onnx"),
                model_type="bert",
                num_heads=heads,
                hidden_size=dim,
                opt_level=0,
                optimization_options=options,
            )
            if not fused.get_fused_operator_statistics().get("Attention"):
                raise Misconfigured(f"{source}: its attention could not be fused; use encoder.backend: torch")
            _spread_norms(fused.model.graph)
            fused.save_model_to_file(str(scratch / "fused.onnx"))
            # Without a default type the quantiser asks for shapes it cannot infer of fused operators; 1 is float.
            _quantization.quantize_dynamic(
                str(scratch / "fused.onnx"),
                str(target),
                weight_type=_quantization.QuantType.QInt8,
                per_channel=True,
                extra_options={"DefaultTensorType": 1},
            )
        finally:
            logging.root.setLevel(before)
    return dim


def in_turn(target: Path) -> None:
    """Let the model in ``target``, which takes one text, take many of one length, and read them one after the other.

    Each text's mean is what it would be alone, bit for bit: nothing is computed across texts. What is saved is the way
    from Python into the model and back, and above all the lock that a thread needs on it.
    """
    model = onnx.load(target)
    text, first = "text", "first_axis"
    all_of = [
        helper.make_node("ConstantOfShape", ["shape"], [name], value=helper.make_tensor(name, _INT64, [1], [value]))
        for name, value in zip(INPUTS[1:], (1, 0), strict=True)
    ]
    before = [
        helper.make_node("Unsqueeze", [text, first], [INPUTS[0]]),
        helper.make_node("Shape", [INPUTS[0]], ["shape"]),
        *all_of,
    ]
    [mean] = model.graph.output
    dim = mean.type.tensor_type.shape.dim[1].dim_value
    body = helper.make_graph(
        [*before, *model.graph.node, helper.make_node("Squeeze", [mean.name, first], ["one_mean"])],
        "one",
        [helper.make_tensor_value_info(text, _INT64, ["tokens"])],
        [helper.make_tensor_value_info("one_mean", _FLOAT, [dim])],
    )
    # Weights of the inner graph would be held twice: as they are and as the kernels want them.
    weights = [*model.graph.initializer, numpy_helper.from_array(np.array([0], np.int64), first)]
    graph = helper.make_graph(
        [helper.make_node("Scan", [TEXTS], [MEANS], num_scan_inputs=1, body=body)],
        "many",
        [helper.make_tensor_value_info(TEXTS, _INT64, ["n", "tokens"])],
        [helper.make_tensor_value_info(MEANS, _FLOAT, ["n", dim])],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version), target)


def _spread_norms(graph: Any) -> None:
    """Replace each LayerNormalization of ``graph``, which takes one text, by operators with the same result.

    ONNX Runtime's kernels for layer normalisation go number by number on a CPU: a fifth of the time of the int8 model.
    InstanceNormalization does the same for every token, seen as a channel, with vector instructions; its own scales and
    shifts, one a token, are 1 and 0, and gamma and beta follow as operators of their own.
    """
    one, zero, every = "norm_one", "norm_zero", "norm_every_token"
    graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), every))
    nodes = [
        helper.make_node("Cast", [INPUTS[1]], ["norm_mask"], to=_FLOAT),  # of one text, so all ones
        helper.make_node("Reshape", ["norm_mask", every], [one]),
        helper.make_node("Sub", [one, one], [zero]),
    ]
    for node in graph.node:
        if node.op_type != "LayerNormalization":
            nodes.append(node)
            continue
        (given, gamma, beta), (normed,) = node.input, node.output
        bare, scaled = f"{normed}_bare", f"{normed}_scaled"
        epsilon = next(attribute.f for attribute in node.attribute if attribute.name == "epsilon")
        nodes += [
            helper.make_node("InstanceNormalization", [given, one, zero], [bare], epsilon=epsilon),
            helper.make_node("Mul", [bare, gamma], [scaled]),
            helper.make_node("Add", [scaled, beta], [normed]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


def _shape(source: Path) -> tuple[int, int]:
    """Return (attention heads, hidden size) of a BERT with mean pooling."""
    try:
        config = json.loads((source / "config.json").read_text("utf-8"))
        modules = [
            str(module["type"]).rpartition(".")[2] for module in json.loads((source / "modules.json").read_text())
        ]
        pooling = json.loads((source / "1_Pooling" / "config.json").read_text("utf-8"))
        kind, heads, dim = config["model_type"], int(config["num_attention_heads"]), int(config["hidden_size"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Misconfigured(f"{source} cannot be built: {error!r}; use encoder.backend: torch") from error
    modes = [name for name, on in pooling.items() if name.startswith("pooling_mode_") and on is True]
    mean = modes == ["pooling_mode_mean_tokens"] or pooling.get("pooling_mode") == "mean"
    if kind != "bert" or not mean or set(modules) - {"Transformer", "Pooling", "Normalize"}:
        raise Misconfigured(
            f"{source}: models build takes a BERT with mean pooling, got {kind!r}, {modes}, modules {modules}; "
            "use encoder.backend: torch"
        )
    return heads, dim
