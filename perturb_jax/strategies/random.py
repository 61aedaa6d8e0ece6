"""Random: a uniform draw without replacement, what every other strategy has to beat."""

from collections.abc import Iterable

import numpy as np

from perturb_jax.genes.perturbations import as_names, without
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.selection.selection import Selection
from perturb_jax.strategies.order import as_selection
from perturb_jax.support.checks import check_budget, check_seed


def random(
    graph: KnowledgeGraph,
    candidates: Iterable[str] | None,
    budget: int,
    hops: int = 1,
    direction: Direction = "in",
    selected: Iterable[str] = (),
    seed: int | None = None,
) -> Selection:
    """Pick `budget` candidates uniformly at random; `seed` None means 0. `hops` and `direction` only measure coverage.

    Raises:
        InputError: names, a budget or a seed that cannot be used.
    """
    check_seed(seed)
    selected = as_names(selected)
    pool = without(graph.names, candidates, selected)
    check_budget(budget, len(pool))
    order = np.random.default_rng(seed or 0).permutation(len(pool))[:budget]
    return as_selection(graph, pool, order, hops, direction, selected, "random")
