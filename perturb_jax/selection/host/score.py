"""Marginal gains on the host: breadth-first search from every candidate, counting what each selection leaves."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from perturb_jax.graph.knowledge_graph import Direction, walk_edges
from perturb_jax.graph.variants import GraphBatch
from perturb_jax.support.loops import breadth_first, group_by, kernel, visit


def coverage_on_host(
    batch: GraphBatch,
    members: Int[np.ndarray, "candidates arity"],
    selections: Sequence[Int[np.ndarray, " size"]],
    hops: int,
    direction: Direction,
) -> tuple[Int[np.ndarray, "graphs selections candidates"], Int[np.ndarray, "graphs selections"]]:
    """Gains of all candidates after each selection, and what each selection covers.

    Complexity: O(edges visited + selections x nodes visited) per graph and candidate.
    """
    nodes = batch.graph.num_nodes
    gains = np.zeros((len(batch), len(selections), len(members)), np.int32)
    covered = np.zeros((len(batch), len(selections)), np.int32)
    for i in range(len(batch)):
        walk = group_by(*walk_edges(batch.variant(i), direction), nodes)
        left = np.ones((nodes, len(selections)), np.int32)
        for j, selection in enumerate(selections):
            reached = breadth_first(*walk, selection[None], hops)[1]
            left[reached, j] = 0
            covered[i, j] = len(reached)
        _count_left(*walk, members, hops, left, gains[i])
    return gains, covered


@kernel
def _count_left(indptr, neighbors, members, hops, left, gains):  # type: ignore[no-untyped-def]
    """Add to ``gains[selection, candidate]`` what the nodes within `hops` steps of the candidate are worth."""
    num_nodes, num_selections = left.shape
    seen_by = np.full(num_nodes, -1, np.int32)
    nodes = np.empty(num_nodes, np.int32)
    for candidate in range(len(members)):
        end = visit(indptr, neighbors, members[candidate], hops, candidate, seen_by, nodes, 0)
        for position in range(end):
            for selection in range(num_selections):
                gains[selection, candidate] += left[nodes[position], selection]
