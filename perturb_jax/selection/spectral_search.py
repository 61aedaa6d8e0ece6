"""MaxSpec on the host: greedy search over the spectral norm of an induced submatrix, with bounds instead of work."""

import heapq
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from perturb_jax.graph.operator import Operator
from perturb_jax.graph.reach import ReachSets
from perturb_jax.selection.host import spectral as host

RESIDUAL = 2e-6
"""Largest residual of an evaluation, relative to the squared norm: the norm is then right to 1e-6."""

_MAX_STEPS = 400
_ROUNDING = 1e-12


class SpectralRun(NamedTuple):
    """What the search did.

    Attributes:
        picks: candidate numbers, in order.
        values: the norm after each pick.
        start: the norm before the first pick.
        evaluations: norms computed, or found to exceed the best one.
        bounds: cheap lower bounds computed.
        converged: every norm that decided a pick was computed to `RESIDUAL`.
    """

    picks: Int[np.ndarray, " budget"]
    values: Float[np.ndarray, " budget"]
    start: float
    evaluations: int
    bounds: int
    converged: bool


class InducedMatrix:
    """The operator restricted to the nodes reached so far, its norm, and what a candidate would make of it.

    Args:
        operator: edges with weights; normalised already unless `renormalize`.
        renormalize: scale by the in-degrees within the reached nodes.
    """

    def __init__(self, operator: Operator, renormalize: bool):
        nodes = operator.num_nodes
        self._by_row = _sorted_by(operator.receivers, operator.senders, operator.weights, nodes)
        self._by_column = _sorted_by(operator.senders, operator.receivers, operator.weights, nodes)
        self._renormalize = renormalize
        self._local = np.full(nodes, -1, np.int32)
        self._nodes = np.empty(nodes, np.int32)
        self._size = 0
        self._rows = (np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0))
        self._degrees = np.zeros(nodes)
        self._vector, self._image, self._start = np.zeros((3, nodes))
        self._scale = np.ones(nodes)
        self._vectors = np.zeros((4, nodes))
        edges = len(operator.weights)
        self._edges = (np.empty(edges, np.int32), np.empty(edges, np.int32), np.empty(edges))
        self._tridiagonal = tuple(np.empty((3, _MAX_STEPS)))
        self.norm = 0.0

    def with_nodes(self, new: Int[np.ndarray, " new"], reject: float = np.inf) -> tuple[float, bool]:
        """The norm with some nodes added, and whether it is exact; else it is a lower bound above `reject`."""
        size, edges = self._add(new)
        if size == self._size:
            return self.norm, True
        value, converged, _ = self._lanczos(size, edges, reject)
        host.drop_nodes(self._nodes, self._size, size, self._local)
        return value, converged

    def lower_bound(self, new: Int[np.ndarray, " new"]) -> float:
        """A lower bound of the norm with some nodes added, in time proportional to the edges added."""
        size, edges = self._add(new)
        bound: float = self.norm
        if size > self._size > 0:
            bound = host.pair_bound(self._size, size, *self._edges, edges, self._vector, self._image, self._vectors)
        host.drop_nodes(self._nodes, self._size, size, self._local)
        return bound

    def extend(self, new: Int[np.ndarray, " new"]) -> bool:
        """Add nodes for good; returns whether the new norm converged."""
        size, edges = self._add(new)
        if size == self._size:
            return True
        self.norm, converged, steps = self._lanczos(size, edges, np.inf)
        # The rows change, the matrix does not: the second pass repeats the first up to rounding.
        if self._renormalize:
            self._degrees[:size] = 1 / self._scale[:size] ** 2
        self._rows = host.induced_rows(*self._by_row, self._nodes, size, self._local)
        self._size = size
        entries = self._tridiagonal[2]
        host.top_vector(*self._rows, size, self._scale, self._start, steps, entries, self._vectors, self._vector)
        nothing = np.empty(0, np.int32)
        host.product(*self._rows, size, size, nothing, nothing, np.empty(0), 0, self._scale, self._vector, self._image)
        return converged

    def _add(self, new: Int[np.ndarray, " new"]) -> tuple[int, int]:
        size = host.add_nodes(new, self._nodes, self._size, self._local)
        edges = host.new_edges(
            *self._by_row, *self._by_column, self._nodes, self._size, size, self._local, *self._edges
        )
        return size, edges

    def _lanczos(self, size: int, edges: int, reject: float) -> tuple[float, bool, int]:
        rows, columns, weights = self._edges
        if self._renormalize:
            host.degree_scale(self._degrees, self._size, size, rows, weights, edges, self._scale)
        host.begin_vector(self._size, size, columns, edges, self._vector, self._start)
        result: tuple[float, bool, int] = host.top_singular_value(
            *self._rows, self._size, size, rows, columns, weights, edges, self._scale,
            self._start, reject, RESIDUAL, *self._tridiagonal, self._vectors,
        )  # fmt: skip
        return result


