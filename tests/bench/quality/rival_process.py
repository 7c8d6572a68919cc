"""Scores texts with alt-profanity-check and VADER. Run with the Python of their environment by ``rivals``.

    python rival_process.py < texts.json

Standard input is a JSON list of texts; one JSON line answers: the scores of each side, higher is worse, and versions.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version

from profanity_check import predict_prob
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer


def main() -> None:
    texts = json.load(sys.stdin)
    analyser = SentimentIntensityAnalyzer()
    compound = [analyser.polarity_scores(text)["compound"] for text in texts]
    scores = {
        "alt-profanity-check": [float(one) for one in predict_prob(texts)] if texts else [],
        "VADER": [(1 - one) / 2 for one in compound],
    }
    packages = ("alt-profanity-check", "vaderSentiment")
    print(json.dumps({"scores": scores, "versions": {name: version(name) for name in packages}}))


if __name__ == "__main__":
    main()
