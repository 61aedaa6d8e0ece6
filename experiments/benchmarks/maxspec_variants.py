"""MaxSpec with single savings switched off, with its work counted: what gave what, and what a device would do."""

import heapq
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_array

from perturb_jax.graph.operator import Edges
from perturb_jax.selection.host.spectral import InducedMatrix
from perturb_jax.selection.maxspec import BATCH, earliest_best
from perturb_jax.selection.spectral import TIE, spectral_norm


class Variant(NamedTuple):
    """Which savings are on: fresh bounds from the new edges, giving up a norm that exceeds the best, warm starts."""

    bounds: bool
    give_up: bool
    warm: bool


class VariantRun(NamedTuple):
    """What a variant picked and how much it did.

    Attributes:
        picks: candidate numbers.
        values: the norm after each pick.
        evaluations: norms computed or given up.
        bounds: cheap bounds computed.
        steps: Lanczos steps of the evaluations (two products each); those of accepting a pick are not counted.
        work: steps times entries of the selection's induced matrix, summed.
    """

    picks: list[int]
    values: list[float]
    evaluations: int
    bounds: int
    steps: int
    work: int


class CountedMatrix(InducedMatrix):
    """The library's induced matrix, counting Lanczos steps, with warm starts or random ones."""

    def __init__(self, operator: csr_array, warm: bool = True):
        super().__init__(operator, renormalize=False)
        self._warm = warm
        self._random = np.random.default_rng(0).standard_normal(operator.shape[0])
        self.steps = self.work = self.evaluations = 0

    @property
    def entries(self) -> int:
        """Entries of the matrix among the nodes reached."""
        return len(self._rows[1])

    def with_nodes(self, new: np.ndarray, reject: float = np.inf) -> tuple[float, bool]:
        """As in the library, from a random start where `warm` is off."""
        self.evaluations += 1
        if self._warm:
            return super().with_nodes(new, reject)
        warm, self._vector = self._vector, self._random / np.sqrt(max(1, self._size))
        result = super().with_nodes(new, reject)
        self._vector = warm
        return result

    def extend(self, new: np.ndarray) -> bool:
        """As in the library; its steps are not counted."""
        counted = self.steps, self.work
        converged = super().extend(new)
        self.steps, self.work = counted
        return converged

    def _lanczos(self, size: int, edges: int, reject: float) -> tuple[float, bool, int]:
        value, converged, steps = super()._lanczos(size, edges, reject)
        self.steps += steps
        self.work += steps * (self.entries + edges)
        return value, converged, steps


def search(operator: csr_array, sets: csr_array, budget: int, variant: Variant) -> VariantRun:
    """The lazy `search` of the library with some of its savings."""
    matrix = CountedMatrix(operator, variant.warm)
    known = np.zeros(sets.shape[0])
    left = set(range(len(known)))
    picks, values, bounds = [], [], 0
    for _ in range(budget):
        heap = [(known[v], not variant.bounds, v) for v in left]
        heapq.heapify(heap)
        norms: dict[int, float] = {}
        best = np.inf
        while heap and heap[0][0] <= best * (1 + TIE):
            _, bounded, v = heapq.heappop(heap)
            if not bounded:
                bounds += 1
                known[v] = max(known[v], matrix.norm, matrix.lower_bound(nodes_of(sets, v)))
                heapq.heappush(heap, (known[v], True, v))
                continue
            limit = best * (1 + TIE)
            norm, _ = matrix.with_nodes(nodes_of(sets, v), limit if variant.give_up else np.inf)
            known[v] = max(known[v], norm)
            if norm <= limit:
                norms[v] = norm
                best = min(best, norm)
        pick = earliest_best(norms)
        left.remove(pick)
        matrix.extend(nodes_of(sets, pick))
        picks.append(pick)
        values.append(matrix.norm)
    return VariantRun(picks, values, matrix.evaluations, bounds, matrix.steps, matrix.work)


class NaivePick(NamedTuple):
    """One pick of the naive greedy: picks made before, entries of the induced matrix, evaluations and seconds."""

    picks_before: int
    entries: int
    evaluations: int
    seconds: float


