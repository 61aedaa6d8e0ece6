"""The peers of GraphDesign: NumPy that holds dense posterior covariances in float64; submodlib's facility location.

All go from the graph to the picks, and break ties as ours does: the first candidate within `TIE` of the best gain.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from graphdesign_stages import Outcome
from harness import Run, Stopwatch
from maxspec_peer import operator_matrix
from scipy.linalg.blas import dger
from scipy.sparse import csr_array, csr_matrix, diags_array

import perturb_jax as pj

TIE = 1e-9
"""Relative difference of gains that counts as none: that of `graphdesign` in float64."""
NOISE = 2.0
RankOne = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]


class Problem(NamedTuple):
    """A selection: what both we and the peers are given."""

    graph: pj.KnowledgeGraph
    candidates: tuple[str, ...]
    targets: tuple[str, ...]
    budget: int
    hops: int = 1


def features(graph: pj.KnowledgeGraph, hops: int) -> csr_array:
    """P^k with rows of length 1: its products are the kernel, scaled to unit diagonal."""
    operator = operator_matrix(graph)
    rows = operator
    for _ in range(hops - 1):
        rows = rows @ operator
    lengths = np.sqrt((rows * rows).sum(1))
    return csr_array(diags_array(1 / lengths) @ rows)


def block(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The kernel [candidates, targets], dense, and where the candidates stand among the targets."""
    rows = features(problem.graph, problem.hops)
    position = {gene: number for number, gene in enumerate(problem.targets)}
    candidates, targets = problem.graph.index(problem.candidates), problem.graph.index(problem.targets)
    where = np.array([position[gene] for gene in problem.candidates])
    return (rows[candidates] @ rows[targets].T).toarray(), where


def outer_product(covariance: np.ndarray, left: np.ndarray, right: np.ndarray, measured: float) -> np.ndarray:
    """C - left right^T / measured, as one writes it in NumPy."""
    covariance -= np.outer(left / measured, right)
    return covariance


def blas_update(covariance: np.ndarray, left: np.ndarray, right: np.ndarray, measured: float) -> np.ndarray:
    """The same by BLAS' `dger`, in place and without the outer product in memory."""
    return dger(-1 / measured, right.copy(), left.copy(), a=covariance.T, overwrite_a=True).T


def dense(problem: Problem, update: RankOne = outer_product) -> Run:
    """Holds C between candidates and targets: gains by sums of squares, a rank-one update per pick.

    O(candidates x targets) time per pick and memory.
    """
    cpu, watch = time.process_time(), Stopwatch()
    with watch.stage("blocks"):
        covariance, where = block(problem)
    every, left = np.arange(len(where)), np.ones(len(where), bool)
    picks, values, value = [], [], 0.0
    with watch.stage("picks"):
        for _ in range(problem.budget):
            gains = np.einsum("vt,vt->v", covariance, covariance) / (covariance[every, where] + NOISE)
            pick = first_best(gains, left)
            value += gains[pick] / len(problem.targets)
            column = covariance[:, where[pick]]
            covariance = update(covariance, column, covariance[pick], column[pick] + NOISE)
            left[pick] = False
            picks.append(pick)
            values.append(value)
    return _finished(problem, watch, picks, values, cpu)


def naive(problem: Problem) -> Run:
    """Holds C among all targets, candidates included: O(targets^2) per pick and memory.

    Stage "blocks": the kernel, dense. Stage "picks": as many as the problem's budget.
    """
    cpu, watch = time.process_time(), Stopwatch()
    with watch.stage("blocks"):
        rows = features(problem.graph, problem.hops)[problem.graph.index(problem.targets)]
        covariance = (rows @ rows.T).toarray()
    position = {gene: number for number, gene in enumerate(problem.targets)}
    where, left = np.array([position[gene] for gene in problem.candidates]), np.ones(len(problem.candidates), bool)
    picks, values, value = [], [], 0.0
    with watch.stage("picks"):
        for _ in range(problem.budget):
            gains = np.array([covariance[v] @ covariance[v] for v in where]) / (covariance[where, where] + NOISE)
            pick = first_best(gains, left)
            value += gains[pick] / len(problem.targets)
            column = covariance[where[pick]]
            covariance -= np.outer(column / (column[where[pick]] + NOISE), column)
            left[pick] = False
            picks.append(pick)
            values.append(value)
    return _finished(problem, watch, picks, values, cpu)