def lazy_search(
    operator: Operator, sets: ReachSets, before: Int[np.ndarray, " before"], budget: int, tie: float
) -> SpectralRun:
    """Greedy minimisation with lower bounds: exact for an operator whose norm never falls when nodes are added.

    Perturbations wait in a heap by what is known of their norm: first an old value, which the norm cannot fall below;
    then a fresh bound from the new edges alone; last the norm itself, given up as soon as it exceeds the best.
    """
    known = np.zeros(len(sets.indptr) - 1)

    def pick(matrix: InducedMatrix, left: list[int]) -> tuple[dict[int, float], int, int, bool]:
        heap = [(known[v], False, v) for v in left]
        heapq.heapify(heap)
        norms: dict[int, float] = {}
        best, bounds, evaluations, exact = np.inf, 0, 0, True
        while heap and heap[0][0] <= best * (1 + tie):
            _, is_fresh, v = heapq.heappop(heap)
            if not is_fresh:
                bounds += 1
                known[v] = max(known[v], matrix.norm, matrix.lower_bound(_set(sets, v))) * (1 - _ROUNDING)
                heapq.heappush(heap, (known[v], True, v))
                continue
            evaluations += 1
            limit = best * (1 + tie)
            norm, converged = matrix.with_nodes(_set(sets, v), limit)
            known[v] = max(known[v], norm * (1 - _ROUNDING))
            if norm <= limit:
                norms[v] = norm
                best = min(best, norm)
                exact &= converged
        return norms, evaluations, bounds, exact

    return _search(InducedMatrix(operator, renormalize=False), sets, before, budget, tie, pick)


def naive_search(
    operator: Operator,
    sets: ReachSets,
    before: Int[np.ndarray, " before"],
    budget: int,
    tie: float,
    renormalize: bool,
    largest: bool,
) -> SpectralRun:
    """Greedy minimisation, or maximisation, that evaluates every candidate at every pick."""

    def pick(matrix: InducedMatrix, left: list[int]) -> tuple[dict[int, float], int, int, bool]:
        results = {v: matrix.with_nodes(_set(sets, v)) for v in left}
        norms = {v: norm for v, (norm, _) in results.items()}
        return norms, len(left), 0, all(converged for _, converged in results.values())

    return _search(InducedMatrix(operator, renormalize), sets, before, budget, tie, pick, largest)


def stale_search(
    operator: Operator, sets: ReachSets, before: Int[np.ndarray, " before"], budget: int, tie: float
) -> SpectralRun:
    """Lazy greedy minimisation for the renormalised operator: a heuristic, since its norm can fall."""
    known = np.zeros(len(sets.indptr) - 1)

    def pick(matrix: InducedMatrix, left: list[int]) -> tuple[dict[int, float], int, int, bool]:
        heap = [(known[v], v) for v in left]
        heapq.heapify(heap)
        norms: dict[int, float] = {}
        best, exact = np.inf, True
        while heap and heap[0][0] <= best:
            _, v = heapq.heappop(heap)
            norms[v], converged = matrix.with_nodes(_set(sets, v))
            known[v] = norms[v]
            best = min(best, norms[v])
            exact &= converged
        return norms, len(norms), 0, exact

    return _search(InducedMatrix(operator, renormalize=True), sets, before, budget, tie, pick)


def _search(
    matrix: InducedMatrix,
    sets: ReachSets,
    before: Int[np.ndarray, " before"],
    budget: int,
    tie: float,
    pick: Callable[[InducedMatrix, list[int]], tuple[dict[int, float], int, int, bool]],
    largest: bool = False,
) -> SpectralRun:
    converged = matrix.extend(before)
    start = matrix.norm
    left = list(range(len(sets.indptr) - 1))
    picks, values, evaluations, bounds = [], [], 0, 0
    for _ in range(budget):
        norms, evaluated, bounded, exact = pick(matrix, left)
        chosen = earliest_best(norms, tie, largest)
        left.remove(chosen)
        converged &= exact & matrix.extend(_set(sets, chosen))
        picks.append(chosen)
        values.append(matrix.norm)
        evaluations, bounds = evaluations + evaluated, bounds + bounded
    return SpectralRun(np.array(picks), np.array(values), start, evaluations, bounds, bool(converged))


def earliest_best(norms: dict[int, float], tie: float, largest: bool) -> int:
    """The lowest candidate number whose norm is within the tie tolerance of the best."""
    if largest:
        limit = max(norms.values()) * (1 - tie)
        return min(v for v, norm in norms.items() if norm >= limit)
    limit = min(norms.values()) * (1 + tie)
    return min(v for v, norm in norms.items() if norm <= limit)


def _set(sets: ReachSets, candidate: int) -> Int[np.ndarray, " nodes"]:
    return sets.indices[sets.indptr[candidate] : sets.indptr[candidate + 1]]


def _sorted_by(
    keys: np.ndarray, others: np.ndarray, weights: np.ndarray, num_nodes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    order = np.argsort(keys, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=num_nodes))])
    return indptr, others[order], weights[order]
