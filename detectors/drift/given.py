"""How an output answers its input: its vector without what it shares with that of the input.

Most of what an output's vector says is what was asked. Where questions vary, that is noise to a test that looks for
another way of answering, and where they change it is a change that the inputs show already. What is left of the output
beside its projection on the input, ``o - (o . i) i``, varies half as much between the answers of one model (AlpacaEval,
ten models: .49 to .55 of the variance, ``tests.bench.drift.given``), and a model's manner is still in it. Nothing is
learned, so that any encoder's vectors will do. It is as conditional as a projection can be: not independent of the
input, only less dependent.

References:
    Frisch and Waugh 1933, Partial time regressions as compared with individual trends, Econometrica 1 (what is left
    of one variable beside another).
    Shah and Peters 2020, The hardness of conditional independence testing, Annals of Statistics 48 (why no test can
    do without an assumption here).
"""

from __future__ import annotations

import numpy as np

from inferwatch.detectors.base import F32, Encoded


def rest(outputs: F32, inputs: F32) -> F32:
    """Return (n, dim) float32: each output without its projection on its input; NaN where either is NaN.

    Args:
        outputs: (n, dim) vectors of L2 norm 1.
        inputs: the same of the inputs.
    """
    shared = np.einsum("ij,ij->i", outputs, inputs)
    found: F32 = (outputs - shared[:, None] * inputs).astype(np.float32)
    return found


def encoded(output: Encoded, input_: Encoded) -> Encoded:
    """Return what is known of n outputs given their inputs: both texts were read for it."""
    return Encoded(
        rest(output.vectors, input_.vectors),
        np.maximum(output.chunks, input_.chunks),
        output.cut | input_.cut,
    )
