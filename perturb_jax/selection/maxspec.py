"""MaxSpec: pick the genes that keep the spectral norm of the reached subgraph's operator small."""

import heapq
import warnings
from collections.abc import Iterable
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from perturb_jax.genes.perturbations import pool_and_selected
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.graph.operator import Edges, gcn_norm, is_symmetric, message_passing
from perturb_jax.graph.reach import reach_mask, reach_sets
from perturb_jax.selection.greedy import greedy, tie_order
from perturb_jax.selection.host.spectral import InducedMatrix
from perturb_jax.selection.selection import SearchInfo, Selection, make_selection, naive_evaluations
from perturb_jax.selection.spectral import TIE, Spectral
from perturb_jax.support.checks import check_budget, check_choice, check_seed
from perturb_jax.support.errors import InputError
from perturb_jax.support.loops import Backend, on_host

BATCH = 64
"""Stale candidates that the jitted path evaluates at once."""

CANNOT_CHOOSE = (
    "normalization: 'subgraph' on a symmetric graph has norm 1 for every selection, so it cannot choose; use 'graph', "
    "or a directed graph with symmetric=False"
)
"""Why that combination is refused."""

_ROUNDING = 1e-12

Method = Literal["lazy", "naive"]
Normalization = Literal["graph", "subgraph"]
Sense = Literal["min", "max"]
Sets = list[Int[np.ndarray, " _"]]


def maxspec(
    graph: KnowledgeGraph,
    candidates: Iterable[str] | None,
    budget: int,
    hops: int = 1,
    direction: Direction = "in",
    normalization: Normalization = "graph",
    symmetric: bool = False,
    weighted: bool = True,
    sense: Sense = "min",
    method: Method = "lazy",
    selected: Iterable[str] = (),
    seed: int | None = None,
    *,
    backend: Backend = "auto",
) -> Selection:
    """Pick candidates one by one so that the operator on everything reached keeps the smallest spectral norm.

    With R(S) the nodes within `hops` of S and P the operator of GEARS' graph convolution (gcn_norm: self-loops where
    missing, weighted in-degrees), each pick minimises sigma(P restricted to R(S + v)) (MaxSpec: Panagopoulos et al.,
    arXiv 2503.14571). Bounds on the generalisation of graph networks shrink with that norm (Ju et al. 2023). The name
    says maximum, the criterion minimum: `sense` offers both.

    Lazy greedy is exact for ``normalization="graph"``: for node sets R inside T, P_R is a submatrix of P_T; with x the
    top right singular vector of P_R, padded by zeros to x' on T, |P_T x'| >= |P_R x|, since the rows of P_R are among
    those of P_T and do not see the padding. So sigma(P_R) <= sigma(P_T): the norm never falls as the set grows, and an
    old sigma(S + v) is a lower bound of the new one. With ``"subgraph"`` (degrees recomputed on the induced subgraph,
    the paper's wording) the norm can fall, and "lazy" is a heuristic. `Selection.method` says what ran.

    Ties are common: what does not touch the dominant part leaves the norm as it is. Norms within `TIE` of the best are
    equal, and the earliest candidate wins. On the host norms are right to 1e-6, in float32 on a device to 5e-6.

    Args:
        graph: the knowledge graph.
        candidates: genes or combinations "A+B" that may be picked; None: every gene of the graph.
        budget: picks to make.
        hops: as for `graphreach`.
        direction: as for `graphreach`.
        normalization: "graph": the whole graph's degrees, what GEARS applies; "subgraph": those within R(S).
        symmetric: use every edge in both directions, with the larger weight.
        weighted: use the edge weights; else every edge weighs 1.
        sense: "min" or "max".
        method: "lazy" or "naive". Maximisation is always naive: an old norm bounds the new one from the wrong side.
        selected: genes or combinations that count as reached before the first pick; never picked.
        seed: None: ties go to the earliest candidate. A number: to a seeded random one.
        backend: "host": compiled sparse loops with bounds; "jax": jitted, on the default device, in batches. "auto":
            "host" on a CPU, else "jax". Picks agree except where norms nearly tie.

    Returns:
        `values` holds sigma after each pick, `gains` its rise; `evaluations` counts norms computed or found to exceed
        the best.

    Raises:
        InputError: names, a budget, hops or options that cannot be used; ``"subgraph"`` on a symmetric operator, whose
            norm is 1 for every subset: P = D^-1/2 A D^-1/2 then has the eigenvector D^1/2 1 with eigenvalue 1, and no
            eigenvalue of a normalised adjacency is larger in magnitude.

    Complexity: naive O(budget x candidates) norms; lazy as few as one per pick. A norm costs O(steps x edges within
        R(S + v)), a bound O(edges added).

    Examples:
        >>> import pandas as pd
        >>> from perturb_jax import graph_from_edges
        >>> edges = pd.DataFrame({"source": ["A", "A", "C"], "target": ["B", "C", "D"], "importance": [1.0, 1.0, 0.1]})
        >>> picks = maxspec(graph_from_edges(edges), ["B", "D"], budget=2)
        >>> picks.genes, picks.values.round(3).tolist()
        (('D', 'B'), [0.913, 1.46])
    """
    check_choice("normalization", normalization, get_args(Normalization))
    check_choice("sense", sense, get_args(Sense))
    check_choice("method", method, get_args(Method))
    host = on_host(backend)
    check_seed(seed)
    pool, before = pool_and_selected(graph.names, candidates, selected)
    check_budget(budget, len(pool))
    operator, renormalize = message_passing(graph, weighted, symmetric), normalization == "subgraph"
    if not renormalize:
        operator = gcn_norm(operator)
    elif is_symmetric(operator):
        raise InputError(CANNOT_CHOOSE)
    pool = pool.take(tie_order(len(pool), None, seed))
    if host:
        sets = reach_sets(graph, pool.members, hops, direction)
        each = np.split(sets.indices, sets.indptr[1:-1])
        reached = np.unique(reach_sets(graph, before.members, hops, direction).indices)
        lazy = method == "lazy" and sense == "min"
        matrix = InducedMatrix(operator, renormalize)
        picks, values, start, evaluations, converged = search(matrix, each, reached, budget, lazy, sense)
        ran = "host, naive" if not lazy else "host, lazy (heuristic)" if renormalize else "host, lazy"
        if not converged:
            warnings.warn(
                "maxspec: a norm that decided a pick is not accurate to the tolerance", RuntimeWarning, stacklevel=2
            )
    else:
        covers = reach_mask(graph, pool.members, hops, direction)
        covered = reach_mask(graph, before.members, hops, direction).any(0)
        objective = Spectral(covers, Edges.of(operator), covered, renormalize, sense)
        how: Method = "lazy" if method == "lazy" and objective.properties.lazy else "naive"
        found = greedy(objective, budget, jnp.ones(len(pool), bool), how, BATCH)
        picks, values = np.asarray(found.picks), np.asarray(found.values, np.float64)
        start, evaluations = float(objective.init().norm), int(found.evaluations)
        ran = f"jax, {how}"
    info = SearchInfo(ran, evaluations, naive_evaluations(len(pool), budget))
    return make_selection("spectral norm", pool.take(picks), values, info, start=start)


