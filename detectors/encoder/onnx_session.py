"""ONNX Runtime as a worker wants it."""

from __future__ import annotations

from typing import Any

import onnxruntime

_ort: Any = onnxruntime  # it exports its names by other means than mypy knows


def one_thread_session(model: str | bytes) -> Any:
    """Return an ONNX Runtime session for one thread that waits asleep; ``model`` is a file or what is in one."""
    options = _ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # A thread that waits for work must not burn the core that Kafka's loop needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The graph is written as it is fast: the optimisations put operators together that are slower than their parts.
    options.graph_optimization_level = _ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return _ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
