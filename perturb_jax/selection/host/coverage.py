"""Compiled host loops of coverage: lazy greedy, certificates, scores."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from perturb_jax.graph.knowledge_graph import Direction, GraphBatch, walk_edges
from perturb_jax.support.loops import breadth_first, group_by, kernel, visit

NOWHERE = np.int32(2**31 - 1)


@kernel
def _gain(indptr, indices, worth, candidate):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for entry in range(indptr[candidate], indptr[candidate + 1]):
        total += worth[np.uint32(indices[entry])]  # unsigned: spares numba's check for negative indices
    return total


@kernel
def _sift_down(heap, slot, size):  # type: ignore[no-untyped-def]
    key = heap[slot]
    while True:
        child = 2 * slot + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] > heap[child]:
            child += 1
        if heap[child] <= key:
            break
        heap[slot] = heap[child]
        slot = child
    heap[slot] = key


@kernel
def _refill(indptr, indices, weights, counts, level, taken, ranks, worth, heap):  # type: ignore[no-untyped-def]
    last = len(ranks) - 1
    size = 0
    untouched = weights is None and level == 0  # then a gain is the number of nodes
    for node in range(len(counts)):
        untouched &= counts[node] == 0
        worth[node] = 0
        if counts[node] == level:
            worth[node] = 1 if weights is None else weights[node]
    for candidate in range(len(ranks)):
        if not taken[candidate]:
            if untouched:
                gain = np.int64(indptr[candidate + 1] - indptr[candidate])
            else:
                gain = _gain(indptr, indices, worth, candidate)
            heap[size] = (gain << 32) | (last - ranks[candidate])
            size += 1
    for slot in range(size // 2 - 1, -1, -1):
        _sift_down(heap, slot, size)
    return size


@kernel
def _lowest_level(indptr, indices, weights, counts, taken):  # type: ignore[no-untyped-def]
    level = NOWHERE
    for candidate in range(len(indptr) - 1):
        if not taken[candidate]:
            for entry in range(indptr[candidate], indptr[candidate + 1]):
                node = indices[entry]
                if weights is None or weights[node] > 0:
                    level = min(level, counts[node])
    return level


@kernel
def lazy_greedy(indptr, indices, weights, counts, order, budget):  # type: ignore[no-untyped-def]
    """Greedy maximum coverage with stale gains as upper bounds (CELF), cover layers and exact ties.

    A heap key is (gain, rank in `order`), the lower rank first among equal gains; its top is picked once its gain
    is fresh. When the top gain is 0, the next cover layer begins: nodes covered exactly `level` times count, `level`
    the lowest that a candidate still reaches. `counts` (how often each node is covered already) is updated itself.

    Returns:
        picks, gains, layers [budget], and the number of gain evaluations.
    """
    num_candidates = len(indptr) - 1
    last = num_candidates - 1
    taken = np.zeros(num_candidates, np.bool_)
    ranks = np.empty(num_candidates, np.int64)
    for rank in range(num_candidates):
        ranks[order[rank]] = rank
    worth = np.empty(len(counts), np.int32)  # of each node in this layer
    fresh_at = np.full(num_candidates, -1, np.int32)
    heap = np.empty(num_candidates, np.int64)
    picks = np.empty(budget, np.int64)
    gains = np.zeros(budget, np.int64)
    layers = np.ones(budget, np.int32)
    level, root = np.int32(0), np.int64(0)  # typed: numba compiles a function again for each literal
    size = _refill(indptr, indices, weights, counts, level, taken, ranks, worth, heap)
    evaluations = size
    for step in range(budget):
        while True:
            rank = last - (heap[0] & 0xFFFFFFFF)
            top = order[rank]
            if heap[0] >> 32 == 0:
                lowest = _lowest_level(indptr, indices, weights, counts, taken)
                if lowest == NOWHERE:
                    break
                if lowest > level:
                    level = lowest
                    size = _refill(indptr, indices, weights, counts, level, taken, ranks, worth, heap)
                    evaluations += size
                    continue
            if fresh_at[top] == step:
                break
            gain = _gain(indptr, indices, worth, top)
            evaluations += 1
            fresh_at[top] = step
            heap[0] = (gain << 32) | (last - rank)
            _sift_down(heap, root, size)
        picks[step] = top
        gains[step] = heap[0] >> 32
        layers[step] = level + 1
        taken[top] = True
        for entry in range(indptr[top], indptr[top + 1]):
            counts[indices[entry]] += 1
            worth[indices[entry]] = 0
        size -= 1
        heap[0] = heap[size]
        _sift_down(heap, root, size)
    return picks, gains, layers, evaluations


@kernel
def _start(weights, counts):  # type: ignore[no-untyped-def]
    covered = np.zeros(len(counts), np.bool_)
    value = 0
    for node in range(len(counts)):
        if counts[node] > 0:
            covered[node] = True
            value += 1 if weights is None else weights[node]
    return covered, value


@kernel
def upper_bounds(indptr, indices, node_indptr, node_candidates, weights, counts, picks):  # type: ignore[no-untyped-def]
    """For each budget b: the least over the run's states S_i of f(S_i) + the b largest gains at S_i.

    Gains are kept exact by subtracting from every candidate of a node when it is covered (`node_candidates` is the
    inverted index), so the whole costs O(entries + picks x (picks + largest gain)), with weights O(entries + picks x
    candidates).
    """
    num_candidates, budget = len(indptr) - 1, len(picks)
    covered, value = _start(weights, counts)
    gains = np.zeros(num_candidates, np.int64)
    worth = np.zeros(len(counts), np.int32)
    for node in range(len(counts)):
        if not covered[node]:
            worth[node] = 1 if weights is None else weights[node]
    for candidate in range(num_candidates):
        gains[candidate] = _gain(indptr, indices, worth, candidate)
    having = np.zeros(1, np.int64)
    if weights is None:  # how many candidates have each gain
        having = np.bincount(gains)
    bounds = np.full(budget, np.iinfo(np.int64).max)
    for state in range(budget + 1):
        total = value
        size = 0
        if weights is None:
            next_gain = len(having) - 1
            left = having[next_gain]
            while size < budget and next_gain > 0:
                if left == 0:
                    next_gain -= 1
                    left = having[next_gain]
                    continue
                total += next_gain
                left -= 1
                bounds[size] = min(bounds[size], total)
                size += 1
        else:
            kept = min(budget, num_candidates)
            largest = np.sort(np.partition(gains, num_candidates - kept)[num_candidates - kept :])
            while size < kept and largest[kept - 1 - size] > 0:
                total += largest[kept - 1 - size]
                bounds[size] = min(bounds[size], total)
                size += 1
        for rest in range(size, budget):
            bounds[rest] = min(bounds[rest], total)
        if size == 0 or state == budget:
            break
        pick = picks[state]
        for entry in range(indptr[pick], indptr[pick + 1]):
            node = indices[entry]
            if covered[node]:
                continue
            covered[node] = True
            weight = np.int64(worth[node])
            value += weight
            for position in range(node_indptr[node], node_indptr[node + 1]):
                candidate = node_candidates[position]
                if weights is None:
                    having[gains[candidate]] -= 1
                    having[gains[candidate] - 1] += 1
                gains[candidate] -= weight
    return bounds


@kernel
def covered_after(indptr, indices, weights, counts, picks):  # type: ignore[no-untyped-def]
    """The weight covered after each pick of an order, what `counts` covers included."""
    covered, value = _start(weights, counts)
    values = np.empty(len(picks), np.int64)
    for step in range(len(picks)):
        for entry in range(indptr[picks[step]], indptr[picks[step] + 1]):
            node = indices[entry]
            if not covered[node]:
                covered[node] = True
                value += 1 if weights is None else weights[node]
        values[step] = value
    return values


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
