"""From a sentence-transformers model to one int8 ONNX file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import AutoModel
from transformers.utils.logging import disable_progress_bar

from inferwatch.detectors.encoder.bert_int8 import Bert, Graph, attended, embedded, fed, floats, ids
from inferwatch.detectors.encoder.built import MEANS, TEXTS
from inferwatch.schemas.errors import Misconfigured

_quiet: Any = disable_progress_bar


def write_int8(source: Path, target: Path) -> int:
    """Write the int8 model of ``source`` to ``target``; return the length of its vectors.

    It takes texts of one length, (n, tokens) int64 ids without padding, and gives the (n, dim) float32 means over their
    tokens; ``bert_int8`` says how. Texts are read one after the other, and a text's mean is what it would be alone, bit
    for bit: each half of a layer is a Scan over the texts, so that its weights come into the core's cache once for all
    of them. The same weights give the same file.

    Args:
        source: a sentence-transformers folder with a BERT and mean pooling.
        target: the file to write.

    Raises:
        Misconfigured: the model is of another kind.
    """
    try:
        _check_pooling(source)
        bert = Bert.read(source)
    except Misconfigured as error:
        raise Misconfigured(f"{error}; use encoder.backend: torch") from error
    _quiet()
    model = AutoModel.from_pretrained(source, local_files_only=True).float()
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    many = Graph()
    many.node("Unsqueeze", [TEXTS, many.held("second", [1])], "ids")
    read = embedded(many, TEXTS, weights, bert, tokens="ids")
    halves = [(half, f"encoder.layer.{number}.") for number in range(bert.layers) for half in (attended, fed)]
    text: list[int | str] = [1, "tokens", bert.dim]
    for half, layer in halves:
        one = Graph(many.weights)
        found, shape = half(one, "one", layer, weights, bert), text
        if (half, layer) == halves[-1]:
            found = one.node("ReduceMean", [found, one.held("all_tokens", [0, 1])], "mean", keepdims=0)
            shape = [bert.dim]
        body = one.within("text", floats("one", text), floats(found, shape))
        # A text's own place, before its tokens, is for attention, which takes batches.
        read = many.node("Scan", [read], f"{found}_of_all", num_scan_inputs=1, body=body)
    many.node("Identity", [read], MEANS)
    target.write_bytes(many.model("texts", [ids(TEXTS, ["n", "tokens"])], [floats(MEANS, ["n", bert.dim])]))
    return bert.dim


def _check_pooling(source: Path) -> None:
    """Refuse a model that does not give the mean over its tokens."""
    try:
        modules = [
            str(module["type"]).rpartition(".")[2] for module in json.loads((source / "modules.json").read_text())
        ]
        pooling = json.loads((source / "1_Pooling" / "config.json").read_text("utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Misconfigured(f"{source} cannot be built: {error!r}") from error
    modes = [name for name, on in pooling.items() if name.startswith("pooling_mode_") and on is True]
    mean = modes == ["pooling_mode_mean_tokens"] or pooling.get("pooling_mode") == "mean"
    if not mean or set(modules) - {"Transformer", "Pooling", "Normalize"}:
        raise Misconfigured(f"{source}: models build takes a BERT with mean pooling, got {modes}, modules {modules}")
