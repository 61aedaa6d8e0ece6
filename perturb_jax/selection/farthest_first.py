"""Farthest-first traversal: again and again the candidate that is farthest in the graph from everything picked."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra

from perturb_jax.genes.perturbations import NO_MEMBER, Perturbations
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.graph.operator import message_passing


def farthest_first(
    graph: KnowledgeGraph, pool: Perturbations, selected: Perturbations, budget: int
) -> Int[np.ndarray, " picks"]:
    """Rows of `pool` in the order picked; ties go to the earliest. See `perturb_jax.KCenter`."""
    lengths = edge_lengths(graph)
    distance = _to_nearest(lengths, selected.members, pool, np.inf)
    alone = reaches_no_other(lengths, pool) & np.isinf(distance)
    order = np.empty(budget, np.int64)
    left = np.where(alone, -1.0, distance)  # what is picked is set to -inf, below those that come last
    for step in range(budget):
        pick = order[step] = int(np.argmax(left))
        reached = _to_nearest(lengths, pool.members[pick], pool, max(float(left[pick]), 0.0))
        left[pick] = -np.inf
        left = np.minimum(left, reached)
    return order


def edge_lengths(graph: KnowledgeGraph) -> csr_array:
    """The symmetrised graph with 1 / weight on every edge, the shorter one where both directions exist."""
    lengths = message_passing(graph, symmetric=True)
    lengths.setdiag(0)
    lengths.eliminate_zeros()
    lengths.data = 1 / lengths.data
    return lengths


def reaches_no_other(lengths: csr_array, pool: Perturbations) -> Bool[np.ndarray, " candidates"]:
    """Whether no gene of another candidate lies in a connected component of a candidate's genes."""
    label = np.append(connected_components(lengths, directed=False)[1], -1)[pool.members]
    components = [set(row) - {-1} for row in label.tolist()]
    held = np.bincount([part for parts in components for part in parts], minlength=label.max(initial=0) + 1)
    return np.array([all(held[part] == 1 for part in parts) for parts in components], bool)


def _to_nearest(
    lengths: csr_array, members: Int[np.ndarray, "..."], pool: Perturbations, limit: float
) -> Float[np.ndarray, " candidates"]:
    """Every candidate's distance to the nearest of some genes; infinite without any, and beyond `limit`."""
    sources, distances = np.unique(members[members != NO_MEMBER]), np.full(lengths.shape[0] + 1, np.inf)
    if len(sources):
        distances[:-1] = dijkstra(lengths, indices=sources, min_only=True, limit=limit)
    return distances[pool.members].min(1)  # the last for NO_MEMBER
