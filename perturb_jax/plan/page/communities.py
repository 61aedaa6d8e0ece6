"""Groups of nodes that are linked more among themselves than by chance."""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Int

from perturb_jax.support.loops import kernel

_PASSES = 50  # a bound for the loop; a level of a real graph comes to rest within ten


def communities(links: sp.csr_array) -> Int[np.ndarray, " nodes"]:
    """The community of every node, by greedy modularity: 0 is the largest, ties in the order of the nodes.

    Louvain (Blondel et al. 2008, https://doi.org/10.1088/1742-5468/2008/10/P10008), with nodes visited in their
    order, so that equal graphs give equal communities. A local optimum, not the best partition.

    Args:
        links: symmetric non-negative weights [nodes, nodes].

    Complexity: O(links) per pass over the nodes.
    """
    total = float(links.sum())
    labels = np.arange(links.shape[0])
    while total > 0:
        degrees = np.asarray(links.sum(1)).ravel().astype(float)
        found = _move(links.indptr, links.indices, links.data.astype(float), degrees, total)
        _, found = np.unique(found, return_inverse=True)
        labels = found[labels]
        if found.max() + 1 == len(found):
            break
        member = sp.csr_array((np.ones(len(found)), (np.arange(len(found)), found)))
        links = sp.csr_array(member.T @ links @ member)
    _, first, label, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), np.int64)
    rank[np.lexsort((first, -counts))] = np.arange(len(counts))
    return rank[label]


@kernel
def _move(indptr, neighbors, weights, degrees, total):  # type: ignore[no-untyped-def]
    """Move nodes to the neighbouring community that raises modularity most, until none moves."""
    num_nodes = len(degrees)
    labels = np.arange(num_nodes)
    inside = degrees.copy()
    shared = np.zeros(num_nodes)
    for _ in range(_PASSES):
        moved = False
        for node in range(num_nodes):
            start, end = indptr[node], indptr[node + 1]
            old = labels[node]
            inside[old] -= degrees[node]
            for entry in range(start, end):
                if neighbors[entry] != node:
                    shared[labels[neighbors[entry]]] += weights[entry]
            best, best_gain = old, shared[old] - degrees[node] * inside[old] / total
            for entry in range(start, end):
                label = labels[neighbors[entry]]
                gain = shared[label] - degrees[node] * inside[label] / total
                if gain > best_gain + 1e-12 * total:
                    best, best_gain = label, gain
            for entry in range(start, end):
                shared[labels[neighbors[entry]]] = 0.0
            inside[best] += degrees[node]
            labels[node] = best
            moved = moved or best != old
        if not moved:
            break
    return labels
