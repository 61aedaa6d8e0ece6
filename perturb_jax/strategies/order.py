"""A given order of candidates as a `Selection`, with the coverage that it reaches."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Int

from perturb_jax.genes.perturbations import Perturbations, parse_perturbations
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.graph.reach import reach_sets
from perturb_jax.selection.coverage import covered_after
from perturb_jax.selection.selection import SearchInfo, Selection, make_selection


def as_selection(
    graph: KnowledgeGraph,
    pool: Perturbations,
    order: Int[np.ndarray, " picks"],
    hops: int,
    direction: Direction,
    selected: Iterable[str],
    method: str,
) -> Selection:
    """Perturbations picked in a given order, whatever the reason; values are the nodes covered, no bound is known."""
    chosen = pool.take(order)
    before = parse_perturbations(graph.names, selected)
    counts = reach_sets(graph, before.members, hops, direction).counts()
    sets = reach_sets(graph, chosen.members, hops, direction)
    values = covered_after(sets, counts)
    return make_selection("coverage", chosen, values, SearchInfo(method), start=float(np.count_nonzero(counts)))
