"""Figures that others published, to stand beside ours. None of them was measured here."""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """One figure as its source gives it."""

    method: str
    value: float


SUMMEDITS_SOURCE = (
    "P. Laban et al. (2023), *LLMs as Factual Reasoners: Insights from Existing Benchmarks and Beyond*, "
    "arXiv:2305.14540, and github.com/salesforce/factualNLG: the mean over eight domains, of which ours are four"
)
SUMMEDITS = (
    Published("DAE", 55.4),
    Published("SummaC-Conv", 57.1),
    Published("QAFactEval", 67.4),
    Published("ChatGPT, zero-shot", 72.5),
    Published("GPT-4, zero-shot", 83.2),
    Published("people", 90.6),
)
"""Balanced accuracy, percent."""

TRUE_SOURCE = (
    "Y. Zha et al. (2023), *AlignScore*, arXiv:2305.16739, and github.com/yuh-zha/AlignScore: the average over the "
    "eleven sets of TRUE (O. Honovich et al. 2022, arXiv:2204.04991)"
)
TRUE = (
    Published("NER-Overlap", 59.3),
    Published("BERTScore", 68.6),
    Published("ROUGE-2", 72.4),
    Published("SummaC-ZS", 78.2),
    Published("QAFactEval", 79.4),
    Published("AlignScore-base", 82.5),
    Published("AlignScore-large", 83.8),
)
"""ROC-AUC, percent: other sets than ours, though BEGIN and Q² are among them."""