def recurrence(problem: Problem) -> Run:
    """Our recurrence (see `perturb_jax.selection.criteria`) in NumPy: says what is due to it, and what to the code."""
    cpu, watch = time.process_time(), Stopwatch()
    with watch.stage("blocks"):
        kernel, where = block(problem)
        gram, taught = kernel[:, where], kernel @ kernel.T
    with watch.stage("picks"):
        factor, mixed = np.zeros((2, problem.budget, len(where)))
        variance, diagonal = gram.diagonal().copy(), taught.diagonal().copy()
        left, picks, values, value = np.ones(len(where), bool), [], [], 0.0
        for number in range(problem.budget):
            gains = diagonal / (variance + NOISE)
            pick = first_best(gains, left)
            value += gains[pick] / len(problem.targets)
            of_pick, mixed_of_pick = factor[:number, pick], mixed[:number, pick]
            measured = variance[pick] + NOISE
            scaled = (gram[pick] - of_pick @ factor[:number]) / np.sqrt(measured)
            together = taught[pick] - mixed_of_pick @ factor[:number] - of_pick @ mixed[:number]
            mix = together / np.sqrt(measured) - gains[pick] * scaled / 2
            factor[number], mixed[number] = scaled, mix
            variance -= scaled * scaled
            diagonal -= 2 * scaled * mix
            left[pick] = False
            picks.append(pick)
            values.append(value)
    return _finished(problem, watch, picks, values, cpu)


def submodlib(problem: Problem, sparse: bool = False) -> Run:
    """Facility location by submodlib's lazy greedy in float32, mode "dense" or "sparse" (targets are candidates)."""
    from submodlib import FacilityLocationFunction

    cpu, watch = time.process_time(), Stopwatch()
    with watch.stage("blocks"):
        kernel, _ = block(problem)
    with watch.stage("construct"):
        if sparse:
            similar = csr_matrix(kernel)
            widest = int(np.diff(similar.indptr).max())
            function = FacilityLocationFunction(len(kernel), "sparse", sijs=similar, num_neighbors=widest)
        else:
            function = FacilityLocationFunction(
                len(kernel), "dense", separate_rep=True, n_rep=len(problem.targets), sijs=np.ascontiguousarray(kernel.T)
            )
    with watch.stage("picks"):
        chosen = function.maximize(
            budget=problem.budget,
            optimizer="LazyGreedy",
            stopIfZeroGain=False,
            stopIfNegativeGain=False,
            verbose=False,
            show_progress=False,
        )
    picks = [pick for pick, _ in chosen]
    values = np.maximum.accumulate(kernel[picks]).sum(1) / len(problem.targets)
    return _finished(problem, watch, picks, values, cpu)


def first_best(gains: np.ndarray, left: np.ndarray) -> int:
    """The first candidate left whose gain is within `TIE` of the best."""
    gains = np.where(left, gains, -np.inf)
    best = gains.max()
    return int((gains >= best - TIE * abs(best)).argmax())


def _finished(problem: Problem, watch: Stopwatch, picks: list[int], values: np.ndarray | list, cpu: float) -> Run:
    used = time.process_time() - cpu
    count = len(problem.candidates)
    evaluations = sum(count - made for made in range(len(picks)))
    genes = tuple(problem.candidates[v] for v in picks)
    return Run(watch.stages, Outcome(genes, np.asarray(values), evaluations, evaluations, np.nan, used, np.nan))