def naive_picks(
    operator: csr_array, sets: csr_array, picks: list[int], measured: set[int]
) -> tuple[list[NaivePick], list[int]]:
    """Follow known picks and, at those numbered in `measured`, evaluate every candidate left, as naive greedy does.

    Returns:
        the measured picks, and the entries of the induced matrix before every pick.
    """
    matrix = CountedMatrix(operator)
    left = set(range(sets.shape[0]))
    results, entries = [], []
    for number, pick in enumerate(picks):
        entries.append(matrix.entries)
        if number in measured:
            start = time.perf_counter()
            norms = {v: matrix.with_nodes(nodes_of(sets, v))[0] for v in sorted(left)}
            seconds = time.perf_counter() - start
            assert earliest_best(norms) == pick, "the naive greedy picks otherwise"
            results.append(NaivePick(number, matrix.entries, len(left), seconds))
        left.remove(pick)
        matrix.extend(nodes_of(sets, pick))
    return results, entries


def batches_per_pick(operator: csr_array, sets: csr_array, budget: int) -> list[int]:
    """How many batches of stale candidates the jitted lazy greedy evaluates for each pick (norms from the host).

    Its rule: all candidates once at the start; then, as long as a stale one may beat the best fresh one, or tie with
    it and precede it, the `BATCH` most promising at once.
    """
    matrix = CountedMatrix(operator)
    count = sets.shape[0]
    known = np.array([matrix.with_nodes(nodes_of(sets, v))[0] for v in range(count)])
    left, fresh, numbers = np.ones(count, bool), np.ones(count, bool), np.arange(count)
    batches = []
    for _ in range(budget):
        done = 0
        while True:
            norms = np.where(fresh & left, known, np.inf)
            limit = norms.min() * (1 + TIE)
            pick = int((norms <= limit).argmax())
            may_win = (known < norms.min()) | ((known <= limit) & (numbers < pick)) | ~fresh.any()
            contenders = np.flatnonzero(left & ~fresh & may_win)
            if not len(contenders):
                break
            for v in contenders[np.argsort(known[contenders], kind="stable")[:BATCH]]:
                known[v] = matrix.with_nodes(nodes_of(sets, v))[0]
                fresh[v] = True
            done += 1
        batches.append(done)
        matrix.extend(nodes_of(sets, pick))
        left[pick] = False
        fresh[:] = False
    return batches


def device_iterations(operator: csr_array, sets: csr_array, picks: list[int], lanes: int) -> np.ndarray:
    """Iterations that the jitted norm takes for candidates that come next after some picks, in one batch.

    Begins as the library's objective does: the selection's top vector, and as much noise on all nodes.
    """
    nodes, edges = operator.shape[0], Edges.of(operator)
    products = edges.__matmul__, edges.T.__matmul__

    @jax.jit
    def iterate(mask: jax.Array, vector: jax.Array) -> tuple[jax.Array, jax.Array]:
        spread = jnp.abs(jax.random.normal(jax.random.key(0), (nodes,))) * mask
        start = vector + spread / jnp.maximum(jnp.linalg.norm(spread), 1e-30)
        _, info = spectral_norm(products, (nodes, nodes), mask, start=start, return_info=True)
        return info.iterations, info.vector

    reached = np.zeros(nodes, bool)
    for pick in picks:
        reached[nodes_of(sets, pick)] = True
    _, vector = iterate(jnp.asarray(reached), jnp.zeros(nodes)) if picks else (0, jnp.zeros(nodes))
    masks = np.repeat(reached[None], lanes, 0)
    matrix = CountedMatrix(operator)
    matrix.extend(np.flatnonzero(reached).astype(np.int32))
    others = sorted(set(range(sets.shape[0])) - set(picks), key=lambda v: matrix.lower_bound(nodes_of(sets, v)))
    for lane, v in enumerate(others[:lanes]):
        masks[lane, nodes_of(sets, v)] = True
    return np.asarray(jax.vmap(iterate, (0, None))(jnp.asarray(masks), vector)[0])


def nodes_of(sets: csr_array, candidate: int) -> np.ndarray:
    """The nodes that a candidate reaches."""
    return sets.indices[sets.indptr[candidate] : sets.indptr[candidate + 1]]
