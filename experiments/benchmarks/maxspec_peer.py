"""The peer of MaxSpec: lazy greedy over stale norms, each from `scipy.sparse.linalg.svds` on a sliced CSR matrix."""

import heapq
import time
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import svds

import perturb_jax as pj
from perturb_jax.graph.operator import gcn_norm, message_passing
from perturb_jax.graph.reach import reach_sets
from perturb_jax.selection.host.spectral import RESIDUAL
from perturb_jax.selection.maxspec import earliest_best
from perturb_jax.selection.spectral import TIE

DENSE = 32
"""Up to this many nodes LAPACK is faster than ARPACK, and the peer uses it."""


class PeerRun(NamedTuple):
    """What the peer picked, and where its time went."""

    picks: list[int]
    values: list[float]
    evaluations: int
    seconds_slicing: float
    seconds_norms: float


def operator_matrix(graph: pj.KnowledgeGraph) -> csr_array:
    """GEARS' operator (gcn_norm with self-loops) as a sparse matrix, rows the receivers."""
    return gcn_norm(message_passing(graph))


def peer(graph: pj.KnowledgeGraph, candidates: tuple[str, ...], budget: int, tuned: bool = False) -> PeerRun:
    """Lazy greedy minimisation from graph to picks, k = 1, direction in, with the tie rule of `maxspec`.

    Args:
        graph: the knowledge graph.
        candidates: genes that may be picked.
        budget: picks to make.
        tuned: svds with our tolerance and a warm start (the selection's top vector); else svds as it comes, to the
            last digit, from a seeded random start.
    """
    sets = reach_sets(graph, graph.index(candidates)[:, None])
    norms = _Norms(operator_matrix(graph), tuned)
    known = np.zeros(len(candidates))
    left = set(range(len(candidates)))
    picks, values, evaluations = [], [], 0
    for _ in range(budget):
        fresh = _fresh_norms(norms, sets, known, left)
        evaluations += len(fresh)
        pick = earliest_best(fresh)
        left.remove(pick)
        norms.extend(_set(sets, pick))
        picks.append(pick)
        values.append(fresh[pick])
    return PeerRun(picks, values, evaluations, norms.seconds_slicing, norms.seconds_norms)


def _fresh_norms(norms: "_Norms", sets: csr_array, known: np.ndarray, left: set[int]) -> dict[int, float]:
    """Evaluate candidates, smallest old norm first, until no other can win or tie; updates `known`."""
    heap = [(known[v], v) for v in left]
    heapq.heapify(heap)
    fresh: dict[int, float] = {}
    best = np.inf
    while heap and heap[0][0] <= best * (1 + TIE):
        _, v = heapq.heappop(heap)
        fresh[v] = norms.with_nodes(_set(sets, v))
        known[v] = fresh[v] * (1 - norms.tolerance)
        best = min(best, fresh[v])
    return fresh


class _Norms:
    """The nodes reached, and the norm of the operator on them with a candidate's nodes added."""

    def __init__(self, matrix: csr_array, tuned: bool):
        self._matrix = matrix
        self._tuned = tuned
        self._random = np.random.default_rng(0).standard_normal(matrix.shape[0])
        self._vector = np.zeros(matrix.shape[0])
        self.tolerance = RESIDUAL if tuned else 0.0
        self.nodes = np.empty(0, np.int32)
        self.seconds_slicing = self.seconds_norms = 0.0

    def with_nodes(self, new: np.ndarray) -> float:
        nodes = np.union1d(self.nodes, new)
        start = time.perf_counter()
        induced = self._matrix[nodes][:, nodes]
        sliced = time.perf_counter()
        norm = self._norm(induced, nodes)
        self.seconds_slicing += sliced - start
        self.seconds_norms += time.perf_counter() - sliced
        return norm

    def extend(self, new: np.ndarray) -> None:
        self.nodes = np.union1d(self.nodes, new)
        if self._tuned and len(self.nodes) > DENSE:
            _, _, rights = svds(self._matrix[self.nodes][:, self.nodes], k=1, v0=self._random[: len(self.nodes)])
            self._vector[self.nodes] = np.abs(rights[0])

    def _norm(self, induced: csr_array, nodes: np.ndarray) -> float:
        size = len(nodes)
        if size <= DENSE:
            return float(np.linalg.norm(induced.toarray(), 2))
        start = self._random[:size]
        if self._tuned:
            start = np.where(self._vector[nodes] > 0, self._vector[nodes], 1 / np.sqrt(size))
        return float(svds(induced, k=1, v0=start, tol=self.tolerance, return_singular_vectors=False)[0])


def _set(sets: csr_array, candidate: int) -> np.ndarray:
    return sets.indices[sets.indptr[candidate] : sets.indptr[candidate + 1]]
