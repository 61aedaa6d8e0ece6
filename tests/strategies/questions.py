"""Questions to strategies, with views made by hand."""

from collections.abc import Iterable
from typing import Any

import numpy as np

import perturb_jax as pj
from perturb_jax.selection.selection import Selection
from perturb_jax.strategies.choose import choose
from perturb_jax.strategies.strategy import Ask
from perturb_jax.strategies.view import View
from tests.graphs import graph_of

GRAPH = graph_of(40, [(i, (i * 7 + 3) % 40) for i in range(40)] + [(i, (i * 5 + 1) % 40) for i in range(0, 40, 2)])


def named(count: int, start: int = 0) -> tuple[str, ...]:
    return tuple(f"G{i}" for i in range(start, start + count))


def question(candidates: np.ndarray, selected: np.ndarray, part: str, batch: int, seed: int = 0) -> Ask:
    """A question with a view of one part: candidates G0, G1, ..., the selected ones after them."""
    names = named(len(candidates) + len(selected))
    parts: dict[str, Any] = {part: np.concatenate([candidates, selected])}
    view = View(names, **parts)
    ring = graph_of(len(names), [(i, (i + 1) % len(names)) for i in range(len(names))])
    return Ask.of(ring, names[: len(candidates)], batch, names[len(candidates) :], seed, view)


def pick(
    strategy: Any, graph: pj.KnowledgeGraph, candidates: Iterable[str] | None, budget: int, hops: int = 1,
    direction: Any = "in", selected: Iterable[str] = (), seed: int | None = None,
) -> Selection:  # fmt: skip
    """What a strategy chooses, with the coverage of names alone over some hops."""
    return choose(strategy, Ask.of(graph, candidates, budget, selected, seed), hops, direction)


def rows_of(genes: tuple[str, ...]) -> list[int]:
    """The rows of genes named by `named`."""
    return [int(gene[1:]) for gene in genes]
