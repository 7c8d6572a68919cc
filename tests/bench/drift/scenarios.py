"""What may change, as draws of rows from the pool: a reference, null windows, and windows with a change.

All windows of one draw face one reference, and all methods get the same rows. In ``swap``, ``verbosity``,
``generator mixture`` and ``source`` the two sides have no prompt in common and no row twice. In ``source mixture`` and
``synthetic`` rows are drawn with replacement: there the pool itself is the population, however often its rows come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from tests.bench.drift.logs import Pool, Rows

Rng = np.random.Generator
SHARES = (0.05, 0.10, 0.20)
CURVE = (0.01, 0.02, 0.05, 0.10, 0.20, 0.50)
OUTPUT_SOURCES = ("koala", "vicuna")
"""The sources whose outputs are mixed in, beside the inputs of all."""
CURVED = "koala"
"""The source whose mixture has the whole curve."""
BASE = "gpt4_0314"
MIXED = ("gpt4_1106_preview", "gpt-3.5-turbo-0613", "text_davinci_003")
VERBOSE = ("gpt4_1106_preview", "gpt4_1106_preview_concise")
SWAP_REFERENCE, SOURCE_REFERENCE, POPULATION_REFERENCE = 402, 350, 500


@dataclass(frozen=True)
class Scenario:
    """One change at one window size. ``share`` of the window's rows are of the new kind."""

    kind: str
    name: str
    n: int
    share: float = 1.0


@dataclass(frozen=True)
class Draw:
    """Rows of one reference, of null windows by size, and of windows by scenario."""

    reference: Rows
    null: dict[int, list[Rows]]
    changed: dict[Scenario, Rows]


@dataclass(frozen=True)
class Group:
    """Scenarios with the same null: what was normal is the same, so one threshold a window size serves them all.

    ``references`` are drawn in all; the first ``repeats`` of them face changed windows too.
    """

    name: str
    scenarios: tuple[Scenario, ...]
    make: Callable[[Rng, bool], Draw] = field(repr=False)
    references: int
    repeats: int

    def draws(self, seed: int) -> Iterator[Draw]:
        """Yield the draws of this group, the same ones for the same seed."""
        for at in range(self.references):
            key = [seed, at, *self.name.encode()]
            yield self.make(np.random.default_rng(key), at < self.repeats)


def groups(pool: Pool, *, references: int, repeats: int) -> list[Group]:
    """Return every group, with so many references each (``gpt4_0314`` at n = 400: twice as many)."""
    found = [_swap(pool, name, references, repeats) for name in pool.generators]
    found.append(_swap_400(pool, 2 * references, repeats))
    found += [_verbosity(pool, *pair, references, repeats) for pair in (VERBOSE, VERBOSE[::-1])]
    for source in sorted(set(pool.sources)):
        found += [_source(pool, source, part, references, repeats) for part in ("input", "output")]
        found.append(_source_mixture(pool, source, "input", references, repeats))
    found += [_source_mixture(pool, source, "output", references, repeats) for source in OUTPUT_SOURCES]
    found.append(_synthetic(pool, references, repeats))
    return found


def only(known: Sequence[Group], wanted: Set[Scenario]) -> Iterator[Group]:
    """Yield the groups that have any of the ``wanted`` scenarios, with these alone."""

    def make(group: Group, rng: Rng, changed: bool) -> Draw:
        draw = group.make(rng, changed)
        kept = {one: rows for one, rows in draw.changed.items() if one in wanted}
        sizes = {one.n for one in group.scenarios if one in wanted}
        return replace(draw, changed=kept, null={n: draw.null[n] for n in draw.null if n in sizes})

    for group in known:
        if kept := tuple(one for one in group.scenarios if one in wanted):
            yield replace(group, scenarios=kept, make=partial(make, group))


def _split(rng: Rng, prompts: int, reference: int) -> tuple[Rows, Rows]:
    order = rng.permutation(prompts)
    return order[:reference], order[reference:]


def _disjoint(rows: Rows, n: int) -> list[Rows]:
    """Return at most four windows of n of these rows, which have none in common."""
    return [rows[at : at + n] for at in range(0, min(len(rows), 4 * n) - n + 1, n)]


def _swap(pool: Pool, base: str, references: int, repeats: int) -> Group:
    others = [name for name in pool.generators if name != base]
    wanted = {Scenario("swap", f"{base} -> {name}", n): name for n in (100, 200) for name in others}

    def make(rng: Rng, changed: bool) -> Draw:
        old, rest = _split(rng, len(pool.sources), SWAP_REFERENCE)
        own = pool.of(base)
        null = {n: _disjoint(own[rest], n) for n in (100, 200)}
        new = {one: pool.of(name)[rest[: one.n]] for one, name in wanted.items()} if changed else {}
        return Draw(own[old], null, new)

    return Group(f"swap from {base}", tuple(wanted), make, references, repeats)


