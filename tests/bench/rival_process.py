"""Scores conversations with LangKit and Evidently. Run by ``tests.bench.rivals`` with the Python of their environment.

    python rival_process.py MODEL_FOLDER < lines

The first line is a JSON list of [input, output]; every further line names a side, which then scores them all once. Each
is answered by one JSON line: the sides and versions, then the seconds and a few scores.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version

import evidently
import pandas as pd
from evidently.descriptors import SemanticSimilarity
from langkit import extract, input_output
from whylogs.experimental.core.udf_schema import udf_schema

Pairs = list[tuple[str, str]]
Score = Callable[[Pairs], list[float]]


def langkit(folder: str) -> Score:
    """LangKit's ``response.relevance_to_prompt``, the metric of its ``input_output`` module."""
    input_output.init(transformer_name=folder)
    schema = udf_schema()

    def score(pairs: Pairs) -> list[float]:
        table = pd.DataFrame(pairs, columns=["prompt", "response"])
        found = extract(table, schema=schema)
        return [float(value) for value in found["response.relevance_to_prompt"]]

    return score


def evidently_(folder: str) -> Score:
    """Evidently's descriptor ``SemanticSimilarity``. It loads its model anew for every dataset."""
    # It names its model itself, as the hub does; a folder of that name comes first.
    os.symlink(folder, "all-MiniLM-L6-v2")

    def score(pairs: Pairs) -> list[float]:
        table = pd.DataFrame(pairs, columns=["input", "output"])
        descriptor = SemanticSimilarity(columns=["input", "output"], alias="similarity")
        found = evidently.Dataset.from_pandas(
            table, data_definition=evidently.DataDefinition(text_columns=["input", "output"]), descriptors=[descriptor]
        )
        return [float(value) for value in found.as_dataframe()["similarity"]]

    return score


def main() -> None:
    sides = {"langkit": langkit(sys.argv[1]), "evidently": evidently_(sys.argv[1])}
    pairs = json.loads(sys.stdin.readline())
    packages = ("langkit", "evidently", "sentence-transformers", "torch")
    answer({"sides": list(sides), "versions": {name: version(name) for name in packages}})
    while line := sys.stdin.readline():
        start = time.perf_counter()
        found = sides[line.strip()](pairs)
        answer({"seconds": time.perf_counter() - start, "scored": len(found), "first": found[:3]})


def answer(found: object) -> None:
    print(json.dumps(found), file=REAL, flush=True)


if __name__ == "__main__":
    # What the libraries say belongs to stderr: stdout carries answers only.
    REAL, sys.stdout = sys.stdout, sys.stderr
    with tempfile.TemporaryDirectory() as here:
        os.chdir(here)
        main()
