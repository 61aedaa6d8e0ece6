"""Questions to strategies, with views made by hand."""

from typing import Any

import numpy as np

from perturb_jax.strategies.cycle import Ask, View
from tests.graphs import graph_of

GRAPH = graph_of(40, [(i, (i * 7 + 3) % 40) for i in range(40)] + [(i, (i * 5 + 1) % 40) for i in range(0, 40, 2)])


def named(count: int, start: int = 0) -> tuple[str, ...]:
    return tuple(f"G{i}" for i in range(start, start + count))


def asked(candidates: np.ndarray, selected: np.ndarray, part: str, batch: int, seed: int = 0) -> Ask:
    """A question with a view of one part: candidates G0, G1, ..., the selected ones after them."""
    names = named(len(candidates) + len(selected))
    parts: dict[str, Any] = {part: np.concatenate([candidates, selected])}
    view = View(names, **parts)
    return Ask(GRAPH, names[: len(candidates)], names[len(candidates) :], batch, seed, view)


def places(genes: tuple[str, ...]) -> list[int]:
    """The rows of genes named by `named`."""
    return [int(gene[1:]) for gene in genes]