def _swap_400(pool: Pool, references: int, repeats: int) -> Group:
    others = [name for name in pool.generators if name != BASE]
    swaps = {Scenario("swap", f"{BASE} -> {name}", 400): (name, 1.0) for name in others}
    mixed = {
        Scenario("generator mixture", f"{BASE} + {name}", 400, share): (name, share)
        for name in MIXED for share in SHARES
    }  # fmt: skip
    wanted = swaps | mixed

    def make(rng: Rng, changed: bool) -> Draw:
        old, rest = _split(rng, len(pool.sources), SWAP_REFERENCE)
        own, window = pool.of(BASE), rest[:400]
        uniform = rng.random(400)
        new = {}
        for one, (name, share) in wanted.items() if changed else ():
            new[one] = np.where(uniform < share, pool.of(name)[window], own[window])
        return Draw(own[old], {400: [own[window]]}, new)

    return Group(f"{BASE}, n = 400", tuple(wanted), make, references, repeats)


def _verbosity(pool: Pool, base: str, other: str, references: int, repeats: int) -> Group:
    wanted = tuple(Scenario("verbosity", f"{base} -> {other}", n) for n in (50, 100, 200))

    def make(rng: Rng, changed: bool) -> Draw:
        old, rest = _split(rng, len(pool.sources), SWAP_REFERENCE)
        own = pool.of(base)
        new = {one: pool.of(other)[rest[: one.n]] for one in wanted} if changed else {}
        return Draw(own[old], {one.n: _disjoint(own[rest], one.n) for one in wanted}, new)

    return Group(f"verbosity of {base}", wanted, make, references, repeats)


def _source(pool: Pool, source: str, part: str, references: int, repeats: int) -> Group:
    vectors = pool.inputs if part == "input" else pool.of(BASE)
    inside, outside = vectors[pool.sources == source], vectors[pool.sources != source]
    sizes = [n for n in (50, 100) if n <= len(inside)]
    wanted = tuple(Scenario("source", f"{part}: others -> {source}", n) for n in sizes)

    def make(rng: Rng, changed: bool) -> Draw:
        old, rest = _split(rng, len(outside), SOURCE_REFERENCE)
        picked = rng.permutation(inside)
        new = {one: picked[: one.n] for one in wanted} if changed else {}
        return Draw(outside[old], {n: _disjoint(outside[rest], n) for n in sizes}, new)

    return Group(f"source {source}, {part}", wanted, make, references, repeats)


def _source_mixture(pool: Pool, source: str, part: str, references: int, repeats: int) -> Group:
    inside, outside = of_source(pool, source, part)
    shares = CURVE if source == CURVED else SHARES
    wanted = tuple(Scenario("source mixture", f"{part}: others + {source}", 500, share) for share in shares)
    make = partial(population, outside, inside, wanted)
    return Group(f"mixture with {source}, {part}", wanted, make, references, repeats)


def of_source(pool: Pool, source: str, part: str) -> tuple[Rows, Rows]:
    """Return the rows of a source's prompts, or of all models' outputs to them; and those of the other sources."""
    rows = pool.inputs[None, :] if part == "input" else pool.table
    return rows[:, pool.sources == source].ravel(), rows[:, pool.sources != source].ravel()


def _synthetic(pool: Pool, references: int, repeats: int) -> Group:
    wanted = tuple(Scenario("synthetic", "clusters + another", 500, share) for share in CURVE)
    return Group("synthetic", wanted, partial(population, pool.synthetic, pool.novel, wanted), references, repeats)


def population(normal: Rows, novel: Rows, wanted: Sequence[Scenario], rng: Rng, changed: bool) -> Draw:
    """Draw everything with replacement; a window of a scenario has each row from ``novel`` with its share."""
    n = wanted[0].n
    null = [rng.choice(normal, n) for _ in range(3)]
    reference = rng.choice(normal, POPULATION_REFERENCE)
    new = {one: mixture(rng, normal, novel, n, one.share) for one in wanted} if changed else {}
    return Draw(reference, {n: null}, new)


def mixture(rng: Rng, normal: Rows, novel: Rows, n: int, share: float) -> Rows:
    """Return n rows, each from ``novel`` with the chance ``share``."""
    return np.where(rng.random(n) < share, rng.choice(novel, n), rng.choice(normal, n))