def search(
    matrix: InducedMatrix,
    sets: Sets,
    before: Int[np.ndarray, " before"],
    budget: int,
    lazy: bool = True,
    sense: Sense = "min",
) -> tuple[Int[np.ndarray, " budget"], Float[np.ndarray, " budget"], float, int, bool]:
    """Greedy on the host; lazy: as few norms are computed as decide, else those of all candidates at every pick.

    Returns:
        candidate numbers in order and the norm after each; the norm before the first; how many norms were computed, or
        found to exceed the best; whether each that decided a pick was computed to `RESIDUAL`.
    """
    converged = matrix.extend(before)
    start, known, left = matrix.norm, np.zeros(len(sets)), list(range(len(sets)))
    picks, values, evaluations = [], [], 0
    for _ in range(budget):
        norms, evaluated, exact = _few_norms(matrix, sets, known, left) if lazy else _all_norms(matrix, sets, left)
        chosen = earliest_best(norms, sense)
        left.remove(chosen)
        converged &= exact & matrix.extend(sets[chosen])
        picks.append(chosen)
        values.append(matrix.norm)
        evaluations += evaluated
    return np.array(picks), np.array(values), start, evaluations, bool(converged)


def _few_norms(
    matrix: InducedMatrix, sets: Sets, known: Float[np.ndarray, " candidates"], left: list[int]
) -> tuple[dict[int, float], int, bool]:
    """The norms that decide a pick, how many were evaluated, and whether those that decide are exact.

    Perturbations wait in a heap by what is known of their norm: first an old value, which the norm cannot fall below;
    then a fresh bound from the new edges alone; last the norm itself, given up as soon as it exceeds the best. Where
    the operator is renormalised an old norm is no bound, and is replaced by the new one at once.
    """
    bounded = not matrix.renormalize
    tie = TIE if bounded else 0.0
    heap = [(known[v], not bounded, v) for v in left]
    heapq.heapify(heap)
    norms: dict[int, float] = {}
    best, evaluations, exact = np.inf, 0, True
    while heap and heap[0][0] <= best * (1 + tie):
        _, is_fresh, v = heapq.heappop(heap)
        if not is_fresh:
            known[v] = max(known[v], matrix.norm, matrix.lower_bound(sets[v])) * (1 - _ROUNDING)
            heapq.heappush(heap, (known[v], True, v))
            continue
        evaluations += 1
        limit = best * (1 + tie) if bounded else np.inf
        norm, converged = matrix.with_nodes(sets[v], limit)
        known[v] = max(known[v], norm * (1 - _ROUNDING)) if bounded else norm
        if norm <= limit:
            norms[v] = norm
            best = min(best, norm)
            exact &= converged
    return norms, evaluations, exact


def _all_norms(matrix: InducedMatrix, sets: Sets, left: list[int]) -> tuple[dict[int, float], int, bool]:
    results = {v: matrix.with_nodes(sets[v]) for v in left}
    norms = {v: norm for v, (norm, _) in results.items()}
    return norms, len(left), all(converged for _, converged in results.values())


def earliest_best(norms: dict[int, float], sense: Sense = "min") -> int:
    """The lowest candidate number whose norm is within the tie tolerance of the best."""
    if sense == "max":
        limit = max(norms.values()) * (1 - TIE)
        return min(v for v, norm in norms.items() if norm >= limit)
    limit = min(norms.values()) * (1 + TIE)
    return min(v for v, norm in norms.items() if norm <= limit)
