"""A given order of candidates as a `Selection`, with the coverage that it reaches."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Int

from perturb_jax.genes.perturbations import Perturbations, parse_perturbations
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.graph.reach import reach_sets
from perturb_jax.selection.graphreach import cover_counts
from perturb_jax.selection.host import coverage as coverage_host
from perturb_jax.selection.selection import Selection


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
    counts = cover_counts(reach_sets(graph, before.members, hops, direction))
    sets = reach_sets(graph, chosen.members, hops, direction)
    values = coverage_host.covered_after(sets.indptr, sets.indices, None, counts, np.arange(len(order)))
    return Selection(
        objective="coverage",
        genes=chosen.labels,
        indices=chosen.indices(),
        gains=np.diff(values, prepend=np.count_nonzero(counts)).astype(float),
        values=values.astype(float),
        layers=np.ones(len(order), np.int32),
        bounds=np.full(len(order), np.nan),
        reachable=np.nan,
        method=method,
        evaluations=0,
        naive_evaluations=0,
    )
