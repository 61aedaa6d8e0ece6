"""K-center: the genes from which no other candidate is far in the knowledge graph."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from perturb_jax.genes.perturbations import NO_MEMBER, Perturbations
from perturb_jax.strategies.strategy import Ask, Strategy

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from perturb_jax.graph.knowledge_graph import KnowledgeGraph


@dataclass(frozen=True)
class KCenter(Strategy):
    """Pick, again and again, the candidate that is farthest from everything picked.

    The distance is that of the shortest path in the symmetrised graph, where an edge of weight w has length 1 / w. For
    single genes this is farthest-first traversal (Gonzalez 1985, doi:10.1016/0304-3975(85)90224-5): the largest
    distance of a candidate to its nearest pick is at most twice the smallest that any `budget` candidates could have.
    A combination is as near as the nearest of its genes, which is no metric, so that bound does not hold for them.

    With nothing picked yet every candidate is equally far, and a candidate of another connected component is farther
    than any other. One that no other candidate can reach comes last, in tie order: a pick there stands for itself
    alone, and the bound is about the rest. Without that rule, isolated genes would use up the budget first.

    Ties go to the earliest candidate, with a seed to a seeded random one: the first pick is such a tie.

    Complexity: O(budget x edges log nodes), one Dijkstra search per pick, cut at the largest distance that is left.

    Examples:
        >>> import pandas as pd, perturb_jax as pj
        >>> edges = pd.DataFrame({"source": ["A", "B", "C"], "target": ["B", "C", "D"], "importance": 0.5})
        >>> KCenter().choose(Ask.of(pj.graph_from_edges(edges), None, budget=3))
        ('A', 'D', 'B')
    """

    def choose(self, ask: Ask) -> tuple[str, ...]:
        """The picks, the farthest of what is left each time."""
        pool, budget = ask.candidates, int(ask.budget)
        if ask.seed is not None:
            pool = pool.take(np.random.default_rng(ask.seed).permutation(len(pool)))
        lengths = edge_lengths(ask.graph)
        before = ask.selected.members
        distance = _nearest(_from(lengths, before[before != NO_MEMBER], np.inf), pool)
        alone = reaches_no_other(lengths, pool) & np.isinf(distance)
        order = np.empty(budget, np.int64)
        left = np.where(alone, -1.0, distance)  # what is picked is set to -inf, below those that come last
        for step in range(budget):
            pick = order[step] = int(np.argmax(left))
            members = pool.members[pick]
            reached = _nearest(_from(lengths, members[members != NO_MEMBER], max(float(left[pick]), 0.0)), pool)
            left[pick] = -np.inf
            left = np.minimum(left, reached)
        return pool.take(order).labels


def edge_lengths(graph: "KnowledgeGraph") -> "csr_array":
    """The symmetrised graph with 1 / weight on every edge, the shorter one where both directions exist."""
    from scipy.sparse import coo_array

    from perturb_jax.graph.operator import message_passing

    edges = message_passing(graph, symmetric=True)
    between = edges.senders != edges.receivers
    ends = edges.receivers[between], edges.senders[between]
    return coo_array((1 / edges.weights[between], ends), (graph.num_nodes, graph.num_nodes)).tocsr()


def reaches_no_other(lengths: "csr_array", pool: Perturbations) -> Bool[np.ndarray, " candidates"]:
    """Whether no gene of another candidate lies in a connected component of a candidate's genes."""
    from scipy.sparse.csgraph import connected_components

    label = np.append(connected_components(lengths, directed=False)[1], -1)[pool.members]
    components = [set(row) - {-1} for row in label.tolist()]
    held = np.bincount([part for parts in components for part in parts], minlength=label.max(initial=0) + 1)
    return np.array([all(held[part] == 1 for part in parts) for parts in components], bool)


def _from(lengths: "csr_array", sources: np.ndarray, limit: float) -> Float[np.ndarray, " nodes"]:
    """Every node's distance to the nearest source; infinite without one, and beyond `limit`."""
    from scipy.sparse.csgraph import dijkstra

    if not len(sources):
        return np.full(lengths.shape[0], np.inf)
    return dijkstra(lengths, indices=np.unique(sources), min_only=True, limit=limit)


def _nearest(distances: Float[np.ndarray, " nodes"], pool: Perturbations) -> Float[np.ndarray, " candidates"]:
    return np.append(distances, np.inf)[pool.members].min(1)  # the last for NO_MEMBER
